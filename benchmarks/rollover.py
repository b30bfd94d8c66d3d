"""Seconds between the last record of a shard that rolls over and the first of its child."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from benchmarks.events import read_events
from benchmarks.frame import Case
from benchmarks.sources import folders, simulated_stream, simulated_writer, writing
from benchmarks.system import Ours, Stock, wait_for_event, wait_for_records_after
from record_processor.testing import SimulatedStream

ROUNDS: Final = 5
_WRITES_PER_SECOND: Final = 10
_QUIET_SECONDS: Final = 5.0
"""Between two roll-overs of one run, so that each begins alike."""


def cases() -> Iterator[Case]:
    """Yield the one case: each system runs once, and the shard rolls over in each round."""
    with (
        folders() as where,
        simulated_stream() as (ours, our_stream, _),
        simulated_stream() as (stock, stream, _),
    ):
        our_folder, application = where.new("rollover")
        folder, _ = where.new("rollover")
        with Ours(our_folder, ours, application) as us, Stock(folder, stock, application) as them:
            began = time.monotonic()
            us.start()
            them.start()
            for each, its_stream in ((our_folder, our_stream), (folder, stream)):
                with writing(simulated_writer(its_stream), _WRITES_PER_SECOND):
                    wait_for_records_after(each, began)
            yield Case(
                "roll-over",
                "s",
                more_is_better=False,
                ours=_measured(our_folder, our_stream),
                stock=_measured(folder, stream),
            )


def _measured(folder: Path, stream: SimulatedStream) -> Callable[[], float]:
    def measured() -> float:
        (parent,) = stream.open_shards
        with writing(simulated_writer(stream), _WRITES_PER_SECOND):
            time.sleep(_QUIET_SECONDS)
            (child,) = stream.roll(parent)
            first = wait_for_event(
                folder,
                lambda event: event.shard_id == child.id and event.count > 0,
                "the child's first record",
            )
        last = max(
            event.seconds for event in read_events(folder) if event.shard_id == parent.id and event.count
        )
        return first.seconds - last

    return measured
