"""One shard's records/s with a handler that waits for 20 ms: parallelizationFactor = 10 against 1.

A real worker runs, on its socket; measured is from the first record that it is sent to the acknowledgement of
the last. What stands for stock is ours without parallelism: amazon_kclpy has none, so it cannot be faster.
Each run proves that the calls of one key came one after the other, in the order of its records.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import accumulate
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, TypeAlias

from benchmarks.frame import Case
from benchmarks.waiting import CALLS
from tests.packing import packed_message
from tests.protocol.scripted_daemon import ScriptedDaemon, record

RECORDS: Final = 400
KEYS: Final = 100
FACTOR: Final = 10
PROCESSORS: Final = {"threads": "Threads", "async": "Async"}
"""By the case's name: the class of `waiting`."""

Call: TypeAlias = "tuple[str, int, bool]"
"""Key, n, and whether it began or ended."""


def cases() -> Iterator[Case]:
    """Give the cases: each is one kind of handler."""
    for name, processor in PROCESSORS.items():
        yield Case(
            name,
            "records/s",
            more_is_better=True,
            ours=partial(records_per_second, processor, FACTOR),
            stock=partial(records_per_second, processor, 1),
        )


def records_per_second(processor: str, factor: int, count: int = RECORDS) -> float:
    """Have a worker handle so many records; raises RuntimeError if a key's order was not kept."""
    written = _keys(count)
    batch = packed_message(
        {"action": "processRecords", "millisBehindLatest": 0, "records": _records(written)}
    )
    settings = json.dumps({"parallelizationFactor": factor})
    with TemporaryDirectory() as folder:
        source = f"from benchmarks.waiting import {processor} as Processor"
        environ = {"BENCHMARK_FOLDER": folder}
        with ScriptedDaemon(Path(folder), source, "--settings", settings, environ=environ) as daemon:
            daemon.initialize()
            began = time.perf_counter()
            daemon.send_payload(batch)
            daemon.expect_acknowledge(count)
            seconds = time.perf_counter() - began
            daemon.send({"action": "shutdownRequested"})
            daemon.expect_status("shutdownRequested")
        calls = json.loads((Path(folder) / CALLS).read_text("ascii"))
    check(written, calls, factor)
    return count / seconds


def _keys(count: int) -> list[str]:
    """Return the key of each record: the same every time, in no order."""
    return random.Random(count).choices([f"item-{number}" for number in range(KEYS)], k=count)


def _records(written: Sequence[str]) -> list[dict[str, Any]]:
    records = []
    for number, key in enumerate(written):
        image = {"pk": {"S": key}, "n": {"N": str(written[:number].count(key))}}
        records.append(record(number + 1, Keys={"pk": {"S": key}}, NewImage=image))
    return records


def check(written: Sequence[str], calls: Sequence[Call], factor: int) -> None:
    """Raise RuntimeError unless each key's calls were in its order, none before the last one had ended."""
    for key in set(written):
        expected = [(number, begins) for number in range(written.count(key)) for begins in (True, False)]
        found = [(number, begins) for of, number, begins in calls if of == key]
        if found != expected:
            raise RuntimeError(f"{key} was not handled in its order: {found}")
    most = max(accumulate(1 if begins else -1 for _, _, begins in calls))
    if most > factor:
        raise RuntimeError(f"{most} calls ran at once, with parallelizationFactor = {factor}")
