"""Record and DynamoDB's JSON: lossless, lazy, and safe with hostile input."""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from datetime import datetime, timezone
from decimal import Context, Decimal, localcontext
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from record_processor import ConfigurationError, DecodeError, Record
from record_processor.record import RecordSource, decode_item

SOURCE = RecordSource(
    "arn:aws:dynamodb:eu-west-1:123456789012:table/orders/stream/2024", "orders", "shardId-1"
)


def _event(**change: Any) -> dict[str, Any]:
    return {
        "eventID": "e1",
        "eventName": "MODIFY",
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "eu-west-1",
        "dynamodb": {
            "ApproximateCreationDateTime": 1764000000123,
            "Keys": {"pk": {"S": "a"}},
            "SequenceNumber": "100",
            "SizeBytes": 12,
            "StreamViewType": "NEW_AND_OLD_IMAGES",
            **change,
        },
    }


def _record(**change: Any) -> Record:
    return Record.from_event(_event(**change), SOURCE)


def _raw(data: bytes) -> Record:
    wire = {"data": base64.b64encode(data).decode(), "sequenceNumber": "100"}
    return Record.from_wire(wire, SOURCE)


unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

# --- The law: what was encoded comes back ---


def _encode(value: Any) -> dict[str, Any]:  # noqa: PLR0911  # one for each type
    """Write a value as DynamoDB does: the law's other half, written without looking at the decoder."""
    if value is None:
        return {"NULL": True}
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, int | Decimal):
        return {"N": str(value)}
    if isinstance(value, bytes):
        return {"B": base64.b64encode(value).decode()}
    if isinstance(value, dict):
        return {"M": {name: _encode(inner) for name, inner in value.items()}}
    if isinstance(value, list):
        return {"L": [_encode(inner) for inner in value]}
    members = [_encode(member) for member in value]
    (type_name,) = {name for member in members for name in member}
    return {f"{type_name}S": [member[type_name] for member in members]}


digits = st.integers(-(10**38) + 1, 10**38 - 1)
fractions = st.builds(
    lambda n, e: Decimal(n).scaleb(e, Context(prec=50)), digits, st.integers(-130, -1)
).filter(lambda number: number % 1 != 0 if abs(number) < 10**20 else False)
numbers = st.one_of(
    digits, st.builds(lambda n, e: n * 10**e, st.integers(1, 9), st.integers(0, 125)), fractions
)
strings = st.text(st.characters(exclude_categories=()))
scalars = st.one_of(st.none(), st.booleans(), strings, numbers, st.binary())
sets = st.one_of(
    st.sets(strings, min_size=1), st.sets(numbers, min_size=1), st.sets(st.binary(min_size=1), min_size=1)
)
values = st.recursive(
    st.one_of(scalars, sets),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(strings, inner)),
    max_leaves=8,
)


def _typed(value: Any) -> Any:
    """Make 1, True and Decimal(1) different, as they are."""
    if isinstance(value, dict):
        return {name: _typed(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_typed(inner) for inner in value]
    if isinstance(value, set):
        return {_typed(inner) for inner in value}
    return (type(value), value)


@unhurried
@given(st.dictionaries(strings, values, min_size=1))
def test_every_item_comes_back_exactly(item: dict[str, Any]) -> None:
    """Decoding is the inverse of encoding, types and every digit included, through the whole wire."""
    record = _record(NewImage={name: _encode(value) for name, value in item.items()})
    assert _typed(record.new_image) == _typed(item)


@unhurried
@given(numbers)
def test_no_decimal_context_rounds(number: int | Decimal) -> None:
    """Numbers are exact whatever decimal context the user's code has set."""
    with localcontext(Context(prec=3, traps=[])):
        assert decode_item({"n": {"N": str(number)}}) == {"n": number}


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("110111111111111110000000000000000000000", 110111111111111110000000000000000000000),
        ("9.9999999999999999999999999999999999999E+125", 99999999999999999999999999999999999999 * 10**88),
        ("1E+125", 10**125),
        ("1E-130", Decimal("1E-130")),
        ("-0.0", 0),
        ("1.50", Decimal("1.5")),
        ("1.0", 1),
    ],
)
def test_numbers(text: str, number: int | Decimal) -> None:
    """Whole numbers are int, however they are written; others are Decimal."""
    decoded = decode_item({"n": {"N": text}})["n"]
    assert decoded == number
    assert type(decoded) is type(number)


# --- Fields ---


def test_every_field() -> None:
    """Every field of the stream record is there, under its own name."""
    record = _record(NewImage={"pk": {"S": "a"}, "n": {"N": "1"}}, OldImage={"pk": {"S": "a"}})
    assert (record.event_id, record.event_name, record.event_version) == ("e1", "MODIFY", "1.1")
    assert (record.event_source, record.aws_region) == ("aws:dynamodb", "eu-west-1")
    assert (record.stream_arn, record.table_name, record.shard_id) == SOURCE
    assert (record.keys, record.new_image, record.old_image) == (
        {"pk": "a"},
        {"pk": "a", "n": 1},
        {"pk": "a"},
    )
    assert (record.sequence_number, record.size_bytes) == ("100", 12)
    assert record.stream_view_type == "NEW_AND_OLD_IMAGES"
    assert record.approximate_creation_date_time == datetime(2025, 11, 24, 16, 0, 0, 123000, timezone.utc)
    assert record.user_identity is None
    assert not record.is_ttl_delete


@pytest.mark.parametrize("image", [{}, {"NewImage": {}}, {"NewImage": None}])
def test_a_missing_image_is_none(image: dict[str, Any]) -> None:
    """The adapter writes a missing image as `{}` or leaves it out."""
    assert _record(**image).new_image is None


def test_what_is_not_there_is_none() -> None:
    """Optional fields of the stream record may be missing."""
    record = _raw(b'{"eventName": "INSERT", "dynamodb": {}}')
    assert (record.size_bytes, record.stream_view_type, record.approximate_creation_date_time) == (None,) * 3
    assert record.keys == {}


@pytest.mark.parametrize(
    ("name", "identity", "is_ttl"),
    [
        ("REMOVE", {"principalId": "dynamodb.amazonaws.com", "type": "Service"}, True),
        ("MODIFY", {"principalId": "dynamodb.amazonaws.com", "type": "Service"}, False),
        ("REMOVE", {"principalId": "someone", "type": "User"}, False),
        ("REMOVE", None, False),
    ],
)
def test_time_to_live(name: str, identity: dict[str, str] | None, is_ttl: bool) -> None:
    """A deletion by time to live is a REMOVE by the service itself."""
    event = {**_event(), "eventName": name, "userIdentity": identity}
    assert Record.from_event(event, SOURCE).is_ttl_delete is is_ttl


def test_records_cannot_be_changed() -> None:
    """A record's fields cannot be assigned."""
    with pytest.raises(AttributeError):
        _record().keys = {}  # type: ignore[misc]


def test_decoding_happens_once() -> None:
    """The same image is returned again, not decoded again."""
    record = _record(NewImage={"pk": {"S": "a"}}, OldImage={"pk": {"S": "b"}})
    assert record.new_image is record.new_image
    assert record.old_image is record.old_image
    assert record.keys is record.keys


def test_undecoded_forgets_what_a_handler_changed() -> None:
    """A retried handler gets the record as it came."""
    record = _record(NewImage={"pk": {"S": "a"}})
    (record.new_image or {}).clear()
    assert record.undecoded().new_image == {"pk": "a"}


def test_repr_holds_nothing_of_the_item() -> None:
    """What ends up in a log names the record only."""
    record = _record(NewImage={"pk": {"S": "canary"}})
    assert repr(record) == "<Record 100 of shardId-1, table orders>"


# --- Changes ---


def test_changes() -> None:
    """Attributes that were added, removed or changed, each with old and new value."""
    old = {"pk": {"S": "a"}, "status": {"S": "open"}, "gone": {"N": "1"}, "tags": {"SS": ["a", "b"]}}
    new = {"pk": {"S": "a"}, "status": {"S": "paid"}, "added": {"NULL": True}, "tags": {"SS": ["b", "a"]}}
    changes = _record(OldImage=old, NewImage=new).changes()
    assert changes == {"status": ("open", "paid"), "gone": (1, None), "added": (None, None)}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"BOOL": True}, {"N": "1"}),
        ({"L": [{"BOOL": False}]}, {"L": [{"N": "0"}]}),
        ({"M": {"a": {"BOOL": True}}}, {"M": {"a": {"N": "1"}}}),
        ({"L": []}, {"L": [{"N": "0"}]}),
    ],
)
def test_changes_of_type_are_changes(old: dict[str, Any], new: dict[str, Any]) -> None:
    """Python takes True for 1; DynamoDB does not."""
    assert "x" in _record(OldImage={"x": old}, NewImage={"x": new}).changes()


def test_changes_without_both_images_is_an_error() -> None:
    """With one image only, every attribute would seem to have changed."""
    with pytest.raises(ConfigurationError, match="table orders has the view type NEW_IMAGE"):
        _record(StreamViewType="NEW_IMAGE").changes()


# --- Hostile shapes ---

CANARY = "canary"
HOSTILE_VALUES: list[object] = [
    {},
    {"S": "a", "N": "1"},
    {"X": CANARY},
    {"S": 1},
    {"N": 1},
    *(
        {"N": text}
        for text in ("", CANARY, "NaN", "Infinity", "1_0", " 1", "٣", "1E999999999", "1E-9999", "9" * 5000)
    ),
    {"B": CANARY + "!"},
    {"B": 1},
    {"B": "é"},
    {"BOOL": "true"},
    {"NULL": False},
    {"L": {}},
    {"M": []},
    {"SS": CANARY},
    {"NS": ["x"]},
    {"BS": [1]},
    "text",
    None,
]


@pytest.mark.parametrize("value", HOSTILE_VALUES, ids=lambda value: str(value)[:30])
def test_hostile_values(value: object) -> None:
    """A value that DynamoDB does not send is a DecodeError that names the record and quotes nothing."""
    record = _record(NewImage={"attribute": value})
    with pytest.raises(DecodeError, match="record 100 cannot be decoded") as caught:
        _ = record.new_image
    assert CANARY not in str(caught.value)


def test_nesting_without_end() -> None:
    """Nesting that Python cannot follow is a DecodeError, in the JSON and in the values."""
    deep = b'{"dynamodb":' + b"[" * 200_000
    with pytest.raises(DecodeError):
        _ = _raw(deep).keys
    value: dict[str, Any] = {"S": "x"}
    for _ in range(5000):
        value = {"L": [value]}
    with pytest.raises(DecodeError, match="nested too deeply"):
        decode_item({"x": value})


def _touch(record: Record) -> None:
    _ = (record.event_name, record.user_identity, record.approximate_creation_date_time)
    _ = (record.size_bytes, record.keys)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"canary",
        b"[]",
        b"null",
        b'{"eventName": 1}',
        b'{"dynamodb": []}',
        b'{"dynamodb": {"SizeBytes": "x"}}',
        b'{"dynamodb": {"ApproximateCreationDateTime": 1e300}}',
        b"\xff\xfe",
        b'{"userIdentity": 1}',
        b'{"dynamodb": {"ApproximateCreationDateTime": 99999999999999999999}}',
        b'{"dynamodb": {"Keys": [1]}}',
    ],
)
def test_hostile_records(body: bytes) -> None:
    """A record of any broken shape is a DecodeError that names the record and quotes nothing."""
    record = _raw(body)
    with pytest.raises(DecodeError, match="record 100 cannot be decoded") as caught:
        _touch(record)
    assert CANARY not in str(caught.value)


def test_base64_that_is_none() -> None:
    """Data that is not base64 is found at the first touch, not before."""
    record = Record("é", "100", SOURCE)
    with pytest.raises(DecodeError, match="record 100"):
        _ = record.event_id


@unhurried
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda x: (
            st.lists(x)
            | st.dictionaries(
                st.sampled_from(["S", "N", "B", "M", "L", "SS", "NS", "BS", "NULL", "BOOL"]), x, max_size=2
            )
        ),
    )
)
def test_any_json_decodes_or_is_a_decode_error(value: object) -> None:
    """No input whatever raises anything else."""
    event = json.loads(json.dumps({"x": value}))
    with suppress(DecodeError):
        decode_item(event)


def test_an_event_needs_a_sequence_number() -> None:
    """An event made by hand without a sequence number is refused at once."""
    with pytest.raises(DecodeError, match="SequenceNumber"):
        Record.from_event({"dynamodb": {}}, SOURCE)
    with pytest.raises(DecodeError, match="dynamodb is not an object"):
        Record.from_event({}, SOURCE)
