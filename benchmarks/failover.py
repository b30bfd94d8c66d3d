"""Seconds from the SIGKILL of all that runs on a host to the next record, with five written a second."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.frame import Case
from benchmarks.sources import Folders, folders, local_tables, writing
from benchmarks.system import Ours, Stock, wait_for_records_after
from benchmarks.two_hosts import READY_SECONDS, Table, two_hosts

ROUNDS: Final = 5
_MINUTES: Final = "FAILOVER_MINUTES"
"""The variable for `after-…-minutes`: how long the hosts run before the kill."""


def cases() -> Iterator[Case]:
    """Yield another host's take-over, and the same host's restart; or the take-over after some minutes."""
    minutes = float(os.environ.get(_MINUTES, "0"))
    with local_tables() as tables, folders() as where:
        if minutes:
            yield _after(minutes, where, tables)
            return
        yield _case("young", partial(_other_host, where), tables)
        yield _case("same-host", partial(_same_host, where), tables)


def _case(name: str, run: Callable[[Table, type[Ours | Stock]], float], tables: Callable[[], Table]) -> Case:
    ours, stock = tables(), tables()
    return Case(
        name, "s", more_is_better=False, ours=lambda: run(ours, Ours), stock=lambda: run(stock, Stock)
    )


def _after(minutes: float, where: Folders, tables: Callable[[], Table]) -> Case:
    """Measure both systems once: they wait at the same time, and are killed one after the other."""
    systems: tuple[type[Ours | Stock], ...] = (Ours, Stock)
    with ExitStack() as stack:
        ready = [stack.enter_context(two_hosts(where, tables(), system)) for system in systems]
        time.sleep(minutes * 60)
        ours, stock = (_taken_over(folder, first) for folder, first in ready)
    return Case(
        f"after-{minutes:g}-minutes", "s", more_is_better=False, ours=lambda: ours, stock=lambda: stock
    )


def _other_host(where: Folders, table: Table, system: type[Ours | Stock]) -> float:
    with two_hosts(where, table, system) as (folder, first):
        return _taken_over(folder, first)


def _taken_over(folder: Path, first: Ours | Stock) -> float:
    killed = time.monotonic()
    first.kill()
    return wait_for_records_after(folder, time.monotonic()).seconds - killed


def _same_host(where: Folders, table: Table, system: type[Ours | Stock]) -> float:
    source, write = table
    folder, application = where.new("failover")
    write()
    with system(folder, source, application) as host, writing(write):
        began = time.monotonic()
        host.start()
        wait_for_records_after(folder, began)
        time.sleep(READY_SECONDS[Ours])
        killed = time.monotonic()
        host.kill()
        host.start()
        return wait_for_records_after(folder, time.monotonic()).seconds - killed
