"""One shard of a simulated stream: records in the order of their sequence numbers, of which the oldest go."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from record_processor.testing.simulator.clock import VirtualClock
from record_processor.testing.simulator.records import SimulatedRecord

RETENTION_SECONDS: Final = 24 * 3600
"""After so long a record is trimmed, and a closed shard vanishes:
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html
"""
_PAGE_BYTES: Final = 1024 * 1024
"""What GetRecords returns at most, in the records' own sizes:
https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_GetRecords.html
"""


class TrimmedError(Exception):
    """The position lies before the oldest record that is still there, and a record in between is gone."""


@dataclass(frozen=True, slots=True)
class Page:
    """What one GetRecords finds."""

    records: Sequence[SimulatedRecord]
    position: int
    """Where the next one begins: behind this sequence number."""
    is_end: bool
    """The shard is closed, and nothing follows."""


class SimulatedShard:
    """One shard; a `SimulatedStream` makes them."""

    def __init__(
        self,
        shard_id: str,
        parent_id: str | None,
        hashes: range,
        first_number: int,
        *,
        created_seconds: float,
        clock: VirtualClock,
        lock: threading.RLock,
    ) -> None:
        """Take the hashes of the keys that it holds, and its first possible sequence number."""
        self.id = shard_id
        """As DescribeStream shows it."""
        self.parent_id = parent_id
        """The shard whose end it follows; None for those that the stream began with."""
        self.hashes = hashes
        """Which keys go here: those whose hash is in this range."""
        self.first_number = first_number
        """Its StartingSequenceNumber, as a number."""
        self.last_number: int | None = None
        """Its EndingSequenceNumber, as a number; None while it is open."""
        self.created_seconds = created_seconds
        """When it was opened, by the virtual clock."""
        self.closed_seconds: float | None = None
        """When it was closed; None while it is open."""
        self.trimmed_count = 0
        """How many of its records have been trimmed."""
        self.trimmed_through = first_number - 1
        """The last trimmed sequence number; before the shard's first if nothing was."""
        self._clock = clock
        self._lock = lock
        self._records: list[SimulatedRecord] = []

    def __repr__(self) -> str:
        """Name it, and how it is."""
        state = "open" if self.is_open else "closed"
        return f"<SimulatedShard {self.id}, {state}, {len(self._records)} records>"

    @property
    def is_open(self) -> bool:
        """Whether records can still come."""
        return self.last_number is None

    @property
    def is_vanished(self) -> bool:
        """Whether DescribeStream lists it no more: it was closed 24 hours ago, so every record is trimmed."""
        with self._lock:
            return self.closed_seconds is not None and self._is_old(self.closed_seconds)

    @property
    def records(self) -> list[SimulatedRecord]:
        """Those that are still there, oldest first."""
        with self._lock:
            self._trim_old()
            return list(self._records)

    @property
    def written_count(self) -> int:
        """How many records were ever written to it."""
        with self._lock:
            return self.trimmed_count + len(self._records)

    def append(self, record: SimulatedRecord) -> None:
        """Add the newest record."""
        with self._lock:
            self._records.append(record)

    def close(self, last_number: int, closed_seconds: float) -> None:
        """Let nothing more come; the number is greater than that of every record."""
        with self._lock:
            self.last_number, self.closed_seconds = last_number, closed_seconds

    def trim(self, through: int) -> None:
        """Remove the records up to a sequence number."""
        with self._lock:
            count = bisect_right(self._records, through, key=_number)
            if count:
                self.trimmed_through = self._records[count - 1].number
                self.trimmed_count += count
                del self._records[:count]

    def trim_all(self) -> None:
        """Remove every record."""
        with self._lock:
            if self._records:
                self.trim(self._records[-1].number)

    def is_trimmed(self, number: int) -> bool:
        """Whether it lies at or before the last trimmed record."""
        with self._lock:
            self._trim_old()
            return number <= self.trimmed_through

    def horizon(self) -> int:
        """Return the position behind which the oldest record lies that is still there."""
        with self._lock:
            self._trim_old()
            return self.trimmed_through

    def read(self, position: int, limit: int) -> Page:
        """Return what follows a position. Raises TrimmedError."""
        with self._lock:
            self._trim_old()
            if position < self.trimmed_through:
                raise TrimmedError
            begin = bisect_right(self._records, position, key=_number)
            found = _fitting(self._records[begin : begin + limit])
            is_end = not self.is_open and begin + len(found) == len(self._records)
            return Page(found, found[-1].number if found else position, is_end)

    def _trim_old(self) -> None:
        if self._records and self._is_old(self._records[0].created_seconds):
            horizon = self._clock.now_seconds() - RETENTION_SECONDS
            self.trim(self._records[bisect_right(self._records, horizon, key=_created) - 1].number)

    def _is_old(self, seconds: float) -> bool:
        return seconds <= self._clock.now_seconds() - RETENTION_SECONDS


def _fitting(records: list[SimulatedRecord]) -> list[SimulatedRecord]:
    """Return those from the first on that make 1 MB; never none, if there is one."""
    total = 0
    for count, record in enumerate(records):
        total += record.size_bytes
        if total > _PAGE_BYTES and count:
            return records[:count]
    return records


def _number(record: SimulatedRecord) -> int:
    return record.number


def _created(record: SimulatedRecord) -> float:
    return record.created_seconds
