"""What ruler accepts and what can never do what its author meant: on Lambda such a filter drops records.

The shape of a record: "Using event filtering with a DynamoDB event source" in Lambda's developer guide, and
Record, StreamRecord and AttributeValue in the API reference of DynamoDB.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn, TypeAlias

from record_processor.filters.json_tree import JsonNumber, JsonObject, is_string, shown
from record_processor.filters.patterns import OR

_STRING: Final = "a string"
_NUMBER: Final = "a number"


@dataclass(frozen=True, slots=True)
class _Leaf:
    """A place that has a value."""

    what: str
    fits: frozenset[str]
    """What it can be compared with."""


@dataclass(frozen=True, slots=True)
class _Names:
    """A place with certain names below it."""

    below: Mapping[str, _Place]


class _Types(_Names):
    """An attribute's value: its type is below it."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class _Item:
    """An item or a map: any name may be below it."""

    value: _Types


_Place: TypeAlias = "_Leaf | _Names | _Item"

_A_STRING: Final = _Leaf(_STRING, frozenset({_STRING}))
_A_NUMBER: Final = _Leaf(_NUMBER, frozenset({_NUMBER}))
_STRINGS: Final = dict.fromkeys(("S", "N", "B"), _A_STRING)

_types: dict[str, _Place] = {**_STRINGS}
_ATTRIBUTE: Final = _Types(_types)
_types |= {
    "BOOL": _Leaf("true or false", frozenset({"true", "false"})),
    "NULL": _Leaf("true", frozenset({"true"})),
    "M": _Item(_ATTRIBUTE),
    "L": _ATTRIBUTE,
    **dict.fromkeys(("SS", "NS", "BS"), _A_STRING),
}

SECTIONS: Final[Mapping[str, _Place]] = {
    "Keys": _Item(_Types(_STRINGS)),
    "NewImage": _Item(_ATTRIBUTE),
    "OldImage": _Item(_ATTRIBUTE),
}
"""The items in a record."""

_RECORD: Final = _Names(
    {
        **dict.fromkeys(("eventID", "eventName", "eventVersion", "eventSource", "awsRegion"), _A_STRING),
        "eventSourceARN": _A_STRING,
        "userIdentity": _Names({"type": _A_STRING, "principalId": _A_STRING}),
        "dynamodb": _Names(
            {
                "ApproximateCreationDateTime": _A_NUMBER,
                **SECTIONS,
                "SequenceNumber": _A_STRING,
                "SizeBytes": _A_NUMBER,
                "StreamViewType": _A_STRING,
            }
        ),
    }
)
_EVENT_NAMES: Final = frozenset({"INSERT", "MODIFY", "REMOVE"})


def check(pattern: JsonObject) -> None:
    """Look at a pattern that ruler accepts. Raises ValueError, which says what to write instead."""
    _check(pattern, _RECORD, "")


def _check(node: JsonObject | list[object], place: _Place, path: str) -> None:
    if isinstance(node, list):
        _check_matchers(node, place, path)
        return
    for name, below in node:
        if name == OR:
            for each in below:
                _check(each, place, path)
        else:
            _check(below, _step(place, path, name), f"{path}.{name}" if path else name)


def _step(place: _Place, path: str, name: str) -> _Place:
    if isinstance(place, _Item):
        return place.value
    if isinstance(place, _Names):
        return place.below[name] if name in place.below else _refuse_name(place, path, name)
    raise ValueError(f"{shown(path)} is {place.what} in a record, with nothing below it")


def _refuse_name(place: _Names, path: str, name: str) -> NoReturn:
    nearest = min(place.below, key=lambda known: _distance(name.lower(), known.lower()))
    is_near = _distance(name.lower(), nearest.lower()) * 3 <= len(name)
    hint = f" (did you mean {nearest}?)" if is_near else ""
    names = ", ".join(place.below)
    if isinstance(place, _Types):
        maps = ", and what is in a map is below M" if "M" in place.below else ""
        reason = f"{shown(path)} has no type {shown(name)}{hint}; the types are {names}{maps}"
    else:
        reason = f"{shown(path) or 'a record'} has no {shown(name)}{hint}; it has {names}"
    raise ValueError(reason)


def _distance(one: str, other: str) -> int:
    """Return Levenshtein's distance."""
    row = list(range(len(other) + 1))
    for i, char in enumerate(one, 1):
        above, row = row, [i]
        for j, known in enumerate(other, 1):
            row.append(min(row[-1] + 1, above[j] + 1, above[j - 1] + (char != known)))
    return row[-1]


def _check_matchers(matchers: Sequence[object], place: _Place, path: str) -> None:
    if not isinstance(place, _Leaf):
        _refuse_list(matchers, place, path)
    for each in matchers:
        _check_kind(each, place, path)
        _check_characters(each, path)
        if path == "eventName" and is_string(each) and each not in _EVENT_NAMES:
            raise ValueError(f"eventName is INSERT, MODIFY or REMOVE, never {shown(str(each))}")


def _refuse_list(matchers: Sequence[object], place: _Names | _Item, path: str) -> NoReturn:
    is_exists = any(isinstance(each, JsonObject) and each[0][0] == "exists" for each in matchers)
    what = "exists works on values only, and there is none at" if is_exists else "there is no value at"
    raise ValueError(f"{what} {shown(path)} itself: {_advice(place, path)}")


def _advice(place: _Names | _Item, path: str) -> str:
    last = shown(path.rpartition(".")[2])
    if isinstance(place, _Item):
        return f'name an attribute and its type, such as {{"{last}":{{"status":{{"S":[…]}}}}}}'
    if isinstance(place, _Types):
        return f'name the type, such as {{"{last}":{{"S":[…]}}}}'
    return f"name one of {', '.join(place.below)}"


_MENDED: Final = {
    (_STRING, _NUMBER): ": list values as strings, or compare in the handler",
    (_STRING, "null"): ': an attribute that is NULL has that type, {"NULL":[true]}',
}


def _check_kind(matcher: object, leaf: _Leaf, path: str) -> None:
    kind = _kind(matcher)
    if kind and kind not in leaf.fits:
        mended = _MENDED.get((leaf.what, kind), "")
        raise ValueError(f"{shown(path)} is {leaf.what} in a record, not to be compared with {kind}{mended}")


def _kind(matcher: object) -> str:
    """Return what a matcher compares with, nothing if it takes any value."""
    if not isinstance(matcher, JsonObject):
        return _kind_of_literal(matcher)
    name, value = matcher[0]
    if name == "exists":
        return ""
    if name != "anything-but":
        return _NUMBER if name == "numeric" else _STRING
    inner = value[0][1] if isinstance(value, JsonObject) else value
    if not isinstance(inner, list):
        return _kind_of_literal(inner)
    if not inner:  # ruler ends in a NullPointerException, or never matches
        raise ValueError("Empty arrays are not allowed")
    return _kind_of_literal(inner[0])


def _kind_of_literal(value: object) -> str:
    if isinstance(value, str):
        return _NUMBER if isinstance(value, JsonNumber) else _STRING
    return json.dumps(value)


def _check_characters(matcher: object, path: str) -> None:
    for operators, text in _strings(matcher, ""):
        # EqualsIgnoreCaseParser takes each half of a surrogate pair for a question mark.
        if "equals-ignore-case" in operators and max(text, default="") > "\uffff":
            raise ValueError(
                f"equals-ignore-case at {shown(path)} never matches emoji, or others beyond U+FFFF"
            )
        if any("\ud800" <= char <= "\udfff" for char in text):
            raise ValueError(f"half a surrogate pair at {shown(path)}: no string has that")


def _strings(matcher: object, operators: str) -> Iterator[tuple[str, str]]:
    """Yield each string that is compared with, and the operators that it is below."""
    if isinstance(matcher, JsonObject):
        for name, value in matcher:
            yield from _strings(value, f"{operators} {name}")
    elif isinstance(matcher, list):
        for each in matcher:
            yield from _strings(each, operators)
    elif is_string(matcher):
        yield operators, str(matcher)
