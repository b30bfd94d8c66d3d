"""DynamoDB's values: lossless from both encodings, and safe with hostile input."""

from __future__ import annotations

import json
import tracemalloc
from contextlib import suppress
from decimal import Context, Decimal, localcontext
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.msgpack import Ext

from record_processor import DecodeError
from record_processor.values import JsonImage, decode_image, decode_image_to_decimals, decode_item
from tests.items import numbers, strings, typed, unicode_strings, unicode_values, values
from tests.packing import packed_item, packed_value
from tests.stream_records import written
from tests.wire_examples import Example, examples

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

# --- The law: what was encoded comes back ---


@unhurried
@given(st.dictionaries(strings, values, min_size=1))
def test_every_item_comes_back_exactly(item: dict[str, Any]) -> None:
    """Decoding is the inverse of encoding, types and every digit included."""
    encoded = {name: written(value) for name, value in item.items()}
    assert typed(decode_image(JsonImage(json.dumps(encoded).encode()))) == typed(item)


@unhurried
@given(st.dictionaries(unicode_strings, unicode_values))
def test_both_encodings_give_the_same(item: dict[str, Any]) -> None:
    """MessagePack, too, is lossless."""
    encoded = {name: written(value) for name, value in item.items()}
    assert typed(decode_image(packed_item(encoded))) == typed(decode_item(encoded)) == typed(item)


@pytest.mark.parametrize("example", examples("wire-value"), ids=lambda example: str(example.json)[:40])
def test_what_the_page_shows(example: Example) -> None:
    """The examples in docs/protocol.md, to the byte."""
    assert packed_value(example.json) == example.wire
    assert typed(decode_image(b"\x81\xa1x" + example.wire)) == typed(decode_item({"x": example.json}))


@unhurried
@given(numbers)
def test_no_decimal_context_rounds(number: int | Decimal) -> None:
    """Numbers are exact whatever decimal context the user's code has set."""
    with localcontext(Context(prec=3, traps=[])):
        assert decode_item({"n": {"N": str(number)}}) == {"n": number}
        assert decode_image(packed_item({"n": {"N": str(number)}})) == {"n": number}


def _decimals(value: Any) -> Any:
    """Make every number a Decimal: the law of `numbers = decimal`."""
    if isinstance(value, dict):
        return {name: _decimals(inner) for name, inner in value.items()}
    if isinstance(value, list | set):
        return type(value)(_decimals(inner) for inner in value)
    return Decimal(str(value)) if isinstance(value, int) and not isinstance(value, bool) else value


@unhurried
@given(st.dictionaries(unicode_strings, unicode_values))
def test_all_numbers_can_be_decimal(item: dict[str, Any]) -> None:
    """Whole ones, nested ones and those in sets, too; from both encodings, and whatever the context is."""
    encoded = {name: written(value) for name, value in item.items()}
    for image in (packed_item(encoded), JsonImage(json.dumps(encoded).encode())):
        with localcontext(Context(prec=1, Emax=1, Emin=-1, traps=[])):
            decoded = decode_image_to_decimals(image)
        assert typed(decoded) == typed(_decimals(item))


def test_what_is_broken_is_no_decimal_either() -> None:
    """The reason is the same; what is nested too deeply for a second look is, too."""
    assert decode_image_to_decimals(b"\xc1") == decode_image(b"\xc1")
    reasons = set()
    for depth in range(100, 1000, 10):
        item = decode_image_to_decimals(JsonImage(b'{"x":' + b'{"L":[' * depth + b"]}" * depth + b"}"))
        reasons.add(item if isinstance(item, str) else "")
    assert reasons == {"", "it is nested too deeply"}


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("110111111111111110000000000000000000000", 110111111111111110000000000000000000000),
        ("9.9999999999999999999999999999999999999E+125", 99999999999999999999999999999999999999 * 10**88),
        ("1E+125", 10**125),
        ("1E-130", Decimal("1E-130")),
        ("-0.0", 0),
        ("1.50", Decimal("1.5")),
        ("1.0", 1),
    ],
)
def test_numbers(text: str, number: int | Decimal) -> None:
    """Whole numbers are int, however they are written; others are Decimal."""
    packed = decode_image(b"\x81\xa1n\xc7" + bytes([len(text), 1]) + text.encode())
    for decoded in (decode_item({"n": {"N": text}}), packed):
        assert typed(decoded) == {"n": (type(number), number)}


# --- Hostile values ---

CANARY = "canary"
HOSTILE_VALUES: list[object] = [
    {},
    {"S": "a", "N": "1"},
    {"X": CANARY},
    {"S": 1},
    {"N": 1},
    *(
        {"N": text}
        for text in ("", CANARY, "NaN", "Infinity", "1_0", " 1", "٣", "1E999999999", "1E-9999", "9" * 5000)
    ),
    {"B": CANARY + "!"},
    {"B": 1},
    {"B": "é"},
    {"BOOL": "true"},
    {"NULL": False},
    {"L": {}},
    {"M": []},
    {"SS": CANARY},
    {"NS": ["x"]},
    {"BS": [1]},
    "text",
    None,
]


@pytest.mark.parametrize("value", HOSTILE_VALUES, ids=lambda value: str(value)[:30])
def test_hostile_values(value: object) -> None:
    """A value that DynamoDB does not send is an error that quotes nothing."""
    with pytest.raises(DecodeError) as caught:
        decode_item({"attribute": value})
    assert CANARY not in str(caught.value)
    reason = decode_image(JsonImage(json.dumps({"attribute": value}).encode()))
    assert isinstance(reason, str)
    assert CANARY not in reason


def _packed(value: object) -> bytes:
    return msgspec.msgpack.encode({"attribute": value})


def _packed_sets(code: int, *contents: object) -> list[bytes]:
    return [_packed(Ext(code, msgspec.msgpack.encode(content))) for content in contents]


HOSTILE_IMAGES: list[bytes] = [
    b"",
    b"\xc1",
    *(msgspec.msgpack.encode(image) for image in (1, CANARY, [CANARY], {1: CANARY}, {b"x": CANARY})),
    b"\x81\xa1a",
    b"\x80canary",
    b"\x81\xa6canar\xff\xc0",
    b"\x81\xa1a\xa6canar\xff",
    b"\x81\xa1a\xc7\x0c\xff" + b"\xff" * 12,
    *(_packed(Ext(1, text.encode())) for text in ("", CANARY, "NaN", "1_0", " 1", "٣", "1E9999", "9" * 5000)),
    _packed(Ext(1, b"\xff")),
    *(_packed(Ext(code, CANARY.encode())) for code in (0, 2, 3, 4, 5, -2, 127)),
    *_packed_sets(2, CANARY, [1], [b"x"], [None], {}),
    *_packed_sets(3, CANARY, [CANARY], [1.5], [True], [Ext(2, b"\x90")], [Ext(1, CANARY.encode())]),
    *_packed_sets(4, CANARY, [CANARY], [1], [[b"x"]]),
    b"\x81\xa1a\x81\xc7\x03\x02\x91\xa1x\x01",  # a set as a name
    b"\x81\xa1a" + b"\x91" * 100_000 + b"\x01",
    b"\x81\xa1a" + b"\x81\xa1a" * 100_000 + b"\x01",
]


@pytest.mark.parametrize("image", HOSTILE_IMAGES, ids=lambda image: str(image[:40]))
def test_hostile_images(image: bytes) -> None:
    """MessagePack that the daemon does not send is an error that quotes nothing."""
    reason = decode_image(image)
    assert isinstance(reason, str)
    assert CANARY not in reason
    assert "\n" not in reason


@pytest.mark.parametrize(
    "image",
    [
        b"\xdf\xff\xff\xff\xff\xa1a\x01",
        b"\x81\xa1a\xdd\xff\xff\xff\xff\x01",
        b"\x81\xa1a\xdf\xff\xff\xff\xff\xa1a\x01",
        b"\x81\xa1a\xc6\xff\xff\xff\xff\x01",
        b"\x81\xa1a\xc9\xff\xff\xff\xff\x02\x01",
        b"\x81\xa1a\xc7\x06\x02\xdd\xff\xff\xff\xff\x01",
    ],
)
def test_a_length_that_lies_takes_no_memory(image: bytes) -> None:
    """Nothing is made room for that is not there."""
    tracemalloc.start()
    try:
        assert isinstance(decode_image(image), str)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 1_000_000


def test_nesting_without_end() -> None:
    """Nesting that Python cannot follow is an error, too."""
    value: dict[str, Any] = {"S": "x"}
    for _ in range(5000):
        value = {"L": [value]}
    with pytest.raises(DecodeError, match="nested too deeply"):
        decode_item({"x": value})
    assert decode_image(JsonImage(b'{"x":' * 200_000)) == "it is nested too deeply"


@unhurried
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda x: (
            st.lists(x)
            | st.dictionaries(
                st.sampled_from(["S", "N", "B", "M", "L", "SS", "NS", "BS", "NULL", "BOOL"]), x, max_size=2
            )
        ),
    )
)
def test_any_json_decodes_or_is_a_decode_error(value: object) -> None:
    """No input whatever raises anything else."""
    event = json.loads(json.dumps({"x": value}))
    with suppress(DecodeError):
        decode_item(event)


@unhurried
@given(
    st.dictionaries(unicode_strings, unicode_values, min_size=1),
    st.tuples(st.integers(0), st.binary(max_size=4), st.integers(0, 4)),
)
def test_no_damage_raises_anything_else(item: dict[str, Any], damage: tuple[int, bytes, int]) -> None:
    """Whatever happens to an image on its way, it is an item or a reason."""
    image = packed_item({name: written(value) for name, value in item.items()})
    place, junk, lost = damage
    place %= len(image)
    assert isinstance(decode_image(image[:place] + junk + image[place + lost :]), dict | str | None)


@unhurried
@given(st.binary())
def test_no_bytes_raise_anything_else(image: bytes) -> None:
    """Whatever the bytes are, in either encoding."""
    for given_image in (image, b"\x81\xa1a" + image, JsonImage(image)):
        assert isinstance(decode_image(given_image), dict | str | None)
