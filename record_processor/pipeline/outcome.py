"""What came of a call of the user's handler, whoever made it. Used by policy and by those who call; pure."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from record_processor.errors import BatchItemFailures, ParkRecordError, RetryableError, SkipRecordError
from record_processor.pipeline.entry import item_key
from record_processor.record import Record


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one call."""

    error: Exception | None = None
    """What the handler raised, or made of what it returned; it is about all records but the following."""
    done: frozenset[str] = frozenset()
    """The sequence numbers of those that were handled before, and not again."""
    held: Mapping[str, Exception] = field(default_factory=dict)
    """The sequence number of each that was not handed out, or not noted as handled, and why."""


HANDLED: Final = Outcome()


def failures_in(returned: Any) -> Exception | None:
    """Return what `process_batch` says by returning something; None if all was handled.

    Lambda's response is read as Lambda reads it: without a list of failures, or with an empty one, all was
    handled. See https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html.
    """
    if returned is None:
        return None
    if isinstance(returned, BatchItemFailures):
        return returned if returned.failures else None
    if isinstance(returned, Mapping) and returned.keys() <= {"batchItemFailures"}:
        return _read_response(returned)
    return TypeError(
        f"process_batch returned {type(returned).__name__}; return None, BatchItemFailures, or Lambda's "
        '{"batchItemFailures": [{"itemIdentifier": "<sequence number>"}]}'
    )


def _read_response(response: Mapping[str, Any]) -> Exception | None:
    items = response.get("batchItemFailures")
    if not items:
        return None
    try:
        numbers = [item["itemIdentifier"] for item in items]
    except (TypeError, KeyError):
        numbers = [None]
    if not all(isinstance(number, str) for number in numbers):
        return TypeError("process_batch returned batchItemFailures that are not [{'itemIdentifier': '…'}, …]")
    return BatchItemFailures(numbers)


def failed_records(records: Sequence[Record], error: Exception) -> dict[str, Exception] | None:
    """Return the sequence number of each record that failed, with its exception; None if nobody says which.

    As with Lambda, all have failed if one is named that is not among them.
    """
    if not isinstance(error, BatchItemFailures) or not error.failures:
        return None
    if not error.failures.keys() <= {each.sequence_number for each in records}:
        return None
    return {
        number: reason or RetryableError("process_batch says that this record failed")
        for number, reason in error.failures.items()
    }


def settles(error: Exception | None, can_park: bool) -> bool:
    """Whether a record that raised this is not handed out again, so that none behind it overtook it."""
    return isinstance(error, SkipRecordError) or (isinstance(error, ParkRecordError) and can_park)


def and_those_behind(records: Sequence[Record], failed: frozenset[str] | set[str]) -> set[str]:
    """Return the sequence numbers of those that failed, and of those behind them of the same key."""
    keys: set[Hashable] = set()
    again: set[str] = set()
    for record in records:
        key = item_key(record)
        if record.sequence_number in failed or key in keys:
            keys.add(key)
            again.add(record.sequence_number)
    return again
