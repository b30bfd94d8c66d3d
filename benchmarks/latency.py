"""Seconds from a write to its handler, with five writes a second to one shard."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median, quantiles
from typing import Final

from benchmarks.events import read_events
from benchmarks.frame import Case
from benchmarks.sources import folders, local_tables, writing
from benchmarks.system import Ours, Stock, wait_for_records_after

ROUNDS: Final = 5
_MEASURED_SECONDS: Final = 30.0
_SETTLING_SECONDS: Final = 3.0


def cases() -> Iterator[Case]:
    """Yield the median and the 99th percentile; each system runs once, and is watched in each round."""
    with local_tables() as tables, folders() as where:
        (ours, our_write), (stock, write) = tables(), tables()
        our_folder, our_application = where.new("latency")
        folder, application = where.new("latency")
        with (
            Ours(our_folder, ours, our_application) as us,
            Stock(folder, stock, application) as them,
            writing(our_write),
            writing(write),
        ):
            began = time.monotonic()
            us.start()
            them.start()
            wait_for_records_after(our_folder, began)
            wait_for_records_after(folder, began)
            time.sleep(_SETTLING_SECONDS)
            for name, statistic in (("p50", median), ("p99", _p99)):
                yield Case(
                    name,
                    "s",
                    more_is_better=False,
                    ours=_measured(our_folder, statistic),
                    stock=_measured(folder, statistic),
                )


def _p99(seconds: list[float]) -> float:
    return quantiles(seconds, n=100, method="inclusive")[-1]


def _measured(folder: Path, statistic: Callable[[list[float]], float]) -> Callable[[], float]:
    def measured() -> float:
        began = time.monotonic()
        time.sleep(_MEASURED_SECONDS)
        return statistic(
            [
                latency
                for event in read_events(folder)
                if event.seconds > began
                for latency in event.latencies_seconds
            ]
        )

    return measured
