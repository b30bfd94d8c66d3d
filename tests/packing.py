"""Writes what the daemon writes: records as docs/protocol.md says, in MessagePack and as lines of JSON."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec
from msgspec.msgpack import Ext


def frame(payload: bytes) -> bytes:
    """Return a payload with its length in front."""
    return len(payload).to_bytes(4, "big") + payload


def packed_message(message: Mapping[str, Any]) -> bytes:
    """Write a message from the daemon, whose records are events, as MessagePack."""
    if "records" not in message:
        return msgspec.msgpack.encode(message)
    return msgspec.msgpack.encode({**message, "records": list(map(_record, message["records"]))})


def json_message(message: Mapping[str, Any]) -> bytes:
    """Write a message from the daemon, whose records are events, as a line of JSON, without its end."""
    if "records" not in message:
        return json.dumps(message).encode()
    return json.dumps({**message, "records": list(map(_element, message["records"]))}).encode()


def packed_record(event: Mapping[str, Any]) -> bytes:
    """Write an event as a record."""
    return msgspec.msgpack.encode(_record(event))


def packed_item(item: Mapping[str, Any]) -> bytes:
    """Write a map of DynamoDB's attribute values, in their JSON."""
    return msgspec.msgpack.encode({name: _value(attribute) for name, attribute in item.items()})


def packed_value(attribute: Mapping[str, Any]) -> bytes:
    """Write one attribute value, in DynamoDB's JSON."""
    return msgspec.msgpack.encode(_value(attribute))


def _record(event: Mapping[str, Any]) -> list[object]:
    change = event["dynamodb"]
    return [
        change["SequenceNumber"],
        event.get("eventName"),
        _embedded(change.get("Keys")),
        _image(change.get("NewImage")),
        _image(change.get("OldImage")),
        msgspec.msgpack.encode(_details(event)),
    ]


def _details(event: Mapping[str, Any]) -> list[object]:
    change, identity = event["dynamodb"], event.get("userIdentity")
    return [
        event.get("eventID"),
        change.get("ApproximateCreationDateTime"),
        change.get("SizeBytes"),
        change.get("StreamViewType"),
        identity and [identity["type"], identity["principalId"]],
        event.get("eventVersion"),
        event.get("eventSource"),
        event.get("awsRegion"),
    ]


def _embedded(item: Mapping[str, Any] | bytes | None) -> msgspec.Raw | None:
    image = _image(item)
    return None if image is None else msgspec.Raw(image)


def _image(item: Mapping[str, Any] | bytes | None) -> bytes | None:
    """Write an image; one that is given as bytes is broken on purpose."""
    return item if item is None or isinstance(item, bytes) else packed_item(item)


def _element(event: Mapping[str, Any]) -> dict[str, Any]:
    number = event["dynamodb"]["SequenceNumber"]
    return {
        "action": "record",
        "data": base64.b64encode(json.dumps(event).encode()).decode(),
        "partitionKey": number,
        "sequenceNumber": number,
        "subSequenceNumber": 0,
        "approximateArrivalTimestamp": 1764000000000,
    }


def _value(attribute: Mapping[str, Any]) -> object:
    ((type_name, content),) = attribute.items()
    encode = _ENCODERS.get(type_name)
    return encode(content) if encode else content


def _set(code: int, member_type: str) -> Callable[[Any], Ext]:
    return lambda members: Ext(
        code, msgspec.msgpack.encode([_value({member_type: member}) for member in members])
    )


def _number(text: str) -> int | Ext:
    number = Decimal(text)
    is_small = number.adjusted() < 20 and number == number.to_integral_value()
    if is_small and -(2**63) <= int(number) < 2**63:
        return int(number)
    is_plain_fraction = "." in text and "E" not in text.upper() and not text.endswith("0")
    return Ext(5 if is_plain_fraction else 1, text.encode())


_ENCODERS: Final[Mapping[str, Callable[[Any], object]]] = {
    "N": _number,
    "B": base64.b64decode,
    "NULL": lambda _: None,
    "L": lambda elements: [_value(inner) for inner in elements],
    "M": lambda entries: {name: _value(inner) for name, inner in entries.items()},
    "SS": _set(2, "S"),
    "NS": _set(3, "N"),
    "BS": _set(4, "B"),
}
