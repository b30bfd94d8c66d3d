"""Lambda's filter criteria: the filters of which one must match."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from record_processor.filters import json_tree, mistakes
from record_processor.filters.events import Event, flatten, holds
from record_processor.filters.patterns import Rule, read

_WRITE: Final = r': write {"Filters":[{"Pattern":"{\"eventName\":[\"INSERT\"]}"}]}'


@dataclass(frozen=True, slots=True)
class FilterCriteria:
    """Lambda's `FilterCriteria`: a record passes if it matches one of the filters, or if there is none."""

    sections: frozenset[str]
    """Those of `Keys`, `NewImage` and `OldImage` that the patterns look at."""
    _rules: tuple[Rule, ...]

    @classmethod
    def parse(cls, text: str) -> FilterCriteria:
        r"""Read JSON such as `{"Filters":[{"Pattern":"{\"eventName\":[\"INSERT\"]}"}]}`.

        A pattern may be an object, too, as in DynamoDB's page "DynamoDB Streams and Time to Live". Raises
        ValueError, one line: what is wrong, in which filter, and how to mend it.
        """
        filters = json_tree.as_list(_only(json_tree.parse(text), "Filters"), f"Filters is no list{_WRITE}")
        rules = [rule for number, each in enumerate(filters, 1) for rule in _rules(number, each)]
        names = {condition.name for rule in rules for condition in rule}
        sections = (section for section in mistakes.SECTIONS if _is_below(section, names))
        return cls(frozenset(sections), tuple(rules))

    def matches(self, event: Event) -> bool:
        """Tell whether a record passes."""
        values = flatten(event)
        return not self._rules or any(holds(rule, values) for rule in self._rules)


def _rules(number: int, filter_: object) -> Sequence[Rule]:
    try:
        pattern = _pattern(_only(filter_, "Pattern"))
        rules = read(pattern)
        mistakes.check(pattern)
        return rules
    except ValueError as error:
        reason = str(error)
    except RecursionError:
        reason = "it is nested too deeply"
    raise ValueError(f"filter {number}: {reason}")


def _pattern(value: object) -> Any:
    if isinstance(value, json_tree.JsonObject):
        return value
    return json_tree.parse(json_tree.as_string(value, f"Pattern is neither a string nor an object{_WRITE}"))


def _only(value: object, name: str) -> object:
    """Return the value of the only member that an object may have."""
    members = json_tree.as_object(value, f"there is no object with {name}{_WRITE}")
    if not members:
        raise ValueError(f"{name} is missing{_WRITE}")
    if [other for other, _ in members] != [name]:
        stranger = next((other for other, _ in members if other != name), name)
        raise ValueError(f"{json_tree.shown(stranger)} does not belong there, only one {name}{_WRITE}")
    return members[0][1]


def _is_below(section: str, names: set[str]) -> bool:
    return any(name.startswith(f"dynamodb.{section}.") for name in names)
