"""Remembers what was called, and by how much."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, field

from record_processor.testing.request import Request


@dataclass(slots=True)
class Call:
    """One call that arrived at the proxy."""

    operation: str
    """As in AWS's API: GetRecords, UpdateItem, …"""
    table: str
    """The table's name, for a stream that of its table; several are separated by commas; "" without one."""
    shard: str
    """The shard's id, for GetRecords that of its iterator; "" if there is none."""
    time: float = field(default_factory=time.time)
    """When it arrived, in seconds since the epoch."""
    status: int | None = None
    """The HTTP status that was sent back; None while there was none, and for good if none was sent."""


class Calls:
    """Every call, counted when it arrives. May be used from any thread.

    `calls["GetRecords"]` is how many came, whatever became of them.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self._changed = threading.Condition()
        self._counts: Counter[tuple[str, tuple[str, ...], str]] = Counter()
        self._log: list[Call] = []

    def __getitem__(self, operation: str) -> int:
        """Return how often the operation was called."""
        return self.count(operation)

    def count(self, operation: str, table: str | None = None, shard: str | None = None) -> int:
        """Return how often it was called, for a table or a shard if they are given."""
        with self._changed:
            return self._count(operation, table, shard)

    def log(self, operation: str | None = None) -> list[Call]:
        """Return the calls, oldest first, of one operation if it is given."""
        with self._changed:
            return [call for call in self._log if operation in (None, call.operation)]

    def wait_for(
        self,
        operation: str,
        n: int = 1,
        timeout_seconds: float = 30,
        *,
        table: str | None = None,
        shard: str | None = None,
    ) -> None:
        """Wait until it was called `n` times since the start or the last `clear`. Raises TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._count(operation, table, shard) >= n, timeout_seconds):
                seen = self._count(operation, table, shard)
                raise TimeoutError(f"{operation} was called {seen} times in {timeout_seconds:g} s, not {n}")

    def clear(self) -> None:
        """Forget all calls."""
        with self._changed:
            self._counts.clear()
            self._log.clear()

    def add(self, request: Request) -> Call:
        """Count a call that has just arrived; the proxy fills in its status."""
        call = Call(request.operation, ",".join(request.tables), request.shard)
        with self._changed:
            self._counts[request.operation, request.tables, request.shard] += 1
            self._log.append(call)
            self._changed.notify_all()
        return call

    def _count(self, operation: str, table: str | None, shard: str | None) -> int:
        return sum(
            count
            for (called, tables, its_shard), count in self._counts.items()
            if called == operation and (table is None or table in tables) and shard in (None, its_shard)
        )
