"""Record: its fields, that both wires give the same, and AWS's event."""

from __future__ import annotations

import json
from collections import UserDict
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timezone
from decimal import Context, Decimal, localcontext
from functools import partial
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from record_processor import ConfigurationError, DecodeError, Record
from record_processor.change import Change, change_from_json
from record_processor.paths import Path, parse, write
from record_processor.record import RecordSource
from record_processor.values import decode_image_to_decimals
from tests.items import typed, unicode_strings, unicode_values
from tests.packing import packed_record
from tests.stream_records import written
from tests.wire_examples import Example, examples

STREAM_ARN = "arn:aws:dynamodb:eu-west-1:123456789012:table/orders/stream/2026-11-23T23:45:06.970"
SOURCE = RecordSource(STREAM_ARN, "orders", "shardId-1")


def _event(**change: Any) -> dict[str, Any]:
    return {
        "eventID": "e1",
        "eventName": "MODIFY",
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "eu-west-1",
        "dynamodb": {
            "ApproximateCreationDateTime": 1764000000.123,
            "Keys": {"pk": {"S": "a"}},
            "SequenceNumber": "100",
            "SizeBytes": 12,
            "StreamViewType": "NEW_AND_OLD_IMAGES",
            **change,
        },
        "eventSourceARN": STREAM_ARN,
    }


def _record(**change: Any) -> Record:
    return Record.from_dynamodb_json(_event(**change), "shardId-1")


def _raw(data: bytes) -> Record:
    return Record(change_from_json(data, "100"), SOURCE)


# --- Fields ---


def test_every_field() -> None:
    """Every field of the stream record is there, under its own name."""
    record = _record(NewImage={"pk": {"S": "a"}, "n": {"N": "1"}}, OldImage={"pk": {"S": "a"}})
    assert (record.event_id, record.event_name, record.event_version) == ("e1", "MODIFY", "1.1")
    assert (record.event_source, record.aws_region) == ("aws:dynamodb", "eu-west-1")
    assert (record.stream_arn, record.table_name, record.shard_id) == SOURCE[:3]
    assert (record.keys, record.new_image, record.old_image) == (
        {"pk": "a"},
        {"pk": "a", "n": 1},
        {"pk": "a"},
    )
    assert (record.sequence_number, record.size_bytes) == ("100", 12)
    assert record.stream_view_type == "NEW_AND_OLD_IMAGES"
    assert record.created_at == datetime(2025, 11, 24, 16, 0, 0, 123000, timezone.utc)
    assert record.user_identity is None
    assert not record.is_ttl_delete


@pytest.mark.parametrize("image", [{}, {"NewImage": {}}, {"NewImage": None}])
def test_a_missing_image_is_none(image: dict[str, Any]) -> None:
    """The adapter writes a missing image as `{}` or leaves it out."""
    assert _record(**image).new_image is None


def test_what_is_not_there_is_none() -> None:
    """Optional fields of the stream record may be missing."""
    record = _raw(b'{"eventName": "INSERT", "dynamodb": {}}')
    assert (record.size_bytes, record.stream_view_type, record.created_at) == (None,) * 3
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
    assert Record.from_dynamodb_json(event).is_ttl_delete is is_ttl


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
    """A retried handler gets the record as it came, and its numbers as before."""
    change = _record(NewImage={"n": {"N": "1"}})._change
    record = Record(change, SOURCE._replace(decode=decode_image_to_decimals))
    (record.new_image or {}).clear()
    assert typed(record.undecoded().new_image) == typed({"n": Decimal(1)})


def test_repr_holds_nothing_of_the_item() -> None:
    """What ends up in a log names the record only."""
    record = _record(NewImage={"pk": {"S": "canary"}})
    assert repr(record) == "<Record MODIFY 100 of shardId-1, table orders>"
    assert repr(record._change) == "<Change 100>"


def test_the_fencing_token() -> None:
    """It is the daemon's, also in a record that is handed out again; 0 if it does not say."""
    record = Record.from_dynamodb_json(_event(), fencing_token=7)
    assert (record.fencing_token, record.undecoded().fencing_token, _record().fencing_token) == (7, 7, 0)


def test_two_deliveries_of_one_change_are_equal() -> None:
    """By the event id, whatever else the records hold: they fit in sets and dicts."""
    first, again = _record(), Record.from_dynamodb_json({**_event(SequenceNumber="7")}, "shardId-2", 9)
    other = Record.from_dynamodb_json({**_event(), "eventID": "e2"}, "shardId-1")
    assert first == again
    assert first != other
    assert {first, again, other} == {first, other}
    assert first != "e1"


def test_without_an_event_id_the_place_counts() -> None:
    """Stream and sequence number say which change it is."""

    def record(number: str, stream: str) -> Record:
        event = {"dynamodb": {"SequenceNumber": number}, "eventSourceARN": f"{STREAM_ARN}{stream}"}
        return Record.from_dynamodb_json(event)

    first, again, later, elsewhere = record("1", ""), record("1", ""), record("2", ""), record("1", "b")
    assert {first, again, later, elsewhere} == {first, later, elsewhere}
    assert len({first, later, elsewhere}) == 3


# --- The item, and what is in it ---


def _named(event_name: str, **change: Any) -> Record:
    return Record.from_dynamodb_json({**_event(**change), "eventName": event_name}, "shardId-1")


OLD, NEW = {"pk": {"S": "a"}, "v": {"S": "old"}}, {"pk": {"S": "a"}, "v": {"S": "new"}}


@pytest.mark.parametrize(
    ("event_name", "images", "v"),
    [
        ("INSERT", {"NewImage": NEW}, "new"),
        ("MODIFY", {"NewImage": NEW, "OldImage": OLD}, "new"),
        ("REMOVE", {"OldImage": OLD}, "old"),
    ],
)
def test_the_item(event_name: str, images: dict[str, Any], v: str) -> None:
    """It is what there is now, or what there was at last."""
    record = _named(event_name, **images)
    assert record.item == {"pk": "a", "v": v}
    assert record.item is (record.new_image or record.old_image)
    assert record.get("v") == v


def test_an_item_that_is_missing() -> None:
    """A record that lacks what it must have is broken; whoever asks for an attribute gets the default."""
    record = _named("INSERT")
    _expect_broken(lambda: record.item, "it has no image")
    assert record.get("v", 1) == 1


ITEM = {
    "address": {"M": {"city": {"S": "Łódź"}, "a.b": {"N": "1"}}},
    "lines": {"L": [{"M": {"price": {"N": "1.5"}}}, {"NULL": True}]},
    "text": {"S": "abc"},
    "tags": {"SS": ["x"]},
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("text", "abc"),
        ("address.city", "Łódź"),
        (r"address.a\.b", 1),
        ("lines[1]", None),
        ("lines[0]", {"price": Decimal("1.5")}),
        *(
            (path, "default")
            for path in (
                "nothing",
                "text.a",
                "text[0]",
                "tags[0]",
                "lines[2]",
                "lines.price",
                "address[0]",
                "a.b",
            )
        ),
    ],
)
def test_get(path: str, value: object) -> None:
    """What is at the path; the default if it leads nowhere, but not for a NULL."""
    record = _named("INSERT", NewImage=ITEM)
    assert record.get(path, "default") == value
    assert record.get(path) == (None if value == "default" else value)
    assert record.changed(path) is (value != "default")


def test_a_path_that_is_none() -> None:
    """A mistake in the handler: one line says what a path is."""
    record = _record(NewImage=ITEM)
    for method in (record.get, record.changed):
        with pytest.raises(
            ValueError, match=rf"^record\.{method.__name__}\(\) takes an attribute's path, such"
        ) as caught:
            method("lines[")
        assert caught.value.__cause__ is None


# --- Changes ---


def test_changes() -> None:
    """Attributes that were added, removed or changed, each with old and new value."""
    old = {"pk": {"S": "a"}, "status": {"S": "open"}, "gone": {"N": "1"}, "tags": {"SS": ["a", "b"]}}
    new = {"pk": {"S": "a"}, "status": {"S": "paid"}, "added": {"NULL": True}, "tags": {"SS": ["b", "a"]}}
    changes = _record(OldImage=old, NewImage=new).changes()
    assert changes == {"status": ("open", "paid"), "gone": (1, None), "added": (None, None)}


def test_changes_inside() -> None:
    """Maps and lists that both images have are looked into; what one lacks is there whole."""
    old = {
        "a.b": {"M": {"city": {"S": "x"}, "zip": {"S": "1"}}},
        "lines": {"L": [{"N": "1"}, {"L": [{"N": "2"}]}]},
    }
    new = {
        "a.b": {"M": {"city": {"S": "y"}, "zip": {"S": "1"}, "geo": {"M": {"lat": {"N": "1"}}}}},
        "lines": {"L": [{"N": "1"}, {"L": [{"N": "3"}]}, {"M": {}}]},
    }
    record = _record(OldImage=old, NewImage=new)
    assert record.changes() == {
        r"a\.b.city": ("x", "y"),
        r"a\.b.geo": (None, {"lat": 1}),
        "lines[1][0]": (2, 3),
        "lines[2]": (None, {}),
    }
    assert record.changed(r"a\.b")
    assert record.changed("lines[1]")
    assert not record.changed("lines[0]")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"BOOL": True}, {"N": "1"}),
        ({"L": [{"BOOL": False}]}, {"L": [{"N": "0"}]}),
        ({"M": {"a": {"BOOL": True}}}, {"M": {"a": {"N": "1"}}}),
        ({"L": []}, {"L": [{"N": "0"}]}),
        ({"SS": ["1"]}, {"NS": ["1"]}),
        ({"L": [{"S": "a"}]}, {"SS": ["a"]}),
        (None, {"NULL": True}),
        ({"NULL": True}, None),
    ],
)
def test_changes_of_type_are_changes(old: dict[str, Any] | None, new: dict[str, Any] | None) -> None:
    """Python takes True for 1, DynamoDB does not; nor is NULL what is not there."""
    record = _record(OldImage={"x": old} if old else {}, NewImage={"x": new} if new else {})
    assert record.changes()
    assert record.changed("x")


names = st.sampled_from(["a", "b", "a.b", "a[0]", "\\"])
alike_values = st.recursive(
    st.sampled_from([None, True, 1, 0, "1", Decimal("1.5"), b""]) | st.sampled_from("12").map(set),
    lambda inner: st.lists(inner) | st.dictionaries(names, inner),
)
items = st.dictionaries(names, alike_values)
"""Two of them are likely to have something in common."""


@given(items, items)
def test_changes_lead_from_old_to_new(old: dict[str, Any], new: dict[str, Any]) -> None:
    """Each is at its path, `changed` finds it, and all of them together make the new image of the old one."""
    record = _record(OldImage=written(old)["M"], NewImage=written(new)["M"])
    changes = record.changes()
    changed = {name for name in {**old, **new} if record.changed(write([name]))}
    assert changed == {parse(path)[0] for path in changes}
    for path, (before, after) in reversed(changes.items()):  # a list's end first
        assert record.changed(path)
        assert typed(record.get(path)) == typed(after)
        _replace(old, parse(path), before, after, is_gone=record.get(path, ...) is ...)
    assert typed(old) == typed(new)


def _replace(item: Any, path: Path, before: Any, after: Any, *, is_gone: bool) -> None:
    steps, last = path[:-1], cast("Any", path[-1])
    for step in steps:
        item = item[step]
    if is_gone:
        assert typed(item.pop(last)) == typed(before)
        return
    if isinstance(item, list):
        item.extend([None] * (last + 1 - len(item)))
    item[last] = after


# --- What the view type does not carry ---


@pytest.mark.parametrize("view_type", ["KEYS_ONLY", "NEW_IMAGE", "OLD_IMAGE", "NEW_AND_OLD_IMAGES", None])
@pytest.mark.parametrize("event_name", ["INSERT", "MODIFY", "REMOVE"])
def test_what_the_stream_carries(view_type: str | None, event_name: str) -> None:
    """An image that the event has none of is None; one that the stream does not carry is refused."""
    has_new, has_old = event_name != "REMOVE", event_name != "INSERT"
    with_new = view_type in (None, "NEW_IMAGE", "NEW_AND_OLD_IMAGES")
    with_old = view_type in (None, "OLD_IMAGE", "NEW_AND_OLD_IMAGES")
    images = {"NewImage": NEW} if has_new and with_new else {}
    images |= {"OldImage": OLD} if has_old and with_old else {}
    record = _named(event_name, StreamViewType=view_type, **images)
    assert _refusal(lambda: record.new_image, "new_image", "NEW_IMAGE or NEW_AND") is (
        has_new and not with_new
    )
    assert _refusal(lambda: record.old_image, "old_image", "OLD_IMAGE or NEW_AND") is (
        has_old and not with_old
    )
    with_item, smallest = (
        (with_new, "NEW_IMAGE or NEW_AND") if has_new else (with_old, "OLD_IMAGE or NEW_AND")
    )
    assert _refusal(lambda: record.item, "item", smallest) is not with_item
    assert _refusal(lambda: record.get("v"), "get()", smallest) is not with_item
    assert _refusal(record.changes, "changes()", "NEW_AND_OLD_IMAGES") is not (with_new and with_old)
    assert _refusal(lambda: record.changed("v"), "changed()", "NEW_AND_OLD_IMAGES") is not (
        with_new and with_old
    )


def _refusal(ask: Callable[[], object], asked: str, needed: str) -> bool:
    """Whether it is refused; by a line that says what to change."""
    try:
        ask()
    except ConfigurationError as error:
        line = str(error)
    else:
        return False
    assert line.startswith(f"record.{asked} is not in the stream of table orders, whose StreamViewType is ")
    assert f"in the table's StreamSpecification, set StreamViewType to {needed}" in line
    assert "\n" not in line
    return True


# --- Hostile shapes ---

CANARY = "canary"


def _expect_broken(image: Callable[[], object], reason: str) -> None:
    with pytest.raises(DecodeError, match="record 100 cannot be decoded") as caught:
        image()
    assert reason in str(caught.value)
    assert CANARY not in str(caught.value)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


@pytest.mark.parametrize("number", [CANARY, "1_0", "NaN"])
def test_a_broken_image_is_found_at_its_first_touch(number: str) -> None:
    """On both wires; and its exception holds on to nothing of it."""
    item = {"a": {"N": number}}
    from_json = _record(Keys=item, NewImage=item)
    packed = b"\x81\xa1a\xc7" + bytes([len(number), 1]) + number.encode()
    from_frame = Record(msgspec.structs.replace(from_json._change, keys=packed, new_image=packed), SOURCE)
    for record in (from_json, from_frame):
        _expect_broken(partial(getattr, record, "keys"), "Keys: an N is not a number in a string")
        _expect_broken(partial(getattr, record, "new_image"), "NewImage: an N is not a number in a string")
        _expect_broken(record.changes, "NewImage: an N")
        assert record.old_image is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"canary",
        b"[]",
        b"null",
        b"{}",
        b'{"eventName": 1, "dynamodb": {}}',
        b'{"dynamodb": []}',
        b'{"dynamodb": {"SizeBytes": "canary"}}',
        b'{"dynamodb": {"ApproximateCreationDateTime": 1e300}}',
        b'{"dynamodb": {"Keys": canary}}',
        b"\xff\xfe",
        b'{"eventID": "canary\xff", "dynamodb": {}}',
        b'{"userIdentity": 1, "dynamodb": {}}',
        b'{"dynamodb":' + b"[" * 200_000,
    ],
)
def test_hostile_json(body: bytes) -> None:
    """A record's JSON of any broken shape is a DecodeError that names the record and quotes nothing."""
    _expect_broken(lambda: change_from_json(body, "100"), "its JSON: ")


def test_a_time_that_is_none() -> None:
    """A number that is no time is found when it is asked for."""
    record = _raw(b'{"dynamodb": {"ApproximateCreationDateTime": 1000000000000000000}}')
    with pytest.raises(
        DecodeError, match="record 100 cannot be decoded: ApproximateCreationDateTime is out of"
    ):
        _ = record.created_at


# --- Both wires give the same record ---

FIELDS = [
    name for name in dir(Record) if isinstance(getattr(Record, name), property) and not name.startswith("_")
]


def _fields(record: Record) -> dict[str, Any]:
    return {name: typed(_field(record, name)) for name in FIELDS}


def _field(record: Record, name: str) -> Any:
    try:
        return getattr(record, name)
    except DecodeError as error:
        return str(error)


def _from_frame(data: bytes) -> Record:
    return Record(msgspec.msgpack.decode(data, type=Change), SOURCE, 7)


def _from_line(stock_event: dict[str, Any]) -> Record:
    number = stock_event["dynamodb"]["SequenceNumber"]
    return Record(change_from_json(json.dumps(stock_event).encode(), number), SOURCE, 7)


@pytest.mark.parametrize("example", examples("wire-record"), ids=lambda example: example.json["eventID"])
def test_what_the_page_shows(example: Example) -> None:
    """Every field of the examples in docs/protocol.md."""
    assert packed_record(example.json) == example.wire
    from_frame, from_line = _from_frame(example.wire), _from_line(example.json)
    assert _fields(from_frame) == _fields(from_line)
    assert from_frame.changes() == from_line.changes()
    assert from_frame.to_dynamodb_json() == from_line.to_dynamodb_json()


def test_there_may_be_more_elements() -> None:
    """A later daemon may add to a record."""
    (example, *_) = examples("wire-record")
    longer = b"\x97" + example.wire[1:] + b"\x2a"
    assert msgspec.msgpack.decode(longer, type=Change) == msgspec.msgpack.decode(example.wire, type=Change)


def test_a_packed_identity_may_lack_something() -> None:
    """As it may in JSON."""
    details = msgspec.msgpack.encode([None, None, None, None, ["Service", None]])
    packed = msgspec.Raw(msgspec.msgpack.encode(details))
    change = msgspec.structs.replace(_record()._change, packed_details=packed)
    assert Record(change, SOURCE).user_identity == ("Service", "")


@pytest.mark.parametrize("details", [b"\xc0", b"\xc4\x01\xc1", b"\xa6canary", b"\xc4\x07\x91\xa6canary\xff"])
def test_broken_details_are_an_error_that_quotes_nothing(details: bytes) -> None:
    """It is found at the first touch, and the sequence number is still known."""
    record = Record(msgspec.structs.replace(_record()._change, packed_details=msgspec.Raw(details)), SOURCE)
    with pytest.raises(DecodeError, match=f"record {record.sequence_number} .*its details") as caught:
        str(record.event_id)
    assert "canary" not in str(caught.value)
    assert caught.value.__context__ is None


# --- AWS's event ---


def test_the_event_is_that_of_lambda() -> None:
    """Every field has its place; the time is in seconds."""
    image = {
        "pk": {"S": "a"},
        "n": {"N": "-7"},
        "price": {"N": "1.5"},
        "blob": {"B": "AAEC/w=="},
        "paid": {"BOOL": True},
        "note": {"NULL": True},
        "lines": {"L": [{"M": {"sku": {"S": "x"}}}, {"L": []}]},
        "tags": {"SS": ["a", "b"]},
        "sizes": {"NS": ["1.5", "2", "10"]},
        "hashes": {"BS": ["AA==", "/w=="]},
    }
    event = {
        **_event(NewImage=image, OldImage={"pk": {"S": "a"}}),
        "userIdentity": {"type": "Service", "principalId": "dynamodb.amazonaws.com"},
    }
    for record in (Record.from_dynamodb_json(event), _from_frame(packed_record(_stock(event)))):
        assert record.to_dynamodb_json() == event


def _stock(event: dict[str, Any]) -> dict[str, Any]:
    """Return AWS's event as it is on the stock wire: milliseconds, no ARN."""
    section = event["dynamodb"]
    millis = round(section["ApproximateCreationDateTime"] * 1000)
    return {**event, "dynamodb": {**section, "ApproximateCreationDateTime": millis}}


@pytest.mark.parametrize("section", [{}, {"NewImage": None}, {"Keys": {}, "NewImage": {}, "OldImage": {}}])
def test_what_is_not_there_is_left_out(section: dict[str, Any]) -> None:
    """No null and no empty image."""
    record = Record.from_dynamodb_json({"dynamodb": {"SequenceNumber": "1", **section}})
    assert record.to_dynamodb_json() == {"dynamodb": {"SequenceNumber": "1"}}
    assert (record.stream_arn, record.table_name, record.shard_id) == ("", "", "")


@pytest.mark.parametrize(
    ("millis", "seconds"), [(0, 0), (1764000000000, 1764000000), (1500, 1.5), (1, 0.001)]
)
def test_seconds(millis: int, seconds: float) -> None:
    """An integer when the time is whole, else a float."""
    written = _from_line({"dynamodb": {"SequenceNumber": "1", "ApproximateCreationDateTime": millis}})
    time = written.to_dynamodb_json()["dynamodb"]["ApproximateCreationDateTime"]
    assert typed(time) == typed(seconds)


def test_sets_are_sorted() -> None:
    """The output is the same every time; numbers go by value."""
    image = {
        "texts": {"SS": ["b", "a", "B"]},
        "numbers": {"NS": ["10", "9", "-1.5"]},
        "binaries": {"BS": ["/w==", "AA=="]},
    }
    assert _record(NewImage=image).to_dynamodb_json()["dynamodb"]["NewImage"] == {
        "texts": {"SS": ["B", "a", "b"]},
        "numbers": {"NS": ["-1.5", "9", "10"]},
        "binaries": {"BS": ["AA==", "/w=="]},
    }


def test_an_empty_set() -> None:
    """DynamoDB has none; its type is not known any more, and it is read again as what it was."""
    event = _record(NewImage={"x": {"NS": []}}).to_dynamodb_json()
    assert event["dynamodb"]["NewImage"] == {"x": {"SS": []}}
    assert Record.from_dynamodb_json(event).new_image == {"x": set()}


def test_what_a_handler_changed_is_not_in_the_event() -> None:
    """It is the record as it came."""
    record = _record(NewImage={"pk": {"S": "a"}})
    (record.new_image or {}).clear()
    assert record.to_dynamodb_json() == _event(NewImage={"pk": {"S": "a"}})


def test_a_mapping_will_do() -> None:
    """Such as the wrappers around Lambda's event that some libraries have."""
    assert Record.from_dynamodb_json(UserDict(_event())).to_dynamodb_json() == _event()


def test_numbers_are_plain_text() -> None:
    """Whatever the decimal context is."""
    image = {"n": {"N": "1E-130"}, "m": {"N": "12345678901234567890.123456789"}}
    with localcontext(Context(prec=1, capitals=0, traps=[])):
        assert _record(NewImage=image).to_dynamodb_json()["dynamodb"]["NewImage"] == image


def _stock_events() -> st.SearchStrategy[dict[str, Any]]:
    items = st.dictionaries(unicode_strings, unicode_values).map(lambda item: written(item)["M"])
    section = st.fixed_dictionaries(
        {
            "SequenceNumber": st.integers(0, 10**40).map(str),
            "Keys": items,
            "NewImage": items,
            "OldImage": items,
        },
        optional={
            "ApproximateCreationDateTime": st.integers(0, 253_402_300_799_000),
            "SizeBytes": st.integers(0, 2**31),
            "StreamViewType": st.just("NEW_AND_OLD_IMAGES"),
        },
    )
    texts = st.text()
    return st.fixed_dictionaries(
        {"dynamodb": section},
        optional={
            **dict.fromkeys(["eventID", "eventVersion", "eventSource", "awsRegion"], texts),
            "eventName": st.sampled_from(["INSERT", "MODIFY", "REMOVE"]),
            "userIdentity": st.fixed_dictionaries({"type": texts, "principalId": texts}),
        },
    )


def _expect_to_come_back(record: Record) -> None:
    written = json.dumps(record.to_dynamodb_json())
    read = Record.from_dynamodb_json(json.loads(written), "shardId-1", 7)
    assert _fields(read) == _fields(record)
    assert read.changes() == record.changes()
    assert json.dumps(read.to_dynamodb_json()) == written


@given(_stock_events())
def test_every_record_comes_back(stock_event: dict[str, Any]) -> None:
    """Written as AWS's event and read again, it is equal in every field and value, from both wires."""
    for record in (_from_frame(packed_record(stock_event)), _from_line(stock_event)):
        written = json.dumps(record.to_dynamodb_json())
        read = Record.from_dynamodb_json(json.loads(written), "shardId-1", 7)
        assert _fields(read) == _fields(record)
        assert read.changes() == record.changes()
        assert json.dumps(read.to_dynamodb_json()) == written


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        ({}, "Object missing required field `dynamodb`"),
        ({"dynamodb": []}, "Expected `object`, got `array` - at `$.dynamodb`"),
        ({"dynamodb": {}}, "Object missing required field `SequenceNumber` - at `$.dynamodb`"),
        *(
            ({"dynamodb": {"SequenceNumber": number}}, "at `$.dynamodb.SequenceNumber`")
            for number in ("", CANARY, "1\n", "٣", "1" * 101, 1, None)
        ),
        *(
            ({"dynamodb": {"SequenceNumber": "1", "ApproximateCreationDateTime": time}}, "DateTime`")
            for time in (CANARY, -1, 1e300, 1764000000000)
        ),
        ({"dynamodb": {"SequenceNumber": "1", "ApproximateCreationDateTime": float("nan")}}, "malformed"),
        ({**_event(), "eventID": 1}, "Expected `str | null`, got `int` - at `$.eventID`"),
        ({**_event(), "eventID": "\ud800"}, "malformed"),
        ({**_event(), "eventSourceARN": "arn:aws:dynamodb:canary"}, "eventSourceARN is not the ARN of a"),
        ({**_event(), "userIdentity": CANARY}, "Expected `object | null`, got `str` - at `$.userIdentity`"),
        (_event(NewImage={"pk": {"B": b"canary"}}), "neither bytes nor datetime"),
        ([CANARY], "malformed"),
        (None, "neither bytes nor datetime"),
    ],
)
def test_an_event_that_is_none(event: Any, reason: str) -> None:
    """One line says what is wrong with it, and nothing of it is quoted or held on to."""
    with pytest.raises(DecodeError, match="this event cannot be decoded: ") as caught:
        Record.from_dynamodb_json(event)
    assert reason in str(caught.value)
    assert CANARY not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


def test_a_malformed_image_is_no_event() -> None:
    """Nothing is written of a record that cannot be decoded."""
    _expect_broken(_record(NewImage={"a": {"N": CANARY}}).to_dynamodb_json, "NewImage: an N is not")


@given(
    st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda x: st.dictionaries(st.text(), x))
)
def test_nothing_else_is_raised(content: Any) -> None:
    """Whatever is in the event."""
    for event in (content, {"dynamodb": content}, _event(NewImage=content)):
        with suppress(DecodeError):
            Record.from_dynamodb_json(event).to_dynamodb_json()
