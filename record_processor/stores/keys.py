"""The key under which a store remembers a record: a hash, so that a store shows nothing of an item."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from record_processor.errors import RetryableError
from record_processor.record import Record
from record_processor.values import Value

_ABSENT: Final = object()


def idempotency_key(record: Record[Any], paths: Sequence[str], application_name: str) -> str:
    """Return the key of a record: the same for a repeat, another one for each application.

    Without paths it goes by the event id, or for a record without one by its stream and sequence number. With
    paths, those of the property idempotencyKey, it goes by the table and what is at them in `record.item`;
    numbers by their value, sets without regard to order, and what is absent differs from NULL.

    Raises RetryableError if the item has nothing at any of the paths, and what `Record.get` raises.
    """
    return hashed([application_name, *(_by_paths(record, paths) if paths else _by_event(record))])


def hashed(parts: Sequence[Any]) -> str:
    """Return the SHA-256 of what JSON can write, in hexadecimal; different for different parts."""
    return hashlib.sha256(json.dumps(parts, separators=(",", ":")).encode()).hexdigest()


def _by_event(record: Record[Any]) -> list[Any]:
    if record.event_id:
        return ["event", record.table_name, record.event_id]
    return ["sequence number", record.stream_arn, record.sequence_number]


def _by_paths(record: Record[Any], paths: Sequence[str]) -> list[Any]:
    values = {path: record.get(path, _ABSENT) for path in paths}
    if all(value is _ABSENT for value in values.values()):
        raise RetryableError(
            f"record {record.sequence_number} of table {record.table_name}: its item has none of "
            f"idempotencyKey = {', '.join(paths)}; name attributes that every item has, or remove "
            "idempotencyKey"
        )
    return ["item", record.table_name, [[path, _tagged(value)] for path, value in values.items()]]


def _tagged(value: Value) -> list[Any]:
    """Write a value with its type, the same for all values that DynamoDB takes for equal."""
    return _TAGGED[type(value)](value)


def _number(number: int | Decimal) -> list[Any]:
    """Exactly, and 5 is 5.0: a decimal context would round."""
    return ["N", *number.as_integer_ratio()]


def _set(members: set[Value]) -> list[Any]:
    return ["SET", sorted(json.dumps(_tagged(member)) for member in members)]


def _map(entries: Mapping[str, Value]) -> list[Any]:
    return ["M", [[name, _tagged(entries[name])] for name in sorted(entries)]]


_TAGGED: Final[Mapping[type, Callable[[Any], list[Any]]]] = {
    str: lambda text: ["S", text],
    int: _number,
    Decimal: _number,
    bytes: lambda content: ["B", base64.b64encode(content).decode("ascii")],
    bool: lambda truth: ["BOOL", truth],
    type(None): lambda _: ["NULL"],
    list: lambda elements: ["L", [_tagged(element) for element in elements]],
    dict: _map,
    set: _set,
    object: lambda _: ["absent"],
}
