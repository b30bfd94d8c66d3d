"""Seconds from the command to the first record, for an application that was drained and is started again.

Its first run lasts until there is an archive of Java's classes, a little more than a minute.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Final

from benchmarks.frame import Case
from benchmarks.sources import Folders, Write, folders, local_tables
from benchmarks.system import CACHE, Ours, Source, Stock, wait_for_archive, wait_for_records_after

ROUNDS: Final = 5


def cases() -> Iterator[Case]:
    """Yield the one case; each system has a table and an application, and is started again in each round."""
    with local_tables() as tables, folders() as where:
        yield Case(
            "drained",
            "s",
            more_is_better=False,
            ours=_measured(Ours, *tables(), where),
            stock=_measured(Stock, *tables(), where),
        )


def _measured(
    system: type[Ours | Stock], source: Source, write: Write, where: Folders
) -> Callable[[], float]:
    folder, application = where.new("restart")
    host = system(folder, source, application)
    host.environment[CACHE] = str(folder)

    def measured() -> float:
        """Measure; the first time, the application is new, which is the run that does not count."""
        write()
        with host:
            begin = time.monotonic()
            host.start()
            seconds = wait_for_records_after(folder, begin).seconds - begin
            if system is Ours:
                wait_for_archive(folder)
            host.drain()
        return seconds

    return measured
