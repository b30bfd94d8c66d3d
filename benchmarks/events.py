"""What the handlers of whole-system benchmarks write down: when how many records were handled."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

FOLDER: Final = "BENCHMARK_FOLDER"
"""The variable that names where it is written."""
WRITTEN: Final = "writtenMicros"
"""The attribute that says when a change was written, for the latency: `time.monotonic()`, in µs."""


@dataclass(frozen=True, slots=True)
class Event:
    """A batch that was handled; of no records, when a shard's process begins."""

    seconds: float
    """When, by `time.monotonic()`."""
    shard_id: str
    count: int
    latencies_seconds: tuple[float, ...]


class Events:
    """One shard's, in a file of its process."""

    def __init__(self, shard_id: str) -> None:
        """Say that it begins."""
        self._shard_id = shard_id
        path = Path(os.environ[FOLDER]) / f"events-{shard_id}-{os.getpid()}"
        self._file = path.open("ab", buffering=0)
        self.handled([])

    def handled(self, images: Sequence[Mapping[str, Any]]) -> None:
        """Say that a batch is handled, of which these are the new images."""
        now = time.monotonic_ns()
        written = [int(image[WRITTEN]) for image in images if WRITTEN in image]
        latencies = "".join(f" {now // 1000 - micros}" for micros in written)
        self._file.write(f"{now} {self._shard_id} {len(images)}{latencies}\n".encode("ascii"))


def read_events(folder: Path) -> list[Event]:
    """Return all that was written down, in the order of time."""
    lines = [
        line.split()
        for path in folder.glob("events-*")
        for line in path.read_text("ascii").splitlines(keepends=True)
        if line.endswith("\n")
    ]
    events = [
        Event(int(now) / 1e9, shard_id, int(count), tuple(int(micros) / 1e6 for micros in latencies))
        for now, shard_id, count, *latencies in lines
    ]
    return sorted(events, key=lambda event: event.seconds)
