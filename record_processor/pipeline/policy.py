"""What becomes of records whose handler failed: as Lambda's event source mapping does it, by the same names.

Pure. The rules are those of https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html, but
for `BatchItemFailures`: Lambda hands out again all from the first failure on, this only what failed and what
is behind it of the same key.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from record_processor.errors import (
    DecodeError,
    FatalError,
    InProgressError,
    ParkRecordError,
    SkipRecordError,
)
from record_processor.parking.parked import Condition
from record_processor.pipeline.entry import Entry, Portion
from record_processor.pipeline.outcome import Outcome, and_those_behind, failed_records, settles
from record_processor.pipeline.retry import Backoff
from record_processor.record import Record
from record_processor.settings import UNLIMITED


@dataclass(frozen=True, slots=True)
class Policy:
    """When to give up, and how to go on."""

    backoff: Backoff
    maximum_retry_attempts: int = UNLIMITED
    maximum_record_age_seconds: int = UNLIMITED
    bisect_batch: bool = False
    can_park: bool = False
    """Whether onFailureDestination is set; without one nothing is given up."""

    def given_up(self, entry: Entry, unix_seconds: float) -> Condition | None:
        """Return why this record is not handed out (again), if so; the time is the wall clock's."""
        if not self.can_park:
            return None
        if isinstance(entry.error, ParkRecordError):
            return Condition.PARK_REQUESTED
        if self.maximum_retry_attempts != UNLIMITED and entry.attempts > self.maximum_retry_attempts:
            return Condition.RETRY_ATTEMPTS_EXHAUSTED
        if self.maximum_record_age_seconds != UNLIMITED and self._is_too_old(entry.record, unix_seconds):
            return Condition.RECORD_AGE_EXCEEDED
        return None

    def settles(self, error: Exception | None) -> bool:
        """Whether a record that raised this is not handed out again, so that none behind it overtook it."""
        return settles(error, self.can_park)

    def _is_too_old(self, record: Record, unix_seconds: float) -> bool:
        try:
            created_at = record.created_at
        except DecodeError:
            return False
        return (
            created_at is not None and unix_seconds - created_at.timestamp() > self.maximum_record_age_seconds
        )


@dataclass(slots=True)
class Verdict:
    """What a failed attempt comes to."""

    handled: list[Entry] = field(default_factory=list)
    skipped: list[Entry] = field(default_factory=list)
    again: list[Portion] = field(default_factory=list)
    """In this order, before whatever else their task holds."""
    fatal: FatalError | None = None


def judge(portion: Portion, outcome: Outcome, policy: Policy, is_stored: Callable[[Record], bool]) -> Verdict:
    """Decide about a portion that was not all handled; `is_stored` tells what was checkpointed by hand."""
    called, verdict = [], Verdict()
    held = []
    for entry in portion.entries:
        number = entry.record.sequence_number
        if number in outcome.held:
            _note(entry, outcome.held[number])
            held.append(entry)
        elif number in outcome.done or outcome.error is None:
            verdict.handled.append(entry)
        else:
            called.append(entry)
    if called and outcome.error:
        _judge_called(verdict, Portion(called, pauses=portion.pauses), outcome.error, policy, is_stored)
    if held:
        verdict.again = [_together(held, verdict.again, portion.pauses + 1)]
    return verdict


def _together(held: list[Entry], others: list[Portion], pauses: int) -> Portion:
    """Put what is held back into its place among the others that come again: there it keeps the order."""
    entries = [*held, *(each for portion in others for each in portion.entries)]
    return Portion(sorted(entries, key=lambda each: int(each.record.sequence_number)), pauses=pauses)


def _judge_called(
    verdict: Verdict, portion: Portion, error: Exception, policy: Policy, is_stored: Callable[[Record], bool]
) -> None:
    failed = failed_records([each.record for each in portion.entries], error)
    if failed is not None:
        _judge_each(verdict, portion, failed, policy)
        return
    # What was checkpointed by hand is done. But not all of it: an exception is never taken as success.
    rest = [each for each in portion.entries if not is_stored(each.record)] or portion.entries[-1:]
    verdict.handled += [each for each in portion.entries if each not in rest]
    _judge_all(verdict, Portion(rest, pauses=portion.pauses), error, policy)


def _judge_each(verdict: Verdict, portion: Portion, failed: dict[str, Exception], policy: Policy) -> None:
    again = and_those_behind(
        [each.record for each in portion.entries],
        {number for number, error in failed.items() if not policy.settles(error)},
    )
    repeated = []
    for entry in portion.entries:
        error = failed.get(entry.record.sequence_number)
        if error:
            _note(entry, error)
        if isinstance(error, FatalError):
            verdict.fatal = verdict.fatal or error
        if isinstance(error, SkipRecordError):
            verdict.skipped.append(entry)
        elif error or entry.record.sequence_number in again:
            repeated.append(entry)
        else:
            verdict.handled.append(entry)
    if repeated:
        verdict.again.append(Portion(repeated, pauses=portion.pauses + 1))


def _judge_all(verdict: Verdict, portion: Portion, error: Exception, policy: Policy) -> None:
    entries = portion.entries
    if isinstance(error, FatalError):
        verdict.fatal = error
        verdict.again.append(portion)
    elif len(entries) > 1 and isinstance(error, SkipRecordError | ParkRecordError):
        # It does not say which of them: each is handed out alone.
        verdict.again += [Portion([each]) for each in entries]
    elif len(entries) > 1 and policy.bisect_batch:
        half = (len(entries) + 1) // 2
        verdict.again += [Portion(entries[:half]), Portion(entries[half:])]
    else:
        for each in entries:
            _note(each, error)
        if isinstance(error, SkipRecordError):
            verdict.skipped += entries
        else:
            verdict.again.append(Portion(entries, pauses=portion.pauses + 1))


def _note(entry: Entry, error: Exception) -> None:
    """Remember a failed attempt; that another one is at it is none."""
    entry.error = error
    if not isinstance(error, InProgressError):
        entry.attempts += 1
