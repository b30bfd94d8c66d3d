"""Parked records for tests, among them what hypothesis draws."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any, Final

from hypothesis import strategies as st

from record_processor.parking import Condition, ErrorInfo, Parked
from record_processor.record import Record
from tests.stream_records import keys, names, values, written

STREAM_ARN: Final = "arn:aws:dynamodb:eu-west-1:123456789012:table/orders/stream/2026-11-23T23:45:06.970"
NOW: Final = datetime(2026, 11, 24, 12, 30, 15, 123_000, timezone.utc)
SHARD: Final = "shardId-00000001700000000000-a1b2c3d4"


def event(sequence_number: str = "100", pk: str = "a", **image: Any) -> dict[str, Any]:
    """Return an insert as AWS's event; `image` are further attributes, as Python values."""
    return {
        "eventID": f"event-{sequence_number}",
        "eventName": "INSERT",
        "eventSource": "aws:dynamodb",
        "awsRegion": "eu-west-1",
        "dynamodb": {
            "ApproximateCreationDateTime": 1764000000,
            "Keys": {"pk": {"S": pk}},
            "NewImage": {"pk": {"S": pk}, **{name: written(value) for name, value in image.items()}},
            "SequenceNumber": sequence_number,
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
        "eventSourceARN": STREAM_ARN,
    }


def parked(
    sequence_number: str = "100",
    pk: str = "a",
    *,
    shard_id: str = SHARD,
    application_name: str = "orders-to-search",
    error: Exception | None = None,
    condition: Condition = Condition.RETRY_ATTEMPTS_EXHAUSTED,
    attempts: int = 3,
    now: datetime = NOW,
    **image: Any,
) -> Parked:
    """Return a parked record, made as the pipeline makes it."""
    return Parked.of(
        Record.from_dynamodb_json(event(sequence_number, pk, **image), shard_id),
        condition,
        error,
        attempts,
        application_name=application_name,
        worker_id="host-1",
        now=now,
    )


_images = st.dictionaries(names, values, max_size=4).map(
    lambda item: {name: written(value) for name, value in item.items()}
)
_texts = st.text(st.characters(exclude_categories=()), max_size=60)


@st.composite
def nasty(draw: st.DrawFn) -> Parked:
    """Draw a record of any content, and any reason for giving it up."""
    drawn = event(str(draw(st.integers(1, 10**30))))
    drawn["dynamodb"] |= {
        "Keys": {name: written(value) for name, value in draw(keys).items()},
        "NewImage": draw(_images),
        "OldImage": draw(_images),
    }
    return Parked(
        record=drawn,
        condition=draw(st.sampled_from(Condition)).value,
        error=draw(st.none() | st.builds(ErrorInfo, _texts, _texts, _texts)),
        attempts=draw(st.integers(0, 2**31)),
        shard_id=draw(st.just(SHARD) | st.from_regex(r"\A[a-zA-Z0-9-]{1,65}\Z")),
        stream_arn=STREAM_ARN,
        table_name="orders",
        sequence_number=drawn["dynamodb"]["SequenceNumber"],
        application_name="orders-to-search",
        worker_id="host-1",
        parked_at=draw(
            st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1), timezones=st.just(timezone.utc))  # noqa: DTZ001
        ).replace(microsecond=0),
    )
