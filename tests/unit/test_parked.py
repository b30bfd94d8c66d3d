"""The document of a parked record."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from record_processor.parking import Condition, ErrorInfo, Parked
from record_processor.parking.parked import from_text, to_text
from record_processor.record import Record
from tests.parked_records import NOW, SHARD, STREAM_ARN, event, nasty, parked


def raised(error: Exception) -> Exception:
    """Return an exception that has a traceback."""

    def fail() -> None:
        raise error

    try:
        fail()
    except Exception as caught:  # noqa: BLE001
        return caught
    raise AssertionError


def test_the_document_is_lambdas_with_the_record_beside_it() -> None:
    """Names, places and words are Lambda's where it has them."""
    document = parked(error=raised(ValueError("no total")), pk="a").to_json()
    assert "test_parked.py" in document["error"].pop("traceback")
    assert document == {
        "version": "1.0",
        "timestamp": "2026-11-24T12:30:15.123Z",
        "requestContext": {
            "requestId": parked().id,
            "functionArn": "orders-to-search",
            "condition": "RetryAttemptsExhausted",
            "approximateInvokeCount": 3,
        },
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
        "DDBStreamBatchInfo": {
            "shardId": SHARD,
            "startSequenceNumber": "100",
            "endSequenceNumber": "100",
            "approximateArrivalOfFirstRecord": "2025-11-24T16:00:00.000Z",
            "approximateArrivalOfLastRecord": "2025-11-24T16:00:00.000Z",
            "batchSize": 1,
            "streamArn": STREAM_ARN,
        },
        "applicationName": "orders-to-search",
        "workerId": "host-1",
        "tableName": "orders",
        "error": {"type": "ValueError", "message": "no total"},
        "record": event(),
    }


def test_a_record_that_was_never_tried_has_no_error() -> None:
    """As when it was too old at once."""
    document = parked(condition=Condition.RECORD_AGE_EXCEEDED, attempts=0).to_json()
    assert "error" not in document
    assert "responseContext" not in document
    assert Parked.from_json(document).error is None


@given(nasty())
def test_the_document_is_read_as_it_was_written(given_: Parked) -> None:
    """Through text that is ASCII, so that no destination refuses a character."""
    text = to_text(given_.to_json())
    assert text.isascii()
    assert Parked.from_json(from_text(text)) == given_


@given(nasty())
def test_a_redriven_record_is_the_same_record(given_: Parked) -> None:
    """Its event id, its time and its images are those that were parked."""
    again = Record.from_dynamodb_json(given_.record, given_.shard_id)
    assert again.event_id == given_.record["eventID"]
    assert again.sequence_number == given_.sequence_number
    assert Record.from_dynamodb_json(again.to_dynamodb_json()).to_dynamodb_json() == again.to_dynamodb_json()


def test_the_id_is_the_same_when_the_record_is_parked_again() -> None:
    """It depends on where the record is from, and on nothing that may differ the next time."""
    first = parked()
    again = parked(pk="other", attempts=9, now=NOW + timedelta(hours=1), error=ValueError(), data="x")
    assert first.id == again.id
    others = [
        replace(first, application_name="x"),
        replace(first, stream_arn="x"),
        replace(first, shard_id="x"),
        replace(first, sequence_number="1"),
    ]
    assert len({first.id, *(each.id for each in others)}) == 5


def test_without_a_stream_the_table_makes_the_id() -> None:
    """The daemon need not know the stream's ARN."""
    first = replace(parked(), stream_arn="")
    assert first.id != replace(first, table_name="x").id


@given(st.text(st.characters(exclude_categories=())), st.text(st.characters(exclude_categories=())))
def test_different_names_are_different_paths(one: str, other: str) -> None:
    """No two shards share a file, and no path leads elsewhere."""
    paths = [replace(parked(), shard_id=each).path for each in (one, other)]
    assert (paths[0] == paths[1]) == (one == other)
    for path in paths:
        folders = path.split("/")
        assert len(folders) == 4
        assert path.isascii()
        assert all(part and not part.startswith(".") and len(part) <= 200 for part in folders)


@pytest.mark.parametrize("millis", [-(10**18), 10**18])
def test_a_time_that_nobody_has_is_left_out(millis: int) -> None:
    """A record must not be impossible to park because of its time."""
    record = event()
    record["dynamodb"]["ApproximateCreationDateTime"] = millis
    document = replace(parked(), record=record).to_json()
    assert "approximateArrivalOfFirstRecord" not in document["DDBStreamBatchInfo"]
    assert document["record"] == record


class UnprintableError(Exception):
    """Cannot be shown."""

    def __str__(self) -> str:
        """Fail."""
        raise RuntimeError


def test_an_error_is_of_bounded_length() -> None:
    """Its message from the beginning, its traceback up to the end."""
    info = ErrorInfo.of(raised(ValueError("x" * 100_000 + "end")))
    assert info.message == "x" * 1_000
    assert len(info.traceback) == 8_000
    assert info.traceback.endswith("end\n")


def test_an_error_without_text_can_be_parked() -> None:
    """Whatever the user's exception does."""
    info = ErrorInfo.of(raised(UnprintableError()))
    assert info.type == f"{__name__}.UnprintableError"
    assert info.message == "its message cannot be shown"
    assert "UnprintableError" in info.traceback


def test_what_a_handler_did_to_the_record_is_not_parked() -> None:
    """It is the record as it came."""
    record = Record.from_dynamodb_json(event(), SHARD)
    assert record.new_image is not None
    record.new_image["pk"] = "changed"
    made = Parked.of(record, Condition.PARK_REQUESTED, None, 1, application_name="a", worker_id="w", now=NOW)
    assert made.record == event()


def _without(name: str, *inner: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(to_text(parked().to_json()))
    where = document
    for each in (name, *inner)[:-1]:
        where = where[each]
    del where[(name, *inner)[-1]]
    return document


@pytest.mark.parametrize(
    "document",
    [
        {},
        {**parked().to_json(), "version": "2.0"},
        {**parked().to_json(), "record": []},
        {**parked().to_json(), "timestamp": "yesterday"},
        _without("record"),
        _without("applicationName"),
        _without("requestContext", "condition"),
        _without("DDBStreamBatchInfo", "shardId"),
        {
            **parked().to_json(),
            "DDBStreamBatchInfo": {"shardId": "s", "startSequenceNumber": "", "streamArn": ""},
        },
    ],
)
def test_another_document_is_refused_without_being_quoted(document: dict[str, Any]) -> None:
    """What is wrong is told, by its place."""
    with pytest.raises(ValueError, match=r"it is no parked record: |its sequence number is no number"):
        Parked.from_json(document)


@pytest.mark.parametrize("text", ["", "x", "[]", '"x"', "[" * 100_000, "1" * 10_000, b"\xff"])
def test_what_is_no_object_is_refused(text: str | bytes) -> None:
    """However deep, long or broken it is."""
    with pytest.raises(ValueError, match=r"^it is no JSON( object)?$"):
        from_text(text)


def test_the_document_in_the_docs_is_one() -> None:
    """docs/parking.md shows what is written, with nothing more and nothing less."""
    page = (Path(__file__).parents[2] / "docs" / "parking.md").read_text("utf-8")
    shown = json.loads(page.partition("```json\n")[2].partition("```")[0])
    written = Parked.from_json(shown).to_json()
    written["requestContext"]["requestId"] = shown["requestContext"]["requestId"]
    assert written == shown


def test_times_are_in_utc() -> None:
    """Whatever zone the clock was in."""
    zone = timezone(timedelta(hours=5))
    assert parked(now=datetime(2026, 1, 1, 3, tzinfo=zone)).parked_at == datetime(
        2025, 12, 31, 22, tzinfo=timezone.utc
    )
