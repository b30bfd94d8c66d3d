"""Filters, by the vectors that Java's tests read, too, and by laws."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from record_processor.filters import ChangedAttributes, FilterCriteria

VECTORS: Final = Path(__file__).parent.parent / "vectors"


def vectors(file: str) -> dict[str, Any]:
    """Read a file of vectors."""
    found = json.loads((VECTORS / file).read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


FILTERS: Final = vectors("filter_criteria.json")
CHANGES: Final = vectors("changed_attributes.json")


def by_name(cases: list[dict[str, Any]]) -> pytest.MarkDecorator:
    """Make a test of each case."""
    return pytest.mark.parametrize("case", cases, ids=[case["name"] for case in cases])


def criteria_of(case: dict[str, Any]) -> Iterator[str]:
    """Yield the criteria's text: patterns that are objects as such, and as strings."""
    criteria = case["criteria"] if "criteria" in case else {"Filters": [{"Pattern": case["pattern"]}]}
    if isinstance(criteria, str):
        yield criteria
        return
    yield json.dumps(criteria)
    yield json.dumps({"Filters": [{"Pattern": _as_text(each["Pattern"])} for each in criteria["Filters"]]})


def _as_text(pattern: object) -> str:
    return pattern if isinstance(pattern, str) else json.dumps(pattern)


def event_of(case: dict[str, Any]) -> dict[str, Any]:
    """Return the record."""
    event = case["event"]
    found = FILTERS["events"][event] if isinstance(event, str) else event
    assert isinstance(found, dict)
    return found


def reason_of(refused: str | None) -> str:
    """Return what the reason matches; which words JSON's syntax is refused with is the parser's affair."""
    return r"not JSON: " if refused is None else f"^{re.escape(refused)}$"


@by_name(FILTERS["cases"])
def test_filters_decide_as_the_vectors_say(case: dict[str, Any]) -> None:
    for text in criteria_of(case):
        if isinstance(case["verdict"], bool):
            assert FilterCriteria.parse(text).matches(event_of(case)) is case["verdict"]
        else:
            with pytest.raises(ValueError, match=reason_of(case["verdict"]["refused"])):
                FilterCriteria.parse(text)


@by_name(CHANGES["cases"])
def test_changes_are_told_as_the_vectors_say(case: dict[str, Any]) -> None:
    if isinstance(case["verdict"], bool):
        assert ChangedAttributes.parse(case["paths"]).matches(case["event"]) is case["verdict"]
    else:
        with pytest.raises(ValueError, match=reason_of(case["verdict"]["refused"])):
            ChangedAttributes.parse(case["paths"])


def criteria(*patterns: object) -> FilterCriteria:
    """Make filters of patterns."""
    return FilterCriteria.parse(
        json.dumps({"Filters": [{"Pattern": json.dumps(pattern)} for pattern in patterns]})
    )


def new_image(**attributes: object) -> dict[str, Any]:
    """Make a record or a pattern with a new image."""
    return {"dynamodb": {"NewImage": attributes}}


@pytest.mark.parametrize(
    ("patterns", "sections"),
    [
        ([], set()),
        ([{"eventName": ["INSERT"]}], set()),
        ([{"dynamodb": {"SizeBytes": [1]}}], set()),
        ([new_image(a={"S": ["x"]})], {"NewImage"}),
        ([new_image(OldImage={"S": ["x"]})], {"NewImage"}),
        (
            [
                {
                    "$or": [
                        {"dynamodb": {"OldImage": {"a": {"S": [{"exists": False}]}}}},
                        {"dynamodb": {"Keys": {"a": {"S": ["x"]}}}},
                    ]
                },
                new_image(a={"S": ["x"]}),
            ],
            {"Keys", "NewImage", "OldImage"},
        ),
    ],
)
def test_the_sections_are_those_that_patterns_look_at(patterns: list[object], sections: set[str]) -> None:
    assert criteria(*patterns).sections == sections


STRINGS: Final = st.text(st.characters(codec="utf-8"))


@given(value=STRINGS, start=st.integers(0), end=st.integers(0))
def test_a_string_matches_what_is_made_of_it(value: str, start: int, end: int) -> None:
    head, tail = value[: start % (len(value) + 1)], value[end % (len(value) + 1) :]
    event = new_image(a={"S": value})
    # An address matches however it is written, so itself, too.
    for matcher in (value, {"exactly": value}, {"prefix": head}, {"suffix": tail}):
        assert criteria(new_image(a={"S": [matcher]})).matches(event)
    for operator, text in (("prefix", head), ("suffix", tail)):
        if text:
            refused = {"anything-but": {operator: text}}
            assert not criteria(new_image(a={"S": [refused]})).matches(event)


@given(value=STRINGS, other=STRINGS)
def test_anything_but_is_the_opposite(value: str, other: str) -> None:
    event = new_image(a={"S": value})
    for operator in ("prefix", "suffix"):
        if other:
            plain = criteria(new_image(a={"S": [{operator: other}]}))
            opposite = criteria(new_image(a={"S": [{"anything-but": {operator: other}}]}))
            assert plain.matches(event) is not opposite.matches(event)
    plain, opposite = (
        criteria(new_image(a={"S": [matcher]})) for matcher in ({"exactly": other}, {"anything-but": other})
    )
    assert plain.matches(event) is not opposite.matches(event)


@given(pieces=st.lists(STRINGS, min_size=1), fillings=st.lists(STRINGS))
def test_a_wildcard_matches_its_pieces_with_anything_between(pieces: list[str], fillings: list[str]) -> None:
    pieces = [pieces[0], *filter(None, pieces[1:-1]), *pieces[1:][-1:]]
    escaped = [piece.replace("\\", "\\\\").replace("*", "\\*") for piece in pieces]
    between = [*fillings, *[""] * len(pieces)]
    value = pieces[0] + "".join(filling + piece for filling, piece in zip(between, pieces[1:], strict=False))
    pattern = criteria(new_image(a={"S": [{"wildcard": "*".join(escaped)}]}))
    assert pattern.matches(new_image(a={"S": value}))


NUMBERS: Final = st.integers(-5_000_000_000, 5_000_000_000)


@given(size=NUMBERS, limit=NUMBERS.filter(lambda number: abs(number) < 5_000_000_000))
def test_numbers_compare_as_numbers(size: int, limit: int) -> None:
    event = {"dynamodb": {"SizeBytes": size}}
    for operator, verdict in {
        "=": size == limit,
        "<": size < limit,
        "<=": size <= limit,
        ">": size > limit,
        ">=": size >= limit,
    }.items():
        pattern = {"dynamodb": {"SizeBytes": [{"numeric": [operator, limit]}]}}
        assert criteria(pattern).matches(event) is verdict


@given(address=st.ip_addresses(v=4), other=st.ip_addresses(v=4), bits=st.integers(0, 31))
def test_a_range_of_addresses_has_those_that_begin_alike(address: Any, other: Any, bits: int) -> None:
    pattern = criteria(new_image(ip={"S": [{"cidr": f"{address}/{bits}"}]}))
    verdict = int(address) >> 32 - bits == int(other) >> 32 - bits
    assert pattern.matches(new_image(ip={"S": str(other)})) is verdict


ATTRIBUTES: Final = st.recursive(
    st.fixed_dictionaries({"S": STRINGS})
    | st.fixed_dictionaries({"N": st.integers().map(str)})
    | st.just({"NULL": True})
    | st.fixed_dictionaries({"BOOL": st.booleans()})
    | st.fixed_dictionaries({"NS": st.sets(st.integers(), min_size=1).map(lambda found: [*map(str, found)])})
    | st.fixed_dictionaries({"SS": st.sets(STRINGS, min_size=1).map(list)}),
    lambda below: (
        st.fixed_dictionaries({"L": st.lists(below)})
        | st.fixed_dictionaries({"M": st.dictionaries(STRINGS, below)})
    ),
)


def rewritten(value: dict[str, Any]) -> dict[str, Any]:
    """Write a value so that it looks different and is the same."""
    ((type_, content),) = value.items()
    if type_ == "M":
        return {"M": {name: rewritten(below) for name, below in reversed(content.items())}}
    if type_ == "L":
        return {"L": [rewritten(below) for below in content]}
    if type_ == "N":
        return {"N": content + ".0"}
    if type_ == "NS":
        return {"NS": [number + ".0" for number in reversed(content)]}
    return {type_: content[::-1]} if type_ == "SS" else value


def modify(old: object, new: object) -> dict[str, Any]:
    """Make a record that changes an attribute."""
    return {"eventName": "MODIFY", "dynamodb": {"OldImage": {"a": old}, "NewImage": {"a": new}}}


@given(value=ATTRIBUTES)
def test_what_is_only_written_otherwise_has_not_changed(value: dict[str, Any]) -> None:
    assert not ChangedAttributes.parse(["a"]).matches(modify(value, rewritten(value)))


@given(old=ATTRIBUTES, new=ATTRIBUTES)
def test_what_changed_there_changed_back(old: dict[str, Any], new: dict[str, Any]) -> None:
    changes = ChangedAttributes.parse(["a"])
    assert changes.matches(modify(old, new)) is changes.matches(modify(new, old))
    assert changes.matches(modify({"L": [old]}, {"L": [new]})) is changes.matches(modify(old, new))


def test_a_pattern_that_is_too_deep_is_refused() -> None:
    deep = '{"dynamodb":' * 5_000 + "1" + "}" * 5_000
    with pytest.raises(ValueError, match="filter 1: not JSON: it is nested too deeply"):
        FilterCriteria.parse(json.dumps({"Filters": [{"Pattern": deep}]}))


@pytest.mark.timeout(20)
def test_a_long_string_that_is_nearly_an_address_takes_no_time() -> None:
    pattern = criteria(new_image(ip={"S": ["::1", {"cidr": "::/1"}]}))
    assert not pattern.matches(new_image(ip={"S": ":" * 400_000 + "x"}))
