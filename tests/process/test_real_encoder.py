"""Nothing is lost between the AWS SDK's record and ours: DynamoDB's JSON, the daemon's encoders, `Record`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.encoder import Encoded, Encoder
from record_processor import Record
from record_processor.record import RecordSource
from record_processor.worker.messages import FRAMES, LINES, Message, ProcessRecords
from tests.items import typed
from tests.stream_records import AS_JSON, Form, in_full, in_powers, keys, names, values, written

SOURCE: Final = RecordSource(
    "arn:aws:dynamodb:eu-west-1:123456789012:table/orders/stream/2026-11-23T23:45:06.970",
    "orders",
    "shardId-1",
)
EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
CREATED_MILLIS: Final = 1764000000123
FORMS: Final = [AS_JSON, Form(in_full), Form(in_powers)]

images = st.none() | st.builds(dict.__or__, st.dictionaries(names, values, max_size=5), keys)


@pytest.fixture(scope="module")
def encoder() -> Iterator[Encoder]:
    """One JVM for all."""
    with Encoder() as jvm:
        yield jvm


def event(number: int, **change: Any) -> dict[str, Any]:
    """Return a record in DynamoDB's JSON; what is None is left out."""
    return {
        "eventID": f"e{number}",
        "eventName": "MODIFY",
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "eu-west-1",
        "dynamodb": {
            "ApproximateCreationDateTime": CREATED_MILLIS,
            "SequenceNumber": str(10**30 + number),
            "SizeBytes": 59,
            "StreamViewType": "NEW_AND_OLD_IMAGES",
            **{name: value for name, value in change.items() if value is not None},
        },
    }


def decoded(encoded: Encoded) -> list[list[Record]]:
    """Read a batch as a worker does on the socket, and as one does on standard input."""
    length, payload = encoded.frame[:4], encoded.frame[4:]
    assert int.from_bytes(length, "big") == len(payload)
    return [_records(FRAMES.parse(payload)), _records(LINES.parse(encoded.line.removesuffix(b"\n")))]


def _records(message: Message) -> list[Record]:
    assert isinstance(message, ProcessRecords)
    return [Record(change, SOURCE) for change in message.records]


def image_written(item: dict[str, Any] | None, form: Form = AS_JSON) -> dict[str, Any] | None:
    """Write keys or an image."""
    return None if item is None else {name: written(value, form) for name, value in item.items()}


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.lists(st.tuples(keys, images, images), max_size=3), st.sampled_from(FORMS))
def test_every_item_comes_back_exactly(
    encoder: Encoder, items: list[tuple[Any, Any, Any]], form: Form
) -> None:
    """Keys and both images, on both wires, types and every digit included, however a number is written."""
    events = [
        event(
            number,
            Keys=image_written(key, form),
            NewImage=image_written(new, form),
            OldImage=image_written(old, form),
        )
        for number, (key, new, old) in enumerate(items)
    ]
    for records in decoded(encoder.encode(events)):
        assert [record.sequence_number for record in records] == [str(10**30 + n) for n in range(len(items))]
        assert [typed([record.keys, record.new_image, record.old_image]) for record in records] == [
            typed(list(item)) for item in items
        ]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.number.__name__)
@pytest.mark.parametrize(
    "value",
    [
        Decimal("1E-130"),
        -Decimal("9.9999999999999999999999999999999999999E-130"),
        99999999999999999999999999999999999999 * 10**88,
        -(10**38) + 1,
        Decimal("0.1000000000000000055511151231257827021"),
        2**63 - 1,
        -(2**63),
        2**63,
        0,
        "",
        b"",
        [],
        {},
        bytes(range(256)) * 1500,
        "\0\x1b\u2028\ufeff\U0010ffff",
        {"\0": {"": [None, True, {Decimal("0.5"), 1}, {"a"}, {b"\0"}]}},
    ],
    ids=lambda value: repr(value)[:40],
)
def test_the_edges(encoder: Encoder, value: Any, form: Form) -> None:
    """The largest, the smallest, the empty and the odd: always, not only when they are drawn."""
    image = {"pk": "a", "x": value}
    for (record,) in decoded(encoder.encode([event(1, NewImage=image_written(image, form))])):
        assert typed(record.new_image) == typed(image)


def test_as_deep_as_dynamodb_nests(encoder: Encoder) -> None:
    """32 levels: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Limits.html."""
    value: Any = [Decimal("0.5")]
    for level in range(31):
        value = {"deeper": value} if level % 2 else [value]
    for (record,) in decoded(encoder.encode([event(1, OldImage=image_written({"x": value}))])):
        assert record.old_image == {"x": value}


def test_every_field(encoder: Encoder) -> None:
    """What a removal by time to live says of itself."""
    removal = event(7, Keys={"pk": {"S": "a"}}, OldImage={"pk": {"S": "a"}}) | {
        "eventName": "REMOVE",
        "userIdentity": {"type": "Service", "principalId": "dynamodb.amazonaws.com"},
    }
    for (record,) in decoded(encoder.encode([removal])):
        assert (record.event_id, record.event_name, record.event_version) == ("e7", "REMOVE", "1.1")
        assert (record.event_source, record.aws_region) == ("aws:dynamodb", "eu-west-1")
        assert (record.size_bytes, record.stream_view_type) == (59, "NEW_AND_OLD_IMAGES")
        assert record.created_at == EPOCH + timedelta(milliseconds=CREATED_MILLIS)
        assert record.is_ttl_delete
        assert (record.keys, record.new_image, record.old_image) == ({"pk": "a"}, None, {"pk": "a"})


def test_a_record_that_the_encoders_refuse(capfd: pytest.CaptureFixture[str]) -> None:
    """It is an error and not a wait without end."""
    half = event(1, Keys={"pk": {"S": "\ud83d"}})
    with Encoder() as jvm, pytest.raises(RuntimeError, match="the encoder ended"):
        jvm.encode([half])
    assert "half a surrogate pair" in capfd.readouterr().err
