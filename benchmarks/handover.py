"""Seconds from a host's SIGTERM to the next record on another host, with five written a second."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Final

from benchmarks.frame import Case
from benchmarks.sources import Folders, folders, local_tables
from benchmarks.system import Ours, Stock, wait_for_event, wait_for_records_after
from benchmarks.two_hosts import Table, two_hosts

ROUNDS: Final = 5


def cases() -> Iterator[Case]:
    """Yield the one case."""
    with local_tables() as tables, folders() as where:
        ours, stock = tables(), tables()
        yield Case(
            "drain",
            "s",
            more_is_better=False,
            ours=lambda: _seconds(where, ours, Ours),
            stock=lambda: _seconds(where, stock, Stock),
        )


def _seconds(where: Folders, table: Table, system: type[Ours | Stock]) -> float:
    with two_hosts(where, table, system) as (folder, first):
        asked = time.monotonic()
        drain = threading.Thread(target=first.drain)
        drain.start()
        begun = wait_for_event(
            folder, lambda event: event.count == 0 and event.seconds > asked, "the other host's beginning"
        )
        taken = wait_for_records_after(folder, begun.seconds)
        drain.join()
        return taken.seconds - asked
