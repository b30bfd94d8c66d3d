"""A stream record, and DynamoDB's JSON as Python values. Used by handlers; knows nothing of the wire.

Decoding is lazy and happens once: a handler that looks at the event name and the keys does not pay for the
images. It is lossless: whole numbers become `int`, other numbers `Decimal` with every digit, and nothing
passes through a decimal context, which would round (boto3's deserialiser raises on such numbers).
"""

from __future__ import annotations

import binascii
import json
import re
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, Final, NamedTuple, TypeAlias

from record_processor.errors import ConfigurationError, DecodeError

Value: TypeAlias = Any
"""`str`, `int`, `Decimal`, `bytes`, `bool`, `None`, `list`, `dict`, or `set` of `str`, numbers or `bytes`."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_WHOLE: Final = re.compile(r"-?[0-9]+")
_NUMBER: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,4})?")
_MAXIMUM_DIGITS: Final = 1000  # DynamoDB sends 38 digits and exponents of 125; this only keeps out bombs


class UserIdentity(NamedTuple):
    """Who made the change, when it was not a client: DynamoDB's time to live."""

    type: str
    """`Service` for time to live."""
    principal_id: str
    """`dynamodb.amazonaws.com` for time to live."""


class RecordSource(NamedTuple):
    """Where a worker's records come from: the same for all of a shard."""

    stream_arn: str
    table_name: str
    shard_id: str


class Record:
    """One change of one item, as DynamoDB Streams describes it.

    Fields and their meaning are those of the DynamoDB Streams API's `Record` and `StreamRecord`. Attributes
    are decoded at the first touch, and raise `DecodeError` for a shape that DynamoDB never sends.
    """

    __slots__ = ("_data", "_event", "_keys", "_new_image", "_old_image", "_sequence_number", "_source")

    _event: Mapping[str, Any]
    _keys: dict[str, Value]
    _new_image: dict[str, Value] | None
    _old_image: dict[str, Value] | None

    def __init__(self, data: str, sequence_number: str, source: RecordSource) -> None:
        """Take the base64 text of the record's JSON, its sequence number and where it comes from."""
        self._data = data
        self._sequence_number = sequence_number
        self._source = source

    @classmethod
    def from_wire(cls, message: Mapping[str, Any], source: RecordSource) -> Record:
        """Make a record of one element of a `processRecords` message. Nothing is decoded yet."""
        return cls(message["data"], message["sequenceNumber"], source)

    @classmethod
    def from_event(cls, event: Mapping[str, Any], source: RecordSource) -> Record:
        """Make a record of its JSON (`eventName`, `dynamodb`, …; creation time in milliseconds), for tests.

        Raises DecodeError if the event has no sequence number.
        """
        sequence_number = str(_section(event, "dynamodb", "?").get("SequenceNumber") or "")
        if not sequence_number:
            raise DecodeError("this event has no dynamodb.SequenceNumber")
        data = binascii.b2a_base64(json.dumps(event).encode(), newline=False).decode()
        return cls(data, sequence_number, source)

    def undecoded(self) -> Record:
        """Return the same record with nothing decoded: what a failed handler changed in it is gone."""
        return Record(self._data, self._sequence_number, self._source)

    @property
    def sequence_number(self) -> str:
        """The record's place in its shard; compare two of them as integers."""
        return self._sequence_number

    @property
    def stream_arn(self) -> str:
        """The ARN of the stream that the record was read from."""
        return self._source.stream_arn

    @property
    def table_name(self) -> str:
        """The name of the table that changed."""
        return self._source.table_name

    @property
    def shard_id(self) -> str:
        """The shard that the record was read from."""
        return self._source.shard_id

    @property
    def event_id(self) -> str:
        """A globally unique identifier of this change: use it to recognise a repeat."""
        return self._text("eventID")

    @property
    def event_name(self) -> str:
        """What happened: `INSERT`, `MODIFY` or `REMOVE`."""
        return self._text("eventName")

    @property
    def event_version(self) -> str:
        """The version of the record's format, such as `1.1`."""
        return self._text("eventVersion")

    @property
    def event_source(self) -> str:
        """The service that made the record: `aws:dynamodb`."""
        return self._text("eventSource")

    @property
    def aws_region(self) -> str:
        """The region of the table."""
        return self._text("awsRegion")

    @property
    def keys(self) -> dict[str, Value]:
        """The primary key of the item."""
        try:
            return self._keys
        except AttributeError:
            self._keys = self._image("Keys") or {}
            return self._keys

    @property
    def new_image(self) -> dict[str, Value] | None:
        """The item after the change; None when there is none or the stream does not carry it."""
        try:
            return self._new_image
        except AttributeError:
            self._new_image = self._image("NewImage")
            return self._new_image

    @property
    def old_image(self) -> dict[str, Value] | None:
        """The item before the change; None when there was none or the stream does not carry it."""
        try:
            return self._old_image
        except AttributeError:
            self._old_image = self._image("OldImage")
            return self._old_image

    @property
    def size_bytes(self) -> int | None:
        """The size of the record in bytes, as DynamoDB counts it."""
        return self._whole_number("SizeBytes")

    @property
    def stream_view_type(self) -> str | None:
        """What the stream carries: `KEYS_ONLY`, `NEW_IMAGE`, `OLD_IMAGE` or `NEW_AND_OLD_IMAGES`."""
        view_type = self._change.get("StreamViewType")
        return None if view_type is None else str(view_type)

    @property
    def approximate_creation_date_time(self) -> datetime | None:
        """When the change was made, in UTC; DynamoDB rounds it to the second."""
        millis = self._whole_number("ApproximateCreationDateTime")
        try:
            return None if millis is None else _EPOCH + timedelta(milliseconds=millis)
        except OverflowError:
            raise self._broken("ApproximateCreationDateTime is out of range") from None

    @property
    def user_identity(self) -> UserIdentity | None:
        """Who made the change, when it was not a client; None for the changes that clients make."""
        identity = self._decoded.get("userIdentity")
        if identity is None:
            return None
        if not isinstance(identity, dict):
            raise self._broken("userIdentity is not an object")
        return UserIdentity(str(identity.get("type", "")), str(identity.get("principalId", "")))

    @property
    def is_ttl_delete(self) -> bool:
        """Whether the item was removed by DynamoDB's time to live.

        The rule is AWS's own: a REMOVE whose user identity is the service `dynamodb.amazonaws.com`.
        """
        return self.event_name == "REMOVE" and self.user_identity == ("Service", "dynamodb.amazonaws.com")

    def changes(self) -> dict[str, tuple[Value, Value]]:
        """Return each top-level attribute that changed, with its old and its new value.

        An attribute that was added has the old value None, one that was removed the new value None; so an
        insert lists every attribute, and a removal too. Raises ConfigurationError if the stream does not
        carry both images.
        """
        if self.stream_view_type not in (None, "NEW_AND_OLD_IMAGES"):
            raise ConfigurationError(
                f"record.changes() needs both images, and the stream of table {self.table_name} has the view "
                f"type {self.stream_view_type}: give the table a stream with NEW_AND_OLD_IMAGES"
            )
        old, new = self.old_image or {}, self.new_image or {}
        names = [*old, *(name for name in new if name not in old)]
        return {
            name: (old.get(name), new.get(name))
            for name in names
            if name not in old or name not in new or not _is_same(old[name], new[name])
        }

    def __repr__(self) -> str:
        """Name the record without anything of its content: a repr ends up in logs."""
        return f"<Record {self._sequence_number} of {self.shard_id}, table {self.table_name}>"

    @property
    def _decoded(self) -> Mapping[str, Any]:
        try:
            return self._event
        except AttributeError:
            self._event = self._decode()
            return self._event

    def _decode(self) -> Mapping[str, Any]:
        try:
            event = json.loads(binascii.a2b_base64(self._data).decode())
        except (ValueError, RecursionError):
            # `from None`: the reason quotes the record's body.
            raise self._broken("it is not base64 of JSON in UTF-8") from None
        if not isinstance(event, dict):
            raise self._broken("it is not a JSON object")
        return event

    @property
    def _change(self) -> Mapping[str, Any]:
        return _section(self._decoded, "dynamodb", self._sequence_number)

    def _text(self, name: str) -> str:
        value = self._decoded.get(name, "")
        if not isinstance(value, str):
            raise self._broken(f"{name} is not a string")
        return value

    def _whole_number(self, name: str) -> int | None:
        value = self._change.get(name)
        if value is None or (isinstance(value, int) and not isinstance(value, bool)):
            return value
        raise self._broken(f"{name} is not a whole number")

    def _image(self, name: str) -> dict[str, Value] | None:
        image = self._change.get(name)
        if not image:  # the adapter writes a missing image as an empty one or not at all
            return None
        try:
            return decode_item(image)
        except DecodeError as reason:
            raise self._broken(f"{name}: {reason}") from None

    def _broken(self, reason: str) -> DecodeError:
        return DecodeError(f"record {self._sequence_number} cannot be decoded: {reason}")


def decode_item(item: object) -> dict[str, Value]:
    """Decode a map of attribute values, DynamoDB's JSON, into Python values.

    Raises DecodeError for a shape that DynamoDB does not send; its message names the attribute's type only.
    """
    try:
        return _map(item)
    except RecursionError:
        raise DecodeError("it is nested too deeply") from None


def _section(event: Mapping[str, Any], name: str, sequence_number: str) -> Mapping[str, Any]:
    section = event.get(name)
    if not isinstance(section, dict):
        raise DecodeError(f"record {sequence_number} cannot be decoded: {name} is not an object")
    return section


def _value(attribute: object) -> Value:
    if not isinstance(attribute, dict) or len(attribute) != 1:
        raise DecodeError("an attribute value is not an object with exactly one type")
    (type_name, content) = next(iter(attribute.items()))
    decode = _DECODERS.get(type_name)
    if decode is None:
        raise DecodeError("an attribute value has a type that DynamoDB does not have")
    return decode(content)


def _string(content: object) -> str:
    if isinstance(content, str):
        return content
    raise DecodeError("an S is not a string")


def _number(content: object) -> int | Decimal:
    if not isinstance(content, str) or len(content) > _MAXIMUM_DIGITS:
        raise DecodeError("an N is not a number in a string")
    if _WHOLE.fullmatch(content):
        return int(content)
    if not _NUMBER.fullmatch(content):
        raise DecodeError("an N is not a number in a string")
    number = Decimal(content)  # the constructor never rounds; a context would
    if abs(number.adjusted()) > _MAXIMUM_DIGITS:
        raise DecodeError("an N is out of range")
    numerator, denominator = number.as_integer_ratio()
    return numerator if denominator == 1 else number


def _binary(content: object) -> bytes:
    if not isinstance(content, str):
        raise DecodeError("a B is not base64")
    try:
        decoded = binascii.a2b_base64(content)
    except ValueError:
        raise DecodeError("a B is not base64") from None
    if 4 * ((len(decoded) + 2) // 3) != len(content):  # a2b_base64 drops what is foreign to base64
        raise DecodeError("a B is not base64")
    return decoded


def _bool(content: object) -> bool:
    if isinstance(content, bool):
        return content
    raise DecodeError("a BOOL is neither true nor false")


def _null(content: object) -> None:
    if content is not True:
        raise DecodeError("a NULL is not true")


def _list(content: object) -> list[Value]:
    if not isinstance(content, list):
        raise DecodeError("an L is not an array")
    return [_value(element) for element in content]


def _map(content: object) -> dict[str, Value]:
    if not isinstance(content, dict):
        raise DecodeError("an M is not an object")
    return {name: _value(attribute) for name, attribute in content.items()}


def _string_set(content: object) -> set[str]:
    return {_string(element) for element in _array(content)}


def _number_set(content: object) -> set[int | Decimal]:
    return {_number(element) for element in _array(content)}


def _binary_set(content: object) -> set[bytes]:
    return {_binary(element) for element in _array(content)}


def _array(content: object) -> list[object]:
    if isinstance(content, list):
        return content
    raise DecodeError("a set is not an array")


_DECODERS: Final = {
    "S": _string,
    "N": _number,
    "B": _binary,
    "BOOL": _bool,
    "NULL": _null,
    "L": _list,
    "M": _map,
    "SS": _string_set,
    "NS": _number_set,
    "BS": _binary_set,
}


def _is_same(old: Value, new: Value) -> bool:
    """Compare as DynamoDB would: unlike Python's, its true is not 1."""
    if type(old) is not type(new):
        return False
    if isinstance(old, dict):
        return old.keys() == new.keys() and all(_is_same(old[name], new[name]) for name in old)
    if isinstance(old, list):
        return len(old) == len(new) and all(map(_is_same, old, new))
    return bool(old == new)
