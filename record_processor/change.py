"""What a record holds before its items are decoded, and the two shapes of its JSON. Used by record, messages.

The stock wire's is that of the DynamoDB Streams API, with the time in milliseconds. AWS's event, which Lambda
hands to a function, has it in seconds, and names the stream.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, TypeAlias

import msgspec

from record_processor.errors import DecodeError
from record_processor.values import (
    UNREADABLE,
    Image,
    JsonImage,
    Value,
    decode_image,
    encode_item,
    reason,
)

SequenceNumber: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
"""Decimal digits, which is for the wire's parser to check."""


class Details(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What few handlers look at, in the order of the socket."""

    event_id: str | None = None
    creation_millis: int | None = None
    size_bytes: int | None = None
    stream_view_type: str | None = None
    user_identity: tuple[str | None, str | None] | None = None
    event_version: str | None = None
    event_source: str | None = None
    aws_region: str | None = None


class Change(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What a record holds, as it is on the socket: an array in this order, decoded no further than this."""

    sequence_number: SequenceNumber
    event_name: str | None
    keys: msgspec.Raw
    new_image: msgspec.Raw
    old_image: msgspec.Raw
    packed_details: msgspec.Raw

    @property
    def details(self) -> Details:
        """The rest of it. Raises DecodeError."""
        details = _details(self.packed_details)
        if isinstance(details, str):
            raise broken(self.sequence_number, f"its details: {details}")
        return details

    def __repr__(self) -> str:
        """Show nothing of the record's content: a repr ends up in logs."""
        return f"<Change {self.sequence_number}>"


def _details(packed: msgspec.Raw) -> Details | str:
    """Return what is in it, or what is wrong with it."""
    try:
        return _DETAILS.decode(_BINARY.decode(packed))
    except UNREADABLE as error:
        return reason(error)


_BINARY: Final = msgspec.msgpack.Decoder(bytes)
_DETAILS: Final = msgspec.msgpack.Decoder(Details)


def checked(change: Change, name: str, item: dict[str, Value] | str | None) -> dict[str, Value] | None:
    """Return what was decoded of `Keys` or an image; None if it is not there. Raises DecodeError.

    Not to be called while an exception is handled, which would be in its error's context.
    """
    if isinstance(item, str):
        raise broken(change.sequence_number, f"{name}: {item}")
    return item or None  # the adapter may write a missing image as an empty one


def broken(sequence_number: str, reason: str) -> DecodeError:
    """Return the error for a record that is not as DynamoDB sends it; `reason` must quote nothing of it."""
    return DecodeError(f"record {sequence_number} cannot be decoded: {reason}")


# --- From JSON ---


class _Identity(msgspec.Struct, rename="camel"):
    type: str | None = None
    principal_id: str | None = None


_NULL: Final = msgspec.Raw(b"null")
_LAST_SECOND: Final = 253_402_300_799
"""The last that Python's `datetime` has: the end of the year 9999."""


class _Section(msgspec.Struct, rename="pascal"):
    """What both have under `dynamodb`."""

    keys: msgspec.Raw = _NULL
    new_image: msgspec.Raw = _NULL
    old_image: msgspec.Raw = _NULL
    size_bytes: int | None = None
    stream_view_type: str | None = None


class _StockSection(_Section, rename="pascal"):
    approximate_creation_date_time: int | None = None


class _AwsSection(_Section, rename="pascal", kw_only=True):
    sequence_number: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,100}\Z")]
    approximate_creation_date_time: Annotated[float, msgspec.Meta(ge=0, le=_LAST_SECOND)] | None = None


class _Header(msgspec.Struct, rename="camel"):
    """What both have around it."""

    event_id: str | None = msgspec.field(default=None, name="eventID")
    event_name: str | None = None
    user_identity: _Identity | None = None
    event_version: str | None = None
    event_source: str | None = None
    aws_region: str | None = None


class _StockEvent(_Header, rename="camel", kw_only=True):
    dynamodb: _StockSection


class _AwsEvent(_Header, rename="camel", kw_only=True):
    dynamodb: _AwsSection
    event_source_arn: str = msgspec.field(default="", name="eventSourceARN")


_STOCK_EVENT: Final = msgspec.json.Decoder(_StockEvent)
_AWS_EVENT: Final = msgspec.json.Decoder(_AwsEvent)
_STREAM_ARN: Final = re.compile(r"arn:[^:]*:dynamodb:[^:]*:[^:]*:table/(?P<table>[^/:]+)/stream/.+")


def change_from_json(data: bytes, sequence_number: str) -> Change:
    """Read the stock wire's record, without its keys and images. Raises DecodeError, which quotes nothing."""
    event = _stock_event(data)
    if isinstance(event, str):
        raise broken(sequence_number, f"its JSON: {event}")
    section = event.dynamodb
    return _change(event, section, sequence_number, section.approximate_creation_date_time)


def change_from_event(event: Mapping[str, Any]) -> tuple[Change, str, str]:
    """Read a record of AWS's event, without its keys and images; return its stream's ARN and table, too.

    Both are empty if it does not say. Raises DecodeError, which quotes nothing.
    """
    read = _aws_event(event)
    if isinstance(read, str):
        raise DecodeError(f"this event cannot be decoded: {read}")
    arn = _STREAM_ARN.fullmatch(read.event_source_arn)
    if read.event_source_arn and arn is None:
        raise DecodeError("this event cannot be decoded: its eventSourceARN is not the ARN of a stream")
    section = read.dynamodb
    seconds = section.approximate_creation_date_time
    millis = None if seconds is None else round(seconds * 1000)
    change = _change(read, section, section.sequence_number, millis)
    return change, read.event_source_arn, arn["table"] if arn else ""


def _stock_event(data: bytes) -> _StockEvent | str:
    """Return what is in the JSON, or what is wrong with it."""
    try:
        return _STOCK_EVENT.decode(data)
    except UNREADABLE as error:
        return reason(error)


def _aws_event(event: Mapping[str, Any]) -> _AwsEvent | str:
    """Return what is in the event, or what is wrong with it."""
    try:
        return _AWS_EVENT.decode(json.dumps(dict(event)))
    except TypeError:
        return "it is not a mapping of what JSON has, which has neither bytes nor datetime"
    except UNREADABLE as error:
        return reason(error)


def _change(event: _Header, section: _Section, sequence_number: str, creation_millis: int | None) -> Change:
    identity = event.user_identity
    details = Details(
        event.event_id,
        creation_millis,
        section.size_bytes,
        section.stream_view_type,
        (identity.type, identity.principal_id) if identity else None,
        event.event_version,
        event.event_source,
        event.aws_region,
    )
    keys, new_image, old_image = map(_untouched, (section.keys, section.new_image, section.old_image))
    packed = msgspec.Raw(msgspec.msgpack.encode(msgspec.msgpack.encode(details)))
    return Change(sequence_number, event.event_name, keys, new_image, old_image, packed)


def _untouched(image: msgspec.Raw) -> Any:
    """Return what stands in a Change for what the socket has there."""
    return JsonImage(image)


# --- To JSON ---


def event_from_change(change: Change, stream_arn: str) -> dict[str, Any]:
    """Write a record of AWS's event; what is not there is left out. Raises DecodeError for a broken image."""
    details = change.details
    return _present(
        {
            "eventID": details.event_id,
            "eventName": change.event_name,
            "eventVersion": details.event_version,
            "eventSource": details.event_source,
            "awsRegion": details.aws_region,
            "dynamodb": _present(
                {
                    "ApproximateCreationDateTime": _seconds(details.creation_millis),
                    "Keys": _encoded_image(change, "Keys", change.keys),
                    "NewImage": _encoded_image(change, "NewImage", change.new_image),
                    "OldImage": _encoded_image(change, "OldImage", change.old_image),
                    "SequenceNumber": change.sequence_number,
                    "SizeBytes": details.size_bytes,
                    "StreamViewType": details.stream_view_type,
                }
            ),
            "userIdentity": _identity(details.user_identity),
            "eventSourceARN": stream_arn or None,
        }
    )


def _present(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _seconds(millis: int | None) -> int | float | None:
    """AWS has whole seconds as an integer."""
    if millis is None:
        return None
    return millis / 1000 if millis % 1000 else millis // 1000


def _encoded_image(change: Change, name: str, image: Image) -> dict[str, Any] | None:
    item = checked(change, name, decode_image(image))
    return None if item is None else encode_item(item)


def _identity(identity: tuple[str | None, str | None] | None) -> dict[str, Any] | None:
    return None if identity is None else _present({"type": identity[0], "principalId": identity[1]})
