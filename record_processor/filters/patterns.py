"""A pattern, read as ruler's JsonRuleCompiler reads it, refused with its reasons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from record_processor.filters.json_tree import JsonObject, as_list, as_object, shown
from record_processor.filters.matchers import Matcher, Matches, matcher

OR: Final = "$or"

# Constants.RESERVED_FIELD_NAMES_IN_OR_RELATIONSHIP
_RESERVED: Final = frozenset(
    {
        *("exactly", "equals-ignore-case", "prefix", "suffix", "anything-but", "exists", "wildcard"),
        *("numeric", "cidr", "=", "<", "<=", ">", ">=", "regex", "not-wildcard", "not-equals-ignore-case"),
        *("date-after", "date-on-or-after", "date-before", "date-on-or-before", "in-date-range"),
        *("ip-address-in-range", "ip-address-not-in-range"),
    }
)
_MAXIMUM_RULES: Final = 1000  # EventBridge's limit of "rule combinations"


@dataclass(frozen=True, slots=True)
class Condition:
    """What a pattern asks of the values at one place."""

    name: str
    """The steps to the place, joined by dots: a name with a dot in it is not told from two names."""
    may_be_absent: bool
    matchers: tuple[Matches, ...]

    def allows(self, value: str) -> bool:
        """Tell whether a value, in ruler's text, is as it should be."""
        return any(matches(value) for matches in self.matchers)


Rule: TypeAlias = tuple[Condition, ...]
"""Conditions that must all hold, in the order of ruler: by name, in UTF-16."""

_Expanded: TypeAlias = list[dict[str, list[Matcher]]]


def read(pattern: object) -> list[Rule]:
    """Return the rules of which one must hold: several if there is `$or`. Raises ValueError."""
    members = as_object(pattern, "Filter is not an object")
    return [
        tuple(_condition(name, rule[name]) for name in sorted(rule, key=_in_utf16))
        for rule in _expand(members, "", [{}], in_or=False)
    ]


def _condition(name: str, matchers: Sequence[Matcher]) -> Condition:
    return Condition(name, None in matchers, tuple(matches for matches in matchers if matches is not None))


def _in_utf16(name: str) -> bytes:
    return name.encode("utf-16-be", "surrogatepass")


def _expand(members: JsonObject, path: str, rules: _Expanded, *, in_or: bool) -> _Expanded:
    """Add what an object says to every rule. Of a place that is named twice the last counts."""
    if not members:
        raise ValueError("Empty objects are not allowed")
    for name, value in members:
        if name == OR:
            rules = _expand_or(value, path, rules)
        elif in_or and name in _RESERVED:
            raise ValueError(f"{name} is Ruler reserved fieldName which cannot be used inside {OR}.")
        elif isinstance(value, JsonObject):
            rules = _expand(value, f"{path}{name}.", rules, in_or=in_or)
        else:
            matchers = _matchers(as_list(value, shown(f'"{name}" must be an object or an array')))
            rules = [{**rule, path + name: matchers} for rule in rules]
    return rules


def _expand_or(value: object, path: str, rules: _Expanded) -> _Expanded:
    objects = as_list(value, f"It must be an Array followed with {OR}.")
    expanded: _Expanded = []
    for each in objects:
        members = as_object(each, f"Only JSON object is allowed in array of {OR} relationship.")
        expanded += _expand(members, path, rules, in_or=True)
        if len(expanded) > _MAXIMUM_RULES:
            raise ValueError(f"{OR} makes more than {_MAXIMUM_RULES} combinations: use several filters")
    if len(objects) < 2:
        raise ValueError(f"There must have at least 2 Objects in {OR} relationship.")
    return expanded


def _matchers(values: Sequence[object]) -> list[Matcher]:
    if not values:
        raise ValueError("Empty arrays are not allowed")
    return [matcher(value) for value in values]
