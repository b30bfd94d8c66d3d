"""Records/s from stream to handler, 1 KB each, from the simulator or DynamoDB Local."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from benchmarks.events import read_events
from benchmarks.frame import Case
from benchmarks.processes import cpu_seconds_by_kind
from benchmarks.sources import folders, insert, local_tables, simulated_stream
from benchmarks.system import COUNTING, STEP_SECONDS, Ours, Source, Stock, handled, wait_for_shards
from record_processor.testing import wait_until
from record_processor.testing.aws import local_client
from record_processor.testing.faults import Forward

ROUNDS: Final = 5
_SHARDS: Final = (1, 4, 16, 64)
_RECORDS: Final = 100_000
"""In each round, over all shards."""
_PAYLOAD: Final = "x" * 998
_LOCAL_RECORDS: Final = 40_000
_IDLE_SECONDS: Final = 1.0
"""What a read takes while the other system is measured: one without a pause would take part of its CPU."""
_LOOK_SECONDS: Final = 0.3
"""So seldom that looking costs the simulator, in the same process, nothing."""

Host = Ours | Stock
System = Callable[[Path, Source, str], Host]


def cases() -> Iterator[Case]:
    """Yield a case for each number of shards; the pure-Java processor; DynamoDB Local."""
    for shards in _SHARDS:
        with _Simulated(shards, Ours) as ours, _Simulated(shards, Stock) as stock:
            name = "1-shard" if shards == 1 else f"{shards}-shards"
            yield Case(name, "records/s", more_is_better=True, ours=ours, stock=stock)
    with _Simulated(4, Ours) as ours, _Simulated(4, _counting) as counting:
        yield Case("java-ceiling", "records/s", more_is_better=True, ours=ours, stock=counting)
    yield Case("dynamodb-local", "records/s", more_is_better=True, ours=_local(Ours), stock=_local(Stock))


def _counting(folder: Path, source: Source, application: str) -> Host:
    return Stock(folder, source, application, program=COUNTING)


class _Simulated:
    """A system that reads from simulated shards: started at the first call, it is given records in each.

    A context manager, at whose end it is killed.
    """

    def __init__(self, shards: int, system: System) -> None:
        self._shards = shards
        self._system = system
        self._stack = ExitStack()
        self._idle = ExitStack()
        self._host: Host | None = None
        self._numbers = count()

    def __enter__(self) -> _Simulated:
        """Give it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Kill it."""
        self._stack.close()

    def __call__(self) -> float:
        """Measure once; nothing else of this benchmark works meanwhile but what is idle."""
        host = self._host = self._host or self._started()
        expected = handled(self._folder) + _RECORDS
        gate = self._simulator.respond("GetRecords", _no_records)
        self._idle.close()
        for number in range(_RECORDS):
            pk = f"{next(self._numbers):09}-{number}"
            self._stream.put({"pk": pk}, {"pk": pk, "text": _PAYLOAD})
        cpu, server = cpu_seconds_by_kind(host.pids()), time.process_time()
        began = time.monotonic()
        gate.remove()
        while handled(self._folder) < expected:
            time.sleep(_LOOK_SECONDS)
        seconds = _seconds(self._folder, began)
        _say_cpu(cpu, cpu_seconds_by_kind(host.pids()), time.process_time() - server, seconds)
        self._idle.callback(self._simulator.respond("GetRecords", _nothing_for_long).remove)
        return _RECORDS / seconds

    def _started(self) -> Host:
        source, self._stream, self._simulator = self._stack.enter_context(simulated_stream(self._shards))
        self._folder, application = self._stack.enter_context(folders()).new("throughput")
        host = self._system(self._folder, source, application)
        self._stack.callback(host.kill)
        host.start()
        wait_for_shards(self._folder, self._stream)
        return host


def _no_records(content: dict[str, Any], _: Forward) -> dict[str, Any]:
    """Answer GetRecords while the records are being written."""
    return {"Records": [], "NextShardIterator": content["ShardIterator"]}


def _nothing_for_long(content: dict[str, Any], forward: Forward) -> dict[str, Any]:
    """Answer GetRecords while the other system is measured."""
    time.sleep(_IDLE_SECONDS)
    return _no_records(content, forward)


def _seconds(folder: Path, began: float) -> float:
    """Return how long it took from a moment to the last record."""
    return max(event.seconds for event in read_events(folder)) - began


def _say_cpu(before: dict[str, float], after: dict[str, float], server: float, seconds: float) -> None:
    jvm, python = (after[kind] - before[kind] for kind in ("jvm", "python"))
    print(
        f"bench: {seconds:.1f} s; CPU s: simulator {server:.1f}, JVM {jvm:.1f}, Python {python:.1f}",
        file=sys.stderr,
        flush=True,
    )


def _local(system: System) -> Callable[[], float]:
    """Return a measure over DynamoDB Local: from the first record that is handled to the last."""

    def measured() -> float:
        with local_tables() as tables, folders() as where:
            source, _ = tables()
            _fill(source)
            folder, application = where.new("throughput")
            with system(folder, source, application) as host:
                host.start()
                wait_until(lambda: handled(folder) >= _LOCAL_RECORDS, STEP_SECONDS, "all records")
            events = [event for event in read_events(folder) if event.count]
            return (_LOCAL_RECORDS - events[0].count) / (events[-1].seconds - events[0].seconds)

    return measured


def _fill(source: Source) -> None:
    client = local_client("dynamodb", source.endpoint, source.region)
    items = [
        {"pk": {"S": f"{n:08}"}, "status": {"S": "open"}, "total": {"N": f"{n}"}}
        for n in range(_LOCAL_RECORDS)
    ]
    insert(client, source.table, items)
