"""What each process must have of its own: connections, and what it is called."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class PerProcess(Generic[T]):
    """Something that is made when it is first asked for, and made anew in a process that was forked off."""

    def __init__(self, make: Callable[[], T]) -> None:
        """Take what makes it."""
        self._make = make
        self._lock = threading.Lock()
        self._made: tuple[int, T] | None = None
        self._inherited: T | None = None

    def get(self) -> T:
        """Return this process's own. Raises what making it raises."""
        with self._lock:
            if self._made is None:
                self._made = os.getpid(), self._make()
            elif self._made[0] != os.getpid():
                # Kept: to close a connection is not for a process that did not open it.
                self._inherited = self._made[1]
                self._made = os.getpid(), self._make()
            return self._made[1]

    def take(self) -> T | None:
        """Return this process's own and forget it; None if it has none."""
        with self._lock:
            if self._made is None or self._made[0] != os.getpid():
                return None
            (_, value), self._made = self._made, None
            return value
