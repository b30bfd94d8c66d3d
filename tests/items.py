"""Items as hypothesis makes them, also with halves of surrogate pairs, and how to compare them to the type."""

from __future__ import annotations

from decimal import Context, Decimal
from typing import Any

from hypothesis import strategies as st

digits = st.integers(-(10**38) + 1, 10**38 - 1)
fractions = st.builds(
    lambda n, e: Decimal(n).scaleb(e, Context(prec=50)), digits, st.integers(-130, -1)
).filter(lambda number: number % 1 != 0 if abs(number) < 10**20 else False)
numbers = st.one_of(
    digits, st.builds(lambda n, e: n * 10**e, st.integers(1, 9), st.integers(0, 125)), fractions
)
strings = st.text(st.characters(exclude_categories=()))
unicode_strings = st.text()
"""What UTF-8 can hold; JSON can also hold halves of surrogate pairs."""


def _values(texts: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    scalars = st.one_of(st.none(), st.booleans(), texts, numbers, st.binary())
    sets = st.one_of(
        *(st.sets(members, min_size=1) for members in (texts, numbers, st.binary(min_size=1))),
    )
    return st.recursive(
        st.one_of(scalars, sets),
        lambda inner: st.one_of(st.lists(inner), st.dictionaries(texts, inner)),
        max_leaves=8,
    )


values = _values(strings)
unicode_values = _values(unicode_strings)


def typed(value: Any) -> Any:
    """Make 1, True and Decimal(1) different, as they are."""
    if isinstance(value, dict):
        return {name: typed(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [typed(inner) for inner in value]
    if isinstance(value, set):
        return {typed(inner) for inner in value}
    return (type(value), value)
