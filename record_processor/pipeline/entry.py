"""A record on its way, and those that are handed out together. Used by the whole room; pure."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

from record_processor.errors import DecodeError
from record_processor.parking.parked import Condition
from record_processor.record import Record


@dataclass(slots=True, eq=False)
class Entry:
    """One record, from its arrival until it is settled: handled, skipped or parked."""

    record: Record
    key: Hashable
    """Records with the same one are handed out in order, never two at once."""
    arrived_at: float
    """In seconds, on the pipeline's clock."""
    size_bytes: int = 0
    attempts: int = 0
    """How many have failed."""
    error: Exception | None = None
    """Why the last one did."""
    is_settled: bool = False


def item_key(record: Record) -> Hashable:
    """Return what tells one item from another: its primary key. A record without a readable one is alone."""
    try:
        return frozenset(record.keys.items())
    except (DecodeError, TypeError):
        return record.sequence_number


@dataclass(slots=True, eq=False)
class Portion:
    """Records that are handed out together, in order, and again together if they fail."""

    entries: list[Entry]
    ready_at: float = 0.0
    """Not before this time."""
    pauses: int = 0
    """How many pauses were made for it, which makes the next one longer."""
    settled: int = 0
    """How many of its entries, from the first on, are settled while it is handed out one by one."""
    condition: Condition | None = None
    """Why its only record is given up: it is to be parked."""


@dataclass(slots=True, eq=False)
class Task:
    """What was taken from the queue at once; split up as it fails. Its first portion is the next."""

    portions: list[Portion]
    held: set[Hashable] = field(default_factory=set)
    """The keys of records that are not settled: no other task has them."""
