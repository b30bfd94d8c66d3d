"""A record as Lambda delivers it, taken apart as ruler does, and held against a rule."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, TypeAlias

from record_processor.filters.patterns import Condition, Rule

Event: TypeAlias = Mapping[str, Any]
"""A record as Lambda delivers it: `eventName`, …, `dynamodb` with `Keys` and images in DynamoDB's JSON."""

Elements: TypeAlias = frozenset[tuple[int, int]]
"""Elements of lists, each as the list's number in the event and an index."""


@dataclass(frozen=True, slots=True)
class Value:
    """A value somewhere in an event."""

    text: str
    """As ruler has it; see `matchers`."""
    within: Elements
    """The elements that it is inside of."""


Values: TypeAlias = Mapping[str, Sequence[Value]]
"""An event's values by the steps to them, joined by dots."""


def flatten(event: Event) -> Values:
    """Take a record apart (ruler's Event)."""
    values: dict[str, list[Value]] = defaultdict(list)
    lists = count()

    def visit(name: str, node: object, within: Elements) -> None:
        if isinstance(node, Mapping):
            for step, below in node.items():
                visit(f"{name}.{step}", below, within)
        elif isinstance(node, list):
            number = next(lists)
            for index, element in enumerate(node):
                has_place = isinstance(element, Mapping | list)  # a set's elements are where the set is
                visit(name, element, within | {(number, index)} if has_place else within)
        else:
            values[name].append(Value(_text(node), within))

    for name, node in event.items():
        visit(name, node, frozenset())
    return values


def _text(value: object) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    return json.dumps(value) if value is None or isinstance(value, bool) else str(value)


def holds(rule: Rule, event: Values) -> bool:
    """Tell whether all conditions hold, those on one list in one element of it (ruler's ACFinder).

    The elements where they hold so far are kept, as far as later conditions look at the same lists.
    """
    found = [event.get(condition.name, ()) for condition in rule]
    where: set[Elements] = {frozenset()}
    for index, condition in enumerate(rule):
        later = {number for values in found[index + 1 :] for value in values for number, _ in value.within}
        where = {
            frozenset(element for element in elements if element[0] in later)
            for so_far in where
            for elements in _where(condition, found[index], so_far)
        }
    return bool(where)


def _where(condition: Condition, values: Sequence[Value], so_far: Elements) -> Iterator[Elements]:
    """Yield the elements in which a condition holds together with those before it."""
    consistent = [value for value in values if _is_consistent(so_far | value.within)]
    yield from (so_far | value.within for value in consistent if condition.allows(value.text))
    if condition.may_be_absent and not consistent:
        yield so_far


def _is_consistent(elements: Elements) -> bool:
    return len({number for number, _ in elements}) == len(elements)
