"""GetRecords calls in flight at once, with 64 shards and a JVM that is told it has 4 cores."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from benchmarks.frame import Case
from benchmarks.sources import folders, simulated_stream
from benchmarks.system import Ours, Stock, wait_for_shards
from record_processor.testing import StreamSimulator
from record_processor.testing.faults import Forward

ROUNDS: Final = 1
_SHARDS: Final = 64
_CALL_SECONDS: Final = 1.0
_WATCHED_SECONDS: Final = 10.0
_FOUR_CORES: Final = {"JDK_JAVA_OPTIONS": "-XX:ActiveProcessorCount=4"}


def cases() -> Iterator[Case]:
    """Yield the one case."""
    yield Case(
        "64-shards", "calls", more_is_better=True, ours=lambda: _most(Ours), stock=lambda: _most(Stock)
    )


def _most(system: type[Ours | Stock]) -> float:
    """Return the most that there were at once; each takes a second."""
    with folders() as where, simulated_stream(_SHARDS) as (source, stream, simulator):
        folder, application = where.new("inflight")
        with system(folder, source, application) as host:
            host.environment.update(_FOUR_CORES)
            host.start()
            wait_for_shards(folder, stream)
            with _slow(simulator) as counts:
                time.sleep(_WATCHED_SECONDS)
        return max(counts)


@contextmanager
def _slow(simulator: StreamSimulator) -> Iterator[list[int]]:
    """Let each GetRecords take a second, and write down how many there are whenever one begins."""
    counts: list[int] = [0]
    running = [0]
    lock = threading.Lock()

    def respond(content: dict[str, Any], forward: Forward) -> dict[str, Any]:
        with lock:
            running[0] += 1
            counts.append(running[0])
        time.sleep(_CALL_SECONDS)
        with lock:
            running[0] -= 1
        return forward(content)

    slow = simulator.respond("GetRecords", respond)
    try:
        yield counts
    finally:
        slow.remove()
