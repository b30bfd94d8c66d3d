"""DynamoDB's values as Python's, from both of the encodings that they come in. Used by record.

It is lossless: whole numbers become `int`, other numbers `Decimal` with every digit, and nothing passes
through a decimal context, which would round (boto3's deserialiser raises on such numbers). If asked for,
whole numbers become `Decimal`, too, which is boto3's convention.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping
from decimal import Decimal, DecimalException
from typing import Any, Final, TypeAlias

import msgspec

from record_processor.errors import DecodeError

Value: TypeAlias = Any
"""`str`, `int`, `Decimal`, `bytes`, `bool`, `None`, `list`, `dict`, or `set` of `str`, numbers or `bytes`."""

UNREADABLE: Final = (msgspec.MsgspecError, ValueError, TypeError, RecursionError, DecimalException)
"""What reading bytes raises that are not as they should be.

ValueError is Python's for bad UTF-8, TypeError msgspec's for a map that has a set as a name.
"""

_WHOLE: Final = re.compile(r"-?[0-9]+")
_NUMBER: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,4})?")
_MAXIMUM_DIGITS: Final = 1000  # DynamoDB sends 38 digits and exponents of 125; this only keeps out bombs


class JsonImage(bytes):
    """Keys or an image in DynamoDB's JSON."""

    __slots__ = ()


Image: TypeAlias = bytes | msgspec.Raw
"""Keys or an image that nobody has touched: a JsonImage, else MessagePack."""

ImageDecoder: TypeAlias = Callable[[Image], dict[str, Value] | str | None]
"""Returns an item, None if there is none, or what is wrong with it, without quoting it.

It does not raise, because an exception would hold on to the one that it came from, and that to the bytes.
"""


def decode_image(image: Image) -> dict[str, Value] | str | None:
    """Return an item, whose whole numbers are `int`, or what is wrong with it."""
    try:
        if type(image) is JsonImage:
            return _json_item(image)
        item = _PACKED.decode(image)
        return _ITEM.decode(item) if type(item) is bytes else item
    except DecodeError as error:
        return str(error)
    except UNREADABLE as error:
        return reason(error)


def decode_image_to_decimals(image: Image) -> dict[str, Value] | str | None:
    """Return an item, whose numbers are all `Decimal`, or what is wrong with it."""
    item = decode_image(image)
    if not isinstance(item, dict):
        return item
    try:
        return {name: _with_decimals(value) for name, value in item.items()}
    except RecursionError as error:
        return reason(error)


IMAGE_DECODERS: Final[Mapping[str, ImageDecoder]] = {
    "int": decode_image,
    "decimal": decode_image_to_decimals,
}
"""By the value of the property `numbers`."""


def _with_decimals(value: Value) -> Value:
    """Only the constructor makes them: it never rounds, a context would."""
    kind = type(value)
    if kind is int:
        return Decimal(value)
    if kind is dict:
        return {name: _with_decimals(inner) for name, inner in value.items()}
    return kind(map(_with_decimals, value)) if kind in {list, set} else value


def reason(error: Exception) -> str:
    """Say what is wrong without quoting: msgspec names types and places, Python would quote the bytes."""
    if isinstance(error, msgspec.MsgspecError):
        return str(error)
    return "it is nested too deeply" if isinstance(error, RecursionError) else "it is malformed"


# --- Values in MessagePack ---
# They come from our own daemon, whose encoder writes what docs/protocol.md has. To look at each value, if it
# has a type that MessagePack has and DynamoDB has not, would cost half as much as decoding it.


def _extension(code: int, content: memoryview) -> Value:
    """Return what MessagePack has no type for. Raises one of UNREADABLE, or DecodeError."""
    if code == _NUMBER_CODE:
        text = content.tobytes().decode()
        # Nearly all of them are fractions as DynamoDB writes them, of which nothing has to be looked at.
        is_fraction = "." in text and "E" not in text and text[-1] != "0"
        return Decimal(text) if is_fraction else _number(text)
    decode = _SETS.get(code)
    if decode is None:
        raise DecodeError("an attribute value has a type that DynamoDB does not have")
    return decode(content)


def _packed_number_set(content: memoryview) -> set[int | Decimal]:
    return {member if isinstance(member, int) else _member(member) for member in _NUMBERS.decode(content)}


def _member(extension: msgspec.msgpack.Ext) -> int | Decimal:
    if extension.code != _NUMBER_CODE:
        raise DecodeError("an NS has a member that is not a number")
    return _number(bytes(extension.data).decode())


_STRINGS: Final = msgspec.msgpack.Decoder(list[str])
_NUMBERS: Final = msgspec.msgpack.Decoder(list[int | msgspec.msgpack.Ext])
_BINARIES: Final = msgspec.msgpack.Decoder(list[bytes])
_NUMBER_CODE: Final = 1
_SETS: Final[Mapping[int, Callable[[memoryview], Value]]] = {
    2: lambda content: set(_STRINGS.decode(content)),
    3: _packed_number_set,
    4: lambda content: set(_BINARIES.decode(content)),
}
_ITEM: Final = msgspec.msgpack.Decoder(dict[str, Any], ext_hook=_extension)
_PACKED: Final = msgspec.msgpack.Decoder(dict[str, Any] | bytes | None, ext_hook=_extension)
"""Keys are there as they are, an image is in a binary."""

# --- Values in DynamoDB's JSON ---


def _json_item(image: bytes) -> dict[str, Value]:
    item = json.loads(image)
    return decode_item(item) if item else {}


def decode_item(item: object) -> dict[str, Value]:
    """Decode a map of attribute values, DynamoDB's JSON, into Python values.

    Raises DecodeError for a shape that DynamoDB does not send; its message names the attribute's type only.
    """
    try:
        return _map(item)
    except RecursionError:
        raise DecodeError("it is nested too deeply") from None


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


def encode_item(item: Mapping[str, Value]) -> dict[str, Any]:
    """Write an item as DynamoDB's JSON, the same every time: sets are sorted. An empty set becomes an SS."""
    return {name: _encoded(value) for name, value in item.items()}


def _encoded(value: Value) -> dict[str, Any]:
    return _ENCODERS[type(value)](value)


def _encoded_number(number: int | Decimal) -> dict[str, Any]:
    return {"N": str(number).upper()}  # a decimal context may ask for a small e


def _encoded_set(members: set[Value]) -> dict[str, Any]:
    encoded = [_encoded(member) for member in sorted(members)]
    (type_name,) = {name for member in encoded for name in member} or {"S"}
    return {f"{type_name}S": [member[type_name] for member in encoded]}


_ENCODERS: Final[Mapping[type, Callable[[Value], dict[str, Any]]]] = {
    str: lambda text: {"S": text},
    int: _encoded_number,
    Decimal: _encoded_number,
    bytes: lambda content: {"B": base64.b64encode(content).decode("ascii")},
    bool: lambda truth: {"BOOL": truth},
    type(None): lambda _: {"NULL": True},
    list: lambda elements: {"L": [_encoded(element) for element in elements]},
    dict: lambda entries: {"M": encode_item(entries)},
    set: _encoded_set,
}
