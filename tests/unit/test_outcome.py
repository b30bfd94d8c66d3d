"""What a handler says by returning or raising, and which records that is about."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from record_processor import (
    BatchItemFailures,
    ParkRecordError,
    Record,
    RetryableError,
    SkipRecordError,
)
from record_processor.pipeline.outcome import and_those_behind, failed_records, failures_in, settles


def _record(number: int, key: str = "a") -> Record:
    return Record.from_dynamodb_json(
        {"dynamodb": {"SequenceNumber": str(number), "Keys": {"pk": {"S": key}}}}, "shardId-1"
    )


# --- What is returned ---


@pytest.mark.parametrize(
    "returned",
    [
        None,
        {},
        {"batchItemFailures": []},
        {"batchItemFailures": None},
        BatchItemFailures([]),
        BatchItemFailures({}),
    ],
)
def test_all_was_handled(returned: Any) -> None:
    """Without a failure there is none: as Lambda reads it."""
    assert failures_in(returned) is None


def test_lambdas_response() -> None:
    """Its item identifiers are sequence numbers."""
    error = failures_in({"batchItemFailures": [{"itemIdentifier": "2"}, {"itemIdentifier": "7"}]})
    assert isinstance(error, BatchItemFailures)
    assert error.failures == {"2": None, "7": None}


def test_our_own_failures() -> None:
    """By records or by numbers, with reasons or without."""
    reason = ValueError("bad")
    failures = BatchItemFailures({_record(1): reason, "2": None})
    assert failures_in(failures) is failures
    assert failures.failures == {"1": reason, "2": None}
    assert BatchItemFailures([_record(3), "4"]).failures == {"3": None, "4": None}
    assert str(failures) == "2 records of the batch failed"


@pytest.mark.parametrize(
    "returned", [True, False, 0, 1, "", "ok", [], ["1"], {"batchItemFailure": []}, object()]
)
def test_what_nobody_understands_is_an_error(returned: Any) -> None:
    """It is never taken as success."""
    error = failures_in(returned)
    assert isinstance(error, TypeError)
    assert str(error) == (
        f"process_batch returned {type(returned).__name__}; return None, BatchItemFailures, or Lambda's "
        '{"batchItemFailures": [{"itemIdentifier": "<sequence number>"}]}'
    )


@pytest.mark.parametrize(
    "items",
    [
        ["1"],
        [{"itemIdentifier": 1}],
        [{"itemIdentifier": None}],
        [{}],
        [None],
        {"itemIdentifier": "1"},
        7,
        "x",
    ],
)
def test_a_malformed_response_is_an_error(items: Any) -> None:
    """Lambda, too, takes it as a failure of the whole batch."""
    error = failures_in({"batchItemFailures": items})
    assert isinstance(error, TypeError)
    assert str(error).startswith("process_batch returned batchItemFailures that are not [{'itemIdentifier'")


# --- Which records it is about ---


def test_the_records_that_are_named() -> None:
    """Each with its reason, or with one that says who named it."""
    reason = ValueError("bad")
    failed = failed_records([_record(1), _record(2), _record(3)], BatchItemFailures({"1": reason, "3": None}))
    assert failed is not None
    assert failed["1"] is reason
    assert isinstance(failed["3"], RetryableError)
    assert str(failed["3"]) == "process_batch says that this record failed"
    assert failed.keys() == {"1", "3"}


@pytest.mark.parametrize(
    "error",
    [ValueError(), RetryableError(), SkipRecordError(), BatchItemFailures([]), BatchItemFailures(["1", "9"])],
)
def test_all_if_nobody_says_which(error: Exception) -> None:
    """Also if a record is named that was not handed out: then nothing of it can be believed."""
    assert failed_records([_record(1), _record(2)], error) is None


def test_what_is_behind_a_failure_of_its_key() -> None:
    """And nothing else."""
    records = [_record(number, key) for number, key in enumerate("abacb", 1)]
    assert and_those_behind(records, {"1"}) == {"1", "3"}
    assert and_those_behind(records, {"2", "3"}) == {"2", "3", "5"}
    assert and_those_behind(records, set()) == set()


@given(st.lists(st.sampled_from("abc"), max_size=10), st.sets(st.integers(1, 10)))
def test_nothing_overtakes(keys: list[str], failed: set[int]) -> None:
    """What is not handed out again has nothing before it of its key that is."""
    records = [_record(number, key) for number, key in enumerate(keys, 1)]
    again = and_those_behind(records, {str(number) for number in failed})
    for number, key in enumerate(keys, 1):
        before = [n for n, other in enumerate(keys[:number], 1) if other == key]
        assert (str(number) in again) == bool(failed & {*before})


def test_what_settles_a_record() -> None:
    """To be skipped; to be parked, if there is where to."""
    assert settles(SkipRecordError(), can_park=False)
    assert settles(ParkRecordError(), can_park=True)
    assert not settles(ParkRecordError(), can_park=False)
    assert not settles(ValueError(), can_park=True)
    assert not settles(None, can_park=True)
