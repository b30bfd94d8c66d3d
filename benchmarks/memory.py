"""MB of memory (PSS) of everything on a host: launcher, JVM and all Python processes.

It is not the host's first start: there is an archive of Java's classes.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from benchmarks.frame import Case
from benchmarks.processes import pss_megabytes
from benchmarks.sources import Folders, folders, simulated_stream
from benchmarks.system import CACHE, STEP_SECONDS, Ours, Stock, handled, wait_for_archive, wait_for_shards
from record_processor.testing import SimulatedStream, wait_until

ROUNDS: Final = 1
_STOCK_SHARDS: Final = 20
"""So many of stock's programs fit beside everything else; its figure is multiplied."""
_AFTER_SECONDS: Final = 30.0
_RECORDS_PER_SHARD: Final = 2_000
_PAYLOAD: Final = "x" * 998


def cases() -> Iterator[Case]:
    """Yield idle shards, and those that had a load 30 s ago."""
    with folders() as where:
        cache = _archived(where)
        for name, shards, has_load in (
            ("100-shards-idle", 100, False),
            ("100-shards-after-load", 100, True),
            ("200-shards-idle", 200, False),
        ):
            yield Case(
                name,
                "MB",
                more_is_better=False,
                ours=_once(Ours, shards, shards, cache, has_load=has_load),
                stock=_once(Stock, _STOCK_SHARDS, shards, cache, has_load=has_load),
            )


def _archived(where: Folders) -> Path:
    """Return a cache folder with an archive of Java's classes."""
    with simulated_stream(1) as (source, _, _):
        folder, application = where.new("first")
        with Ours(folder, source, application) as host:
            host.environment[CACHE] = str(folder)
            host.start()
            wait_for_archive(folder)
        return folder


def _once(
    system: type[Ours | Stock], run: int, shards: int, cache: Path, *, has_load: bool
) -> Callable[[], float]:
    """Measure once: there is little that could vary."""
    known: list[float] = []

    def measured() -> float:
        if not known:
            known.append(_megabytes(system, run, cache, has_load=has_load) * shards / run)
        return known[0]

    return measured


def _megabytes(system: type[Ours | Stock], shards: int, cache: Path, *, has_load: bool) -> float:
    with folders() as where, simulated_stream(shards) as (source, stream, _):
        folder, application = where.new("memory")
        with system(folder, source, application) as host:
            host.environment[CACHE] = str(cache)
            host.start()
            wait_for_shards(folder, stream)
            if has_load:
                total = _write(stream, shards * _RECORDS_PER_SHARD)
                wait_until(lambda: handled(folder) >= total, STEP_SECONDS, "all records")
            time.sleep(_AFTER_SECONDS)
            megabytes = pss_megabytes(host.pids())
            print(
                f"bench: {system.__name__}, {shards} shards: {megabytes:.0f} MB", file=sys.stderr, flush=True
            )
            return megabytes


def _write(stream: SimulatedStream, total: int) -> int:
    for number in range(total):
        stream.put({"pk": f"{number:09}"}, {"pk": f"{number:09}", "text": _PAYLOAD})
    return total
