"""Seconds from the command to the first record, for an application without tables and leases.

It is the host's first start of any application, too: there is no archive of Java's classes yet.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Final

from benchmarks.frame import Case
from benchmarks.slow_tables import slow_tables
from benchmarks.sources import Folders, folders, local_tables
from benchmarks.system import CACHE, Ours, Source, Stock, wait_for_records_after

ROUNDS: Final = 5
_WAITING: Final = 10
"""So many changes wait in the stream."""


def cases() -> Iterator[Case]:
    """Yield DynamoDB Local's tables, and tables that take as long to make as DynamoDB's."""
    with local_tables() as tables, folders() as where:
        source, write = tables()
        for _ in range(_WAITING):
            write()
        yield _case("new-application", source, where)
        with slow_tables(source) as slow:
            yield _case("slow-tables", slow, where)


def _case(name: str, source: Source, where: Folders) -> Case:
    def measured(system: type[Ours | Stock]) -> Callable[[], float]:
        return lambda: _seconds(system, source, where)

    return Case(name, "s", more_is_better=False, ours=measured(Ours), stock=measured(Stock))


def _seconds(system: type[Ours | Stock], source: Source, where: Folders) -> float:
    folder, application = where.new("startup")
    with system(folder, source, application) as host:
        host.environment[CACHE] = str(folder)
        begin = time.monotonic()
        host.start()
        return wait_for_records_after(folder, begin).seconds - begin
