"""Every value that DynamoDB can hold, drawn by hypothesis, and how DynamoDB writes it.

A drawn value is what a handler must see; its JSON is made from it here, without looking at any decoder.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from decimal import Context, Decimal
from typing import Any, Final, NamedTuple

from hypothesis import strategies as st

MOST_DIGITS: Final = 38
"""How exact a number is: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Limits.html"""

SMALLEST_EXPONENT, LARGEST_EXPONENT = -130, 125
"""A number's first digit has one of these powers of ten; the same page."""

# --- Values ---


def _number(digits: int, exponent: int) -> int | Decimal:
    """Return the number whose digits begin at a power of ten: an int if it is whole."""
    shift = exponent - len(str(abs(digits))) + 1
    number = Decimal(digits).scaleb(shift, Context(prec=MOST_DIGITS))
    return int(number) if number == number.to_integral_value() else number


numbers: st.SearchStrategy[int | Decimal] = st.one_of(
    st.integers(-1000, 1000),
    st.sampled_from([2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 2**64]),
    st.integers(-(10**MOST_DIGITS) + 1, 10**MOST_DIGITS - 1),
    st.builds(
        _number,
        st.integers(-(10**MOST_DIGITS) + 1, 10**MOST_DIGITS - 1).filter(bool),
        st.integers(SMALLEST_EXPONENT, LARGEST_EXPONENT),
    ),
    st.builds(_number, st.integers(-9999, 9999).filter(bool), st.integers(-6, 6)),
    st.sampled_from([_number(1, SMALLEST_EXPONENT), _number(999, LARGEST_EXPONENT)]),
)
"""Of 38 digits, from 1E-130 to 9.99…E+125; among them what is just within and just beyond 64 bits."""

texts: Final = st.text()
"""All of Unicode but halves of surrogate pairs, which DynamoDB refuses."""

binaries: Final = st.one_of(
    st.binary(),
    st.builds(lambda piece, count: piece * count, st.binary(min_size=1, max_size=3), st.integers(0, 40_000)),
)
"""Up to 120 KB."""

names: Final = st.one_of(
    st.text(min_size=1, max_size=300),
    st.sampled_from(["\0", " ", "a.b", "a[0]", "#a", ":a", "S", "N", "__proto__", "zażółć 🐢", "x" * 255]),
)

_sets: Final = st.one_of(
    *(
        st.sets(members, min_size=1, max_size=5)
        for members in (st.text(min_size=1), numbers, st.binary(min_size=1))
    )
)

values: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), texts, numbers, binaries, _sets),
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(names, inner, max_size=5)),
    max_leaves=8,
)
"""Of all ten types, nested."""

_key_values: Final = st.one_of(st.text(min_size=1), numbers, st.binary(min_size=1))

keys: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"pk": _key_values}, optional={"sk": _key_values}
)

# --- How DynamoDB writes them ---


def in_full(number: int | Decimal) -> str:
    """Write a number with all its digits, without an exponent."""
    return f"{Decimal(number):f}"


def in_powers(number: int | Decimal) -> str:
    """Write a number as digits and a power of ten."""
    return f"{Decimal(number):E}"


def in_base64(content: bytes) -> str:
    """Write a binary as JSON has it; boto3 takes it as it is."""
    return base64.b64encode(content).decode("ascii")


class Form(NamedTuple):
    """How scalars are written that there is more than one way for."""

    number: Callable[[int | Decimal], str] = str
    binary: Callable[[bytes], str | bytes] = in_base64


AS_JSON: Final = Form()


def written(value: Any, form: Form = AS_JSON) -> dict[str, Any]:
    """Write a value in DynamoDB's JSON."""
    if isinstance(value, dict):
        return {"M": {name: written(inner, form) for name, inner in value.items()}}
    if isinstance(value, list):
        return {"L": [written(inner, form) for inner in value]}
    if isinstance(value, set):
        return _written_set([_written_scalar(member, form) for member in value])
    return _written_scalar(value, form)


def _written_set(members: list[dict[str, Any]]) -> dict[str, Any]:
    (type_name,) = {name for member in members for name in member}
    return {f"{type_name}S": [member[type_name] for member in members]}


def _written_scalar(value: Any, form: Form) -> dict[str, Any]:
    match value:
        case None:
            return {"NULL": True}
        case bool():
            return {"BOOL": value}
        case str():
            return {"S": value}
        case int() | Decimal():
            return {"N": form.number(value)}
        case bytes():
            return {"B": form.binary(value)}
    raise AssertionError(type(value))
