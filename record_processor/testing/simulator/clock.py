"""Time that can be skipped: hours of a stream's life pass in a test's moment."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class VirtualClock:
    """The time of a simulator: real time, plus what was skipped. May be used from any thread."""

    def __init__(self, real_seconds: Callable[[], float] = time.time) -> None:
        """Take what gives the real time in seconds since the epoch; a constant makes a clock that stands."""
        self._real_seconds = real_seconds
        self._lock = threading.Lock()
        self._skipped_seconds = 0.0

    def now_seconds(self) -> float:
        """Return the virtual time, in seconds since the epoch."""
        with self._lock:
            return self._real_seconds() + self._skipped_seconds

    def advance(self, *, hours: float = 0, minutes: float = 0, seconds: float = 0) -> None:
        """Skip so much time, at once. Raises ValueError for a negative one."""
        skipped = 3600 * hours + 60 * minutes + seconds
        if skipped < 0:
            raise ValueError("time does not run backwards")
        with self._lock:
            self._skipped_seconds += skipped
