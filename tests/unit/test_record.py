"""Record: its fields, and that both wires give the same."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from functools import partial
from typing import Any

import msgspec
import pytest

from record_processor import ConfigurationError, DecodeError, Record
from record_processor.record import Change, RecordSource, change_from_json
from tests.packing import packed_record
from tests.wire_examples import Example, examples

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
    return Record(change_from_json(data, "100"), SOURCE)


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
    assert repr(record._change) == "<Change 100>"


def test_the_fencing_token() -> None:
    """It is the daemon's, also in a record that is handed out again; 0 if it does not say."""
    record = Record.from_event(_event(), SOURCE, 7)
    assert (record.fencing_token, record.undecoded().fencing_token, _record().fencing_token) == (7, 7, 0)


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
    record = _record(ApproximateCreationDateTime=10**18)
    with pytest.raises(
        DecodeError, match="record 100 cannot be decoded: ApproximateCreationDateTime is out of"
    ):
        _ = record.approximate_creation_date_time


def test_an_event_needs_a_sequence_number() -> None:
    """An event made by hand without a sequence number is refused at once."""
    events: list[dict[str, Any]] = [{"dynamodb": {}}, {"dynamodb": []}, {}]
    for event in events:
        with pytest.raises(DecodeError, match=r"this event has no dynamodb.SequenceNumber"):
            Record.from_event(event, SOURCE)


# --- Both wires give the same record ---

FIELDS = [name for name in dir(Record) if isinstance(getattr(Record, name), property)]


@pytest.mark.parametrize("example", examples("wire-record"), ids=lambda example: example.json["eventID"])
def test_what_the_page_shows(example: Example) -> None:
    """Every field of the examples in docs/protocol.md."""
    assert packed_record(example.json) == example.wire
    change = msgspec.msgpack.decode(example.wire, type=Change)
    from_frame, from_json = Record(change, SOURCE, 7), Record.from_event(example.json, SOURCE, 7)
    assert {name: getattr(from_frame, name) for name in FIELDS} == {
        name: getattr(from_json, name) for name in FIELDS
    }
    assert from_frame.changes() == from_json.changes()


def test_there_may_be_more_elements() -> None:
    """A later daemon may add to a record."""
    (example, *_) = examples("wire-record")
    longer = b"\x9e" + example.wire[1:] + b"\x2a"
    assert msgspec.msgpack.decode(longer, type=Change) == msgspec.msgpack.decode(example.wire, type=Change)


def test_a_packed_identity_may_lack_something() -> None:
    """As it may in JSON."""
    change = msgspec.structs.replace(_record()._change, user_identity=("Service", None))
    assert Record(change, SOURCE).user_identity == ("Service", "")
