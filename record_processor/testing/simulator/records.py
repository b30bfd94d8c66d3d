"""Stream records as they go over the wire, encoded once, when they are written."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, TypeAlias

from record_processor.testing.aws_errors import encode_json
from record_processor.values import encode_item

TypedItem: TypeAlias = Mapping[str, Any]
"""An item in DynamoDB's JSON: {"pk": {"S": "a"}}."""

TTL_SERVICE: Final[Mapping[str, str]] = {"PrincipalId": "dynamodb.amazonaws.com", "Type": "Service"}
"""The `user_identity` of a deletion by Time to Live:
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/time-to-live-ttl-streams.html
"""

_WITH_NEW_IMAGE: Final = frozenset({"NEW_IMAGE", "NEW_AND_OLD_IMAGES"})
_WITH_OLD_IMAGE: Final = frozenset({"OLD_IMAGE", "NEW_AND_OLD_IMAGES"})
VIEW_TYPES: Final = frozenset({"KEYS_ONLY", *_WITH_NEW_IMAGE, *_WITH_OLD_IMAGE})
"""What a stream may carry besides the keys."""


@dataclass(frozen=True, slots=True)
class Change:
    """What happened to one item, in DynamoDB's JSON."""

    event_name: str
    """INSERT, MODIFY or REMOVE."""
    keys: TypedItem
    new_image: TypedItem | None
    old_image: TypedItem | None
    user_identity: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class SimulatedRecord:
    """One record of a shard."""

    number: int
    """The sequence number as a number."""
    created_seconds: float
    """When it was written, by the virtual clock."""
    size_bytes: int
    """As DynamoDB counts it: keys and images, but not JSON's own characters."""
    encoded: bytes
    """The JSON that GetRecords shows."""

    @property
    def sequence_number(self) -> str:
        """The sequence number as it goes over the wire."""
        return str(self.number)

    @property
    def content(self) -> dict[str, Any]:
        """What GetRecords shows, parsed."""
        content: dict[str, Any] = json.loads(self.encoded)
        return content


def typed_item(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return an item of plain Python values in DynamoDB's JSON. Raises TypeError for what it cannot hold."""
    try:
        return encode_item(item)
    except (KeyError, TypeError, ValueError) as error:
        raise TypeError(f"DynamoDB has no type for a value in {sorted(item)}: {error}") from None


def encode_record(
    change: Change, *, number: int, created_seconds: float, view_type: str, region: str
) -> SimulatedRecord:
    """Return the record that a stream of this view type makes of a change."""
    new_image = change.new_image if view_type in _WITH_NEW_IMAGE else None
    old_image = change.old_image if view_type in _WITH_OLD_IMAGE else None
    size_bytes = sum(_item_bytes(item) for item in (change.keys, new_image, old_image) if item is not None)
    body: dict[str, Any] = {
        "ApproximateCreationDateTime": int(created_seconds),
        "Keys": change.keys,
        "SequenceNumber": str(number),
        "SizeBytes": size_bytes,
        "StreamViewType": view_type,
    }
    if new_image is not None:
        body["NewImage"] = new_image
    if old_image is not None:
        body["OldImage"] = old_image
    record: dict[str, Any] = {
        "eventID": f"{number:032x}",
        "eventName": change.event_name,
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": region,
        "dynamodb": body,
    }
    if change.user_identity is not None:
        record["userIdentity"] = dict(change.user_identity)
    return SimulatedRecord(number, created_seconds, size_bytes, encode_json(record))


def _item_bytes(item: TypedItem) -> int:
    return sum(_text_bytes(name) + _value_bytes(value) for name, value in item.items())


def _value_bytes(attribute: Mapping[str, Any]) -> int:
    """Return a value's size.

    The rules: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
    What they leave open (zero, signs) is as DynamoDB Local counts it.
    """
    ((type_name, value),) = attribute.items()
    if type_name in {"SS", "NS", "BS"}:
        return sum(_scalar_bytes(type_name[0], member) for member in value)
    if type_name == "L":
        return 3 + sum(1 + _value_bytes(element) for element in value)
    if type_name == "M":
        return 3 + len(value) + _item_bytes(value)
    return _scalar_bytes(type_name, value)


def _scalar_bytes(type_name: str, value: str) -> int:
    if type_name == "S":
        return _text_bytes(value)
    if type_name == "B":
        return len(base64.b64decode(value))
    if type_name == "N":
        return _number_bytes(value)
    return 1  # BOOL, NULL


def _text_bytes(text: str) -> int:
    return len(text.encode("utf-8", "replace"))


def _number_bytes(text: str) -> int:
    """A byte for two digits, in pairs on each side of the point, one for the number, one for a minus."""
    number = Decimal(text)
    if not number:
        return 1
    sign, digits, exponent = number.as_tuple()
    zeros = len(digits) - len("".join(map(str, digits)).rstrip("0"))
    pairs = number.adjusted() // 2 - (int(exponent) + zeros) // 2 + 1
    return pairs + 1 + sign
