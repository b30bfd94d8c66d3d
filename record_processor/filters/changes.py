"""Records that change the value of certain attributes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeAlias

from record_processor import paths
from record_processor.filters.events import Event

_Attribute: TypeAlias = Mapping[str, Any]
"""An attribute's value in DynamoDB's JSON: `{"S": "a"}`."""


@dataclass(frozen=True, slots=True)
class ChangedAttributes:
    """Passes each record that changes the value at one of some paths, and every INSERT and REMOVE."""

    _paths: tuple[paths.Path, ...]

    @classmethod
    def parse(cls, texts: Iterable[str]) -> ChangedAttributes:
        """Read paths such as `status`, `address.city` or `lines[0].price`. Raises ValueError."""
        parsed = tuple(paths.parse(text) for text in texts)
        if not parsed:
            raise ValueError("at least one attribute's path, such as address.city or lines[0].price")
        return cls(parsed)

    def matches(self, event: Event) -> bool:
        """Tell whether a record passes. One without both images does: nobody can tell what it changed."""
        images = event.get("dynamodb", {})
        old, new = images.get("OldImage"), images.get("NewImage")
        if event.get("eventName") != "MODIFY" or old is None or new is None:
            return True
        return any(_at(old, path) != _at(new, path) for path in self._paths)


def _at(image: Mapping[str, _Attribute], path: paths.Path) -> object:
    """Return the value at a path, made comparable; None if there is none."""
    value: _Attribute = {"M": image}
    for step in path:
        below = value.get("M" if isinstance(step, str) else "L", ())
        if isinstance(step, str):
            if step not in below:
                return None
        elif step >= len(below):
            return None
        value = below[step]
    return _comparable(value)


def _comparable(value: _Attribute) -> object:
    """Return type and content, equal if they are the same to DynamoDB: 1 and 1.0, sets in any order."""
    ((type_, content),) = value.items()
    if type_ == "M":
        content = {name: _comparable(each) for name, each in content.items()}
    elif type_ == "L":
        content = [_comparable(each) for each in content]
    elif type_ == "N":
        content = Decimal(content)
    elif type_ == "NS":
        content = frozenset(map(Decimal, content))
    elif type_ in {"SS", "BS"}:
        content = frozenset(content)
    return type_, content
