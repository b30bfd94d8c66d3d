"""The key of a record: the same for the same, another one for anything else, and it shows nothing."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from record_processor import ConfigurationError, Record, RetryableError
from record_processor.stores import idempotency_key
from tests.stream_records import Form, in_full, in_powers, values, written

ARN = "arn:aws:dynamodb:eu-west-1:123456789012:table/{table}/stream/2026-11-23T23:45:06.970"
PATHS = ["value"]


def record(
    item: dict[str, Any] | None = None,
    *,
    event_id: str | None = "e1",
    table: str = "orders",
    number: str = "100",
    **change: Any,
) -> Record:
    """Return a record whose new image is in DynamoDB's JSON."""
    event = {
        "eventName": "INSERT",
        "dynamodb": {"SequenceNumber": number, "NewImage": item or {}, **change},
        "eventSourceARN": ARN.format(table=table),
    }
    if event_id:
        event["eventID"] = event_id
    return Record.from_dynamodb_json(event)


def key_of(value: Any, form: Form = Form()) -> str:  # noqa: B008 # it is a constant
    """Return the key of an item by its one attribute."""
    return idempotency_key(record({"value": written(value, form)}), PATHS, "app")


def test_a_repeat_has_the_same_key() -> None:
    """Whatever else there is in the record; also one that was parked and comes back."""
    first = record({"value": {"S": "a"}})
    again = Record.from_dynamodb_json(first.to_dynamodb_json(), shard_id="shard-2", fencing_token=9)
    assert idempotency_key(first, (), "app") == idempotency_key(again, (), "app")


@pytest.mark.parametrize("other", [{"event_id": "e2"}, {"table": "customers"}, {"event_id": None}])
def test_another_event_has_another_key(other: dict[str, Any]) -> None:
    """Or another table's."""
    assert idempotency_key(record(), (), "app") != idempotency_key(record(**other), (), "app")


def test_without_an_event_id_the_sequence_number_counts() -> None:
    """In its stream."""
    keys = [
        idempotency_key(record(event_id=None, number=number, table=table), (), "app")
        for number, table in (("1", "orders"), ("2", "orders"), ("1", "customers"), ("1", "orders"))
    ]
    assert keys[0] == keys[3]
    assert len(set(keys)) == 3


@pytest.mark.parametrize("paths", [(), PATHS])
def test_applications_are_apart(paths: list[str]) -> None:
    """They may share a table."""
    one = record({"value": {"S": "a"}})
    assert idempotency_key(one, paths, "app") != idempotency_key(one, paths, "other")


def test_a_key_is_a_hash() -> None:
    """A store shows nothing of an item."""
    assert re.fullmatch("[0-9a-f]{64}", key_of("4111 1111 1111 1111"))


@given(values, values)
def test_equal_values_have_equal_keys_and_others_have_not(one: Any, other: Any) -> None:
    """Equal to the type: True is not 1, nor "1" or b"1"."""
    assert key_of(one) == key_of(one)
    is_equal = written(one, Form(number=in_full)) == written(other, Form(number=in_full))
    if not _has_set(one):
        assert (key_of(one) == key_of(other)) == is_equal


def _has_set(value: Any) -> bool:
    if isinstance(value, list | dict):
        return any(_has_set(inner) for inner in (value.values() if isinstance(value, dict) else value))
    return isinstance(value, set)


@given(values)
def test_how_a_number_is_written_makes_no_difference(value: Any) -> None:
    """With an exponent or in full: it is the same number."""
    assert key_of(value, Form(number=in_full)) == key_of(value, Form(number=in_powers))


@pytest.mark.parametrize(
    ("one", "other"),
    [("5", "5.0"), ("5", "5E0"), ("0", "-0"), ("1E38", "1" + "0" * 38), ("0.10", "0.1")],
)
def test_equal_numbers_have_equal_keys(one: str, other: str) -> None:
    """As DynamoDB compares them."""
    first, second = (idempotency_key(record({"value": {"N": text}}), PATHS, "app") for text in (one, other))
    assert first == second


def test_numbers_as_decimals_have_the_same_key() -> None:
    """Whatever the property `numbers` says."""
    from record_processor.stores.keys import _tagged

    assert _tagged(5) == _tagged(Decimal(5)) == _tagged(Decimal("5.00"))
    assert _tagged({1, 2}) == _tagged({Decimal(2), Decimal(1)})


@given(st.sets(st.text(min_size=1), min_size=2))
def test_a_set_has_no_order(members: set[str]) -> None:
    """As DynamoDB compares them."""
    first = {"value": {"SS": sorted(members)}}
    second = {"value": {"SS": sorted(members, reverse=True)}}
    assert idempotency_key(record(first), PATHS, "app") == idempotency_key(record(second), PATHS, "app")


@pytest.mark.parametrize(
    "items",
    [
        ({"a": {"S": "1"}, "b": {"S": "2"}}, {"a": {"S": "2"}, "b": {"S": "1"}}),
        ({"a": {"S": "1"}}, {"b": {"S": "1"}}),
        ({"a": {"S": "1"}}, {"a": {"S": "1"}, "b": {"NULL": True}}),
        ({"a": {"S": '1","2'}, "b": {"S": "3"}}, {"a": {"S": "1"}, "b": {"S": '2","3'}}),
        ({"a": {"S": "NULL"}}, {"a": {"NULL": True}}),
        ({"a": {"L": [{"S": "N"}, {"N": "1"}]}}, {"a": {"L": [{"N": "1"}, {"S": "N"}]}}),
        ({"a": {"SS": ["1"]}}, {"a": {"L": [{"S": "1"}]}}),
        ({"a": {"SS": ["1"]}}, {"a": {"NS": ["1"]}}),
    ],
)
def test_nothing_is_mixed_up(items: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """Which value is where, what is absent, what looks like the writing itself."""
    one, other = (idempotency_key(record(item), ["a", "b"], "app") for item in items)
    assert one != other


def test_a_path_goes_into_maps_and_lists() -> None:
    """As for Record.get."""
    item = {"lines": {"L": [{"M": {"sku": {"S": "x"}}}]}}
    other = {"lines": {"L": [{"M": {"sku": {"S": "y"}}}]}}
    paths = ["lines[0].sku"]
    assert idempotency_key(record(item), paths, "app") != idempotency_key(record(other), paths, "app")


def test_an_item_without_any_of_them_is_an_error() -> None:
    """It names the property and quotes nothing of the item."""
    with pytest.raises(RetryableError) as error:
        idempotency_key(record({"secret": {"S": "x"}}), ["orderId", "line.id"], "app")
    assert str(error.value) == (
        "record 100 of table orders: its item has none of idempotencyKey = orderId, line.id; "
        "name attributes that every item has, or remove idempotencyKey"
    )


def test_a_stream_without_the_item_is_an_error() -> None:
    """As for Record.get."""
    with pytest.raises(ConfigurationError, match="StreamViewType is KEYS_ONLY"):
        idempotency_key(record(StreamViewType="KEYS_ONLY"), PATHS, "app")


def test_both_wires_give_the_same_key() -> None:
    """MessagePack from the socket, DynamoDB's JSON from stdio or a parked record."""
    from record_processor.change import Change
    from record_processor.record import RecordSource

    as_json = record({"value": {"N": "5"}, "other": {"S": "a"}})
    source = RecordSource(as_json.stream_arn, "orders", "")
    fields = {name: getattr(as_json._change, name) for name in Change.__struct_fields__}
    fields["new_image"] = msgspec.Raw(msgspec.msgpack.encode({"value": 5, "other": "a"}))
    packed = Record(Change(**fields), source)
    for paths in ((), ("value", "other")):
        assert idempotency_key(packed, paths, "app") == idempotency_key(as_json, paths, "app")
