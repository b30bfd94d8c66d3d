"""Keys in the memory of one process: they are gone when it ends."""

from __future__ import annotations

import threading
import time
from itertools import count
from typing import Final

from record_processor.stores.row import Row
from record_processor.stores.store import LOCK_SECONDS, TTL_SECONDS, Clock, Store

_FEW: Final = 1024
_numbers: Final = count(1)


class MemoryStore(Store):
    """Keeps keys in this process, for their time to live. About 0.3 KB each."""

    def __init__(
        self, *, lock_seconds: int = LOCK_SECONDS, ttl_seconds: int = TTL_SECONDS, now: Clock = time.time
    ) -> None:
        """Take how long a claim holds, how long a repeat is recognized, and a clock."""
        super().__init__(f"memory:{next(_numbers)}", lock_seconds, ttl_seconds, now)
        self._lock = threading.Lock()
        self._rows: dict[str, Row] = {}
        self._sweep_at = _FEW

    def swap(self, key: str, expected: Row | None, new: Row | None) -> Row | None:
        """Put one row in the place of another, if that is there."""
        with self._lock:
            seen = self._rows.get(key)
            if seen == expected:
                self._put(key, new)
            return seen

    def check(self) -> None:
        """There is nothing that could be missing."""

    def close(self) -> None:
        """Forget all."""
        with self._lock:
            self._rows.clear()

    def _put(self, key: str, new: Row | None) -> None:
        if new is None:
            self._rows.pop(key, None)
            return
        self._rows[key] = new
        if len(self._rows) >= self._sweep_at:
            self._sweep()

    def _sweep(self) -> None:
        """Forget what has expired. At each doubling, so that a key costs a constant time."""
        now = self._now()
        self._rows = {key: row for key, row in self._rows.items() if row.expiration > now}
        self._sweep_at = max(_FEW, 2 * len(self._rows))
