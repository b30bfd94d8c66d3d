"""What becomes of records whose handler failed: each rule of error handling, by itself."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from record_processor import (
    BatchItemFailures,
    FatalError,
    FencedError,
    InProgressError,
    ParkRecordError,
    Record,
    SkipRecordError,
)
from record_processor.change import Change
from record_processor.parking.parked import Condition
from record_processor.pipeline.entry import Entry, Portion
from record_processor.pipeline.outcome import Outcome
from record_processor.pipeline.policy import Policy, Verdict, judge
from record_processor.pipeline.retry import Backoff
from record_processor.record import RecordSource
from record_processor.values import IMAGE_DECODERS

BORN = 1_764_000_000
BACKOFF = Backoff(0.1, 1.0, uniform=lambda _, most: most)
POLICY = Policy(BACKOFF)
PARKS = Policy(BACKOFF, maximum_retry_attempts=2, maximum_record_age_seconds=60, can_park=True)


def _entry(number: int, key: str = "", attempts: int = 0, error: Exception | None = None) -> Entry:
    keys = {"pk": {"S": key or f"item-{number}"}}
    change = {"SequenceNumber": str(number), "Keys": keys, "ApproximateCreationDateTime": BORN}
    record = Record.from_dynamodb_json({"dynamodb": change}, "shardId-1")
    return Entry(record, None, 0.0, attempts=attempts, error=error)


def _portion(count: int, keys: str = "") -> Portion:
    return Portion([_entry(n, keys[n - 1] if keys else "") for n in range(1, count + 1)], pauses=3)


def _judge(
    portion: Portion, outcome: Outcome | Exception, policy: Policy = POLICY, stored: int = 0
) -> Verdict:
    if isinstance(outcome, Exception):
        outcome = Outcome(outcome)
    return judge(portion, outcome, policy, lambda record: int(record.sequence_number) <= stored)


def _numbers(entries: Iterable[Entry]) -> list[int]:
    return [int(entry.record.sequence_number) for entry in entries]


def _again(verdict: Verdict) -> list[tuple[list[int], int]]:
    return [(_numbers(portion.entries), portion.pauses) for portion in verdict.again]


# --- Giving up ---


def test_nothing_is_given_up_without_a_destination() -> None:
    """However often it failed, however old it is, whatever the handler wants."""
    policy = Policy(BACKOFF, maximum_retry_attempts=0, maximum_record_age_seconds=60)
    entry = _entry(1, attempts=10**6, error=ParkRecordError())
    assert policy.given_up(entry, BORN + 10**9) is None


@pytest.mark.parametrize(
    ("attempts", "condition"), [(0, None), (2, None), (3, Condition.RETRY_ATTEMPTS_EXHAUSTED)]
)
def test_given_up_after_so_many_retries(attempts: int, condition: Condition | None) -> None:
    """A retry is an attempt after the first: with 2 there are 3 attempts."""
    assert PARKS.given_up(_entry(1, attempts=attempts), BORN) == condition


@pytest.mark.parametrize(("age", "condition"), [(60, None), (60.1, Condition.RECORD_AGE_EXCEEDED)])
def test_given_up_when_it_is_older(age: float, condition: Condition | None) -> None:
    """By the time that the record says it was made at."""
    assert PARKS.given_up(_entry(1), BORN + age) == condition


@pytest.mark.parametrize("details", [b"\xc0", b"\xc1"], ids=["without details", "malformed"])
def test_a_record_that_does_not_say_when_it_was_made_is_not_too_old(details: bytes) -> None:
    """Its handler decides."""
    nothing = msgspec.Raw(b"\xc0")
    change = Change("1", "INSERT", nothing, nothing, nothing, msgspec.Raw(details))
    source = RecordSource("", "", "shardId-1", IMAGE_DECODERS["int"])
    assert PARKS.given_up(Entry(Record(change, source), None, 0.0), BORN + 10**9) is None


def test_given_up_because_the_handler_says_so() -> None:
    """At once, and whatever the limits."""
    policy = Policy(BACKOFF, can_park=True)
    assert policy.given_up(_entry(1, attempts=1, error=ParkRecordError()), BORN) == Condition.PARK_REQUESTED
    assert policy.given_up(_entry(1, attempts=10**6, error=ValueError()), BORN + 10**9) is None


# --- One record ---


def test_a_failed_record_comes_again() -> None:
    """With one more attempt, its error, and a longer pause."""
    portion, error = _portion(1), ValueError()
    verdict = _judge(portion, error)
    assert _again(verdict) == [([1], 4)]
    assert (portion.entries[0].attempts, portion.entries[0].error) == (1, error)


@pytest.mark.parametrize("error", [InProgressError(), FencedError()])
def test_that_another_call_is_at_it_is_no_attempt(error: Exception) -> None:
    """Raised by the handler's own store, too."""
    portion = _portion(1)
    assert _again(_judge(portion, error)) == [([1], 4)]
    assert portion.entries[0].attempts == 0


def test_skipped() -> None:
    """It is over with."""
    verdict = _judge(_portion(1), SkipRecordError())
    assert (_numbers(verdict.skipped), verdict.again, verdict.handled) == ([1], [], [])


def test_fatal() -> None:
    """It is neither handled nor an attempt."""
    error, portion = FatalError(), _portion(2)
    verdict = _judge(portion, error)
    assert verdict.fatal is error
    assert (verdict.handled, verdict.skipped, portion.entries[0].attempts) == ([], [], 0)


# --- A batch that does not say which ---


def test_a_failed_batch_comes_again_whole() -> None:
    """Each of its records has failed once more."""
    portion = _portion(3)
    assert _again(_judge(portion, ValueError())) == [([1, 2, 3], 4)]
    assert [entry.attempts for entry in portion.entries] == [1, 1, 1]


@pytest.mark.parametrize(("stored", "again"), [(0, [1, 2, 3]), (2, [3]), (3, [3])])
def test_without_what_was_checkpointed_by_hand(stored: int, again: list[int]) -> None:
    """But never without all: it raised."""
    verdict = _judge(_portion(3), ValueError(), stored=stored)
    assert _again(verdict) == [(again, 4)]
    assert _numbers(verdict.handled) == [number for number in (1, 2, 3) if number not in again]


@pytest.mark.parametrize("count", [2, 3, 7])
def test_bisected(count: int) -> None:
    """In two halves, at once, without an attempt: Lambda does not count it either."""
    portion = _portion(count)
    verdict = _judge(portion, ValueError(), Policy(BACKOFF, bisect_batch=True))
    half = (count + 1) // 2
    assert _again(verdict) == [([*range(1, half + 1)], 0), ([*range(half + 1, count + 1)], 0)]
    assert {entry.attempts for entry in portion.entries} == {0}


def test_a_single_record_is_not_bisected() -> None:
    """It has failed."""
    assert _again(_judge(_portion(1), ValueError(), Policy(BACKOFF, bisect_batch=True))) == [([1], 4)]


@pytest.mark.parametrize("error", [SkipRecordError(), ParkRecordError()])
@pytest.mark.parametrize("bisects", [True, False])
def test_to_skip_or_park_a_batch_takes_it_apart(error: Exception, bisects: bool) -> None:
    """It means one of them: each is asked alone, at once."""
    verdict = _judge(_portion(3), error, Policy(BACKOFF, bisect_batch=bisects, can_park=True))
    assert _again(verdict) == [([1], 0), ([2], 0), ([3], 0)]
    assert verdict.skipped == []


# --- A batch that says which ---


def test_those_that_failed_and_those_behind_them() -> None:
    """Only the ones that failed have an attempt more."""
    portion = _portion(5, "ababc")
    verdict = _judge(portion, BatchItemFailures(["2"]), Policy(BACKOFF, bisect_batch=True))
    assert _again(verdict) == [([2, 4], 4)]
    assert _numbers(verdict.handled) == [1, 3, 5]
    assert [entry.attempts for entry in portion.entries] == [0, 1, 0, 0, 0]


def test_each_ones_own_reason_counts() -> None:
    """Skipped, parked, fatal, another try: side by side."""
    fatal = FatalError()
    failures = BatchItemFailures({"1": SkipRecordError(), "2": ParkRecordError(), "3": fatal, "4": None})
    portion = _portion(5)
    verdict = _judge(portion, failures, PARKS)
    assert (_numbers(verdict.skipped), _numbers(verdict.handled)) == ([1], [5])
    assert _again(verdict) == [([2, 3, 4], 4)]
    assert verdict.fatal is fatal
    assert PARKS.given_up(portion.entries[1], BORN) == Condition.PARK_REQUESTED


@pytest.mark.parametrize(
    ("error", "policy", "handled"),
    [
        (SkipRecordError(), POLICY, [2]),
        (ParkRecordError(), PARKS, [2]),
        (ParkRecordError(), POLICY, []),
        (ValueError(), PARKS, []),
    ],
)
def test_behind_one_that_never_comes_again(error: Exception, policy: Policy, handled: list[int]) -> None:
    """Nothing was overtaken, so what is behind it is handled."""
    verdict = _judge(_portion(2, "aa"), BatchItemFailures({"1": error}), policy)
    assert _numbers(verdict.handled) == handled


# --- The idempotency store ---


def test_held_and_done() -> None:
    """What was done before is handled; what is held comes again in its place; the error is about the rest."""
    portion = _portion(4)
    outcome = Outcome(ValueError(), frozenset({"1"}), {"2": InProgressError()})
    verdict = _judge(portion, outcome)
    assert _numbers(verdict.handled) == [1]
    assert _again(verdict) == [([2, 3, 4], 4)]
    assert [entry.attempts for entry in portion.entries] == [0, 0, 1, 1]


def test_held_by_something_else_is_an_attempt() -> None:
    """Such as a record that has no idempotencyKey: it is at fault itself."""
    portion = _portion(1)
    _judge(portion, Outcome(None, frozenset(), {"1": KeyError("orderId")}))
    assert portion.entries[0].attempts == 1


# --- Pauses ---


@given(st.integers(1, 10_000), st.floats(0.001, 10), st.floats(0.001, 1000), st.floats(0, 1))
def test_pauses_stay_within_their_limits(attempt: int, first: float, maximum: float, chance: float) -> None:
    """A pause is at least the first and at most the maximum, if that is not less; and it never overflows."""
    backoff = Backoff(first, maximum, uniform=lambda least, most: least + (most - least) * chance)
    assert first <= backoff.seconds(attempt) <= max(first, maximum) * (1 + 1e-9)


def test_pauses_grow_from_the_first_to_the_maximum() -> None:
    """The first is quick, each later one may be twice as long."""
    assert [BACKOFF.seconds(attempt) for attempt in range(1, 7)] == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]


def test_jitter_is_random_by_default() -> None:
    """Shards that failed together do not come back together."""
    backoff = Backoff(0.1, 30.0)
    assert len({backoff.seconds(8) for _ in range(20)}) > 1


# --- The law ---

reasons = st.sampled_from([None, ValueError(), SkipRecordError(), ParkRecordError(), FatalError()])


@settings(max_examples=500)
@given(
    keys=st.text("abc", min_size=1, max_size=8),
    failures=st.dictionaries(st.integers(1, 9), reasons, max_size=4),
    whole=st.one_of(st.none(), st.sampled_from([ValueError(), SkipRecordError(), ParkRecordError()])),
    policy=st.builds(
        lambda bisects, parks: Policy(BACKOFF, bisect_batch=bisects, can_park=parks),
        st.booleans(),
        st.booleans(),
    ),
    stored=st.integers(0, 9),
)
def test_each_record_has_one_fate(
    *,
    keys: str,
    failures: dict[int, Exception | None],
    whole: Exception | None,
    policy: Policy,
    stored: int,
) -> None:
    """Handled, skipped or handed out again, and no record twice; in order; an exception is never a success."""
    error = whole or BatchItemFailures({str(number): reason for number, reason in failures.items()})
    verdict = _judge(_portion(len(keys), keys), error, policy, stored)
    again = [number for numbers, _ in _again(verdict) for number in numbers]
    fates = [*_numbers(verdict.handled), *_numbers(verdict.skipped), *again]
    assert sorted(fates) == [*range(1, len(keys) + 1)]
    assert again == sorted(again)
    assert again or verdict.skipped
