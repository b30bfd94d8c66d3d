"""Which of the parked records are meant: what the command's filters say. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Final

from record_processor.parking.parked import Parked

_AGO: Final = re.compile(r"([0-9]{1,6})([smhd])")
_UNITS: Final[Mapping[str, str]] = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


@dataclass(frozen=True, slots=True)
class Selection:
    """What a parked record must be like; what is empty asks for nothing."""

    tables: tuple[str, ...] = ()
    shards: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()
    error: str = ""
    """Is in the error's type or message, in capitals or not."""
    since: datetime | None = None
    """It was parked then or later."""
    until: datetime | None = None
    """It was parked before."""

    def matches(self, parked: Parked) -> bool:
        """Whether the record is meant."""
        return (
            _is_one_of(parked.table_name, self.tables)
            and _is_one_of(parked.shard_id, self.shards)
            and _is_one_of(parked.id, self.ids)
            and _is_one_of(parked.condition, self.conditions)
            and self._matches_error(parked)
            and (self.since is None or parked.parked_at >= self.since)
            and (self.until is None or parked.parked_at < self.until)
        )

    def _matches_error(self, parked: Parked) -> bool:
        if not self.error:
            return True
        error = parked.error
        return error is not None and self.error.lower() in f"{error.type}: {error.message}".lower()


def parse_time(text: str, now: datetime) -> datetime:
    """Read `2026-11-24`, `2026-11-24T12:30Z` (UTC unless it says), or how long ago: `30m`, `1h`, `2d`.

    Raises ValueError: what it must be.
    """
    try:
        if ago := _AGO.fullmatch(text):
            return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        time = datetime.fromisoformat(re.sub("[zZ]$", "+00:00", text))  # Python 3.10 does not know Z
        return time if time.tzinfo else time.replace(tzinfo=timezone.utc)
    except (ValueError, OverflowError):
        raise ValueError("an ISO time, such as 2026-11-24T12:30Z, or how long ago: 30m, 1h, 2d") from None


def age(parked: Parked) -> tuple[str, int]:
    """Return what sorts records as they were made: of a stream from the oldest on, parents before children.

    Sequence numbers grow along a stream's shards for as long as a key lives.
    """
    return (parked.stream_arn or parked.table_name, int(parked.sequence_number))


def _is_one_of(text: str, allowed: tuple[str, ...]) -> bool:
    return not allowed or text in allowed
