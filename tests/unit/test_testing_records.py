"""Records that are made for tests are what DynamoDB and the daemon would send."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from record_processor import ConfigurationError, Record
from record_processor.testing import records
from record_processor.worker import messages
from record_processor.worker.messages import ProcessRecords
from tests.items import typed
from tests.packing import json_message, packed_message
from tests.stream_records import keys, names, values, written

items = st.dictionaries(names, values, max_size=3)
VIEW_TYPES = ["KEYS_ONLY", "NEW_IMAGE", "OLD_IMAGE", "NEW_AND_OLD_IMAGES"]
FIELDS = [name for name, member in vars(Record).items() if isinstance(member, property)]


def every_kind(key: Any, old: Any, new: Any, **details: Any) -> list[Record[Any]]:
    """Make a record of each kind."""
    return [
        records.insert(key, new, **details),
        records.modify(key, old, new, **details),
        records.remove(key, old, **details),
        records.ttl_delete(key, old, **details),
    ]


def shown(record: Record[Any]) -> dict[str, Any]:
    """Return all that a handler can see of a record, or that it sees it not."""
    return {name: _seen(record, name) for name in FIELDS}


def _seen(record: Record[Any], name: str) -> Any:
    try:
        return typed(getattr(record, name))
    except ConfigurationError:
        return "refused"


def through(codec: messages.Codec, message: bytes, like: Record[Any]) -> Record[Any]:
    """Read a message as a worker does, and return its only record."""
    read = codec.parse(message)
    assert isinstance(read, ProcessRecords)
    (change,) = read.records
    return Record(change, like._source, like.fencing_token)


@given(keys, items, items, st.sampled_from(VIEW_TYPES))
def test_each_is_the_same_after_either_wire(key: Any, old: Any, new: Any, view_type: str) -> None:
    """What is made is what a handler would get of the same change from the daemon."""
    for record in every_kind(key, old, new, stream_view_type=view_type):
        event = record.to_dynamodb_json()
        event["dynamodb"]["ApproximateCreationDateTime"] *= 1000
        message = {"action": "processRecords", "records": [event]}
        for codec, write in ((messages.FRAMES, packed_message), (messages.LINES, json_message)):
            assert shown(through(codec, write(message), record)) == shown(record)


@given(keys, items, items)
def test_images_are_the_items_with_their_keys(key: Any, old: Any, new: Any) -> None:
    """An image that DynamoDB sends has the keys in it."""
    insert, modify, remove, ttl_delete = every_kind(key, old, new)
    before, after = {**key, **old}, {**key, **new}
    assert typed(insert.new_image) == typed(modify.new_image) == typed(after)
    assert typed(modify.old_image) == typed(remove.old_image) == typed(ttl_delete.old_image) == typed(before)
    assert insert.old_image is remove.new_image is ttl_delete.new_image is None
    assert all(typed(each.keys) == typed(key) for each in (insert, modify, remove, ttl_delete))


@given(keys, items, items)
def test_dynamodb_json_makes_the_same(key: Any, old: Any, new: Any) -> None:
    """Items may be given as they stand in AWS's own examples."""
    in_json = [{name: written(value) for name, value in item.items()} for item in (key, old, new)]
    for plain, other in zip(every_kind(key, old, new), every_kind(*in_json, dynamodb_json=True), strict=True):
        for name in ("keys", "item", "event_name"):
            assert typed(getattr(other, name)) == typed(getattr(plain, name))


def test_kinds() -> None:
    """Only one of them is time to live's."""
    made = every_kind({"pk": "1"}, {}, {})
    assert [each.event_name for each in made] == ["INSERT", "MODIFY", "REMOVE", "REMOVE"]
    assert [each.is_ttl_delete for each in made] == [False, False, False, True]


@pytest.mark.parametrize("view_type", VIEW_TYPES)
def test_a_stream_carries_what_its_view_type_says(view_type: str) -> None:
    """The other image is refused, with what to mend."""
    record = records.modify({"pk": "1"}, {"n": 1}, {"n": 2}, stream_view_type=view_type)
    for name, image in (("old_image", {"pk": "1", "n": 1}), ("new_image", {"pk": "1", "n": 2})):
        if name.upper() in view_type or view_type == "NEW_AND_OLD_IMAGES":
            assert getattr(record, name) == image
        else:
            with pytest.raises(ConfigurationError, match="StreamViewType is"):
                getattr(record, name)


def test_they_rise_and_are_told_apart() -> None:
    """As the records of a shard."""
    made = [record for _ in range(5) for record in every_kind({"pk": "1"}, {}, {})]
    numbers = [int(each.sequence_number) for each in made]
    assert numbers == sorted(set(numbers))
    assert len({each.event_id for each in made}) == len(set(made)) == len(made)


def test_details() -> None:
    """What a test says is what the record has."""

    class Order(msgspec.Struct):
        pk: str

    record = records.insert(
        {"pk": "1"},
        table_name="invoices",
        shard_id="shardId-7",
        sequence_number="42",
        created_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc),
        fencing_token=9,
        model=Order,
    )
    assert (record.table_name, record.shard_id, record.sequence_number) == ("invoices", "shardId-7", "42")
    assert record.created_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
    assert (record.fencing_token, record.item) == (9, Order("1"))
    assert ":table/invoices/stream/" in record.stream_arn


@pytest.mark.parametrize(
    "value", [1.5, {"a": 1.5}, [object()], {"a", 1}], ids=lambda value: type(value).__name__
)
def test_what_dynamodb_does_not_have_is_refused(value: object) -> None:
    """As boto3 refuses it."""
    with pytest.raises(TypeError, match="an attribute must be"):
        records.insert({"pk": "1"}, {"value": value})


def test_mistakes_are_named() -> None:
    """A view type that there is not, a detail that there is not."""
    with pytest.raises(ValueError, match="stream_view_type must be one of"):
        records.insert({"pk": "1"}, stream_view_type="BOTH")
    with pytest.raises(TypeError, match="colour"):
        records.insert({"pk": "1"}, colour="red")  # type: ignore[call-arg]
