"""The log lines about records that failed: where and why, never what is in them. Used by pipeline."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from traceback import TracebackException
from typing import Final

from record_processor.errors import ParkRecordError
from record_processor.parking.parked import Condition
from record_processor.pipeline.entry import Entry, Portion

_log = logging.getLogger("record_processor")
_LONGEST_REASON: Final = 500


def log_failed(
    portion: Portion, again: Sequence[Portion], error: Exception, pause_seconds: float | None
) -> None:
    """Say that an attempt failed, and what comes next; the first time with a traceback.

    Without a pause it was the last attempt, or its records come again at once, in parts.
    """
    first = again[0]
    if first.pauses == portion.pauses:
        _log.error(
            "%s: %s; handed out again in %d parts", name(portion), one_line(error), len(again), exc_info=error
        )
        return
    shown = first.entries[0].error or error
    attempt = max(each.attempts for each in first.entries)
    _log.error(
        "%s: %s; %s, %s",
        name(first),
        one_line(shown),
        _attempt(attempt, shown, is_last=pause_seconds is None),
        "and it was the last" if pause_seconds is None else f"next one in {pause_seconds:.1f} s",
        exc_info=shown if first.pauses == 1 else None,
    )
    if first.pauses > 1:
        _log.debug("%s: attempt %d", name(first), attempt, exc_info=shown)


def _attempt(number: int, error: Exception, *, is_last: bool) -> str:
    if isinstance(error, ParkRecordError) and not is_last:
        return f"attempt {number} failed, and there is no onFailureDestination to park it in"
    return f"attempt {number} failed" if number else "no attempt"


def log_handled(portion: Portion) -> None:
    """Say that something is over which failed before."""
    attempt = max(each.attempts for each in portion.entries) + 1
    _log.info("%s: handled at attempt %d", name(portion), attempt)


def log_skipped(entry: Entry) -> None:
    """Say that the user's code passed a record over."""
    _log.warning("%s: skipped: %s", _name_of(entry), one_line(entry.error))


def log_parked(entry: Entry, condition: Condition) -> None:
    """Say that a record went to onFailureDestination."""
    _log.warning(
        "%s: given up after %d attempts, %s: %s",
        _name_of(entry),
        entry.attempts,
        condition.value,
        one_line(entry.error) if entry.error else "never tried",
    )


def log_not_parked(portion: Portion, error: Exception | None, seconds: float) -> None:
    """Say that onFailureDestination did not take a record."""
    _log.error(
        "%s: onFailureDestination did not take it: %s; next attempt in %.1f s",
        name(portion),
        one_line(error),
        seconds,
        exc_info=error if portion.pauses == 1 else None,
    )


def name(portion: Portion) -> str:
    """Name the shard and the sequence numbers."""
    first, last = portion.entries[0], portion.entries[-1]
    if first is last:
        return _name_of(first)
    return f"{first.record.shard_id}: records {first.record.sequence_number} to {last.record.sequence_number}"


def one_line(error: BaseException | None) -> str:
    """Return the exception's type and message on one line, of bounded length, even if its str() fails.

    UTF-8 can hold it: halves of surrogate pairs are escaped.
    """
    if error is None:
        return ""
    reason = " ".join("".join(TracebackException.from_exception(error).format_exception_only()).split())
    reason = reason.encode(errors="backslashreplace").decode()
    return reason if len(reason) <= _LONGEST_REASON else f"{reason[:_LONGEST_REASON]}…"


def _name_of(entry: Entry) -> str:
    return f"{entry.record.shard_id}: record {entry.record.sequence_number}"
