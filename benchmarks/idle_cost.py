"""Calls for each idle shard and hour: of the stream, and writes to the lease table."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Final

from benchmarks.frame import Case
from benchmarks.sources import folders, simulated_stream, simulated_writer
from benchmarks.system import STEP_SECONDS, Ours, Stock, handled
from record_processor.testing import StreamSimulator, wait_until

ROUNDS: Final = 1
_SHARDS: Final = 4
_RECORDS: Final = 80
_YOUNG_SECONDS: Final = 120.0
_OLD_SECONDS: Final = 600.0
"""After so long an application is idle."""
_WRITES: Final = ("UpdateItem", "PutItem", "DeleteItem")


def cases() -> Iterator[Case]:
    """Yield calls in the first minutes, and in those after ten; both systems are idle at the same time."""
    with ExitStack() as stack:
        where = stack.enter_context(folders())
        hosts: list[tuple[StreamSimulator, str]] = []
        systems: tuple[type[Ours | Stock], ...] = (Ours, Stock)
        for system in systems:
            source, stream, simulator = stack.enter_context(simulated_stream(_SHARDS))
            write = simulated_writer(stream)
            for _ in range(_RECORDS):
                write()
            folder, application = where.new("idle")
            host = system(folder, source, application)
            stack.callback(host.kill)
            host.start()
            wait_until(lambda folder=folder: handled(folder) >= _RECORDS, STEP_SECONDS, "all records")  # type: ignore[misc]
            hosts.append((simulator, application))
        idle_since = time.monotonic()
        young = _calls(hosts, _YOUNG_SECONDS)
        yield _case("get-records", young, _get_records)
        yield _case("lease-writes", young, _lease_writes)
        yield _case("all-tables-writes", young, _all_writes)
        time.sleep(max(0, idle_since + _OLD_SECONDS - time.monotonic()))
        yield _case("get-records-after-ten-minutes", _calls(hosts, _YOUNG_SECONDS), _get_records)


Calls = list[tuple[str, bool]]
"""Operations, and whether each was on the lease table."""
Count = Callable[[Calls], int]


def _calls(hosts: list[tuple[StreamSimulator, str]], seconds: float) -> list[Calls]:
    """Return what is called in so long."""
    for simulator, _ in hosts:
        simulator.calls.clear()
    time.sleep(seconds)
    return [
        [(call.operation, call.table == application) for call in simulator.calls.log()]
        for simulator, application in hosts
    ]


def _case(name: str, calls: list[Calls], count: Count) -> Case:
    ours, stock = (count(each) / _SHARDS / _YOUNG_SECONDS * 3600 for each in calls)
    return Case(name, "calls/shard/h", more_is_better=False, ours=lambda: ours, stock=lambda: stock)


def _get_records(calls: Calls) -> int:
    return sum(operation == "GetRecords" for operation, _ in calls)


def _lease_writes(calls: Calls) -> int:
    return sum(operation in _WRITES and is_leases for operation, is_leases in calls)


def _all_writes(calls: Calls) -> int:
    return sum(operation in _WRITES for operation, _ in calls)
