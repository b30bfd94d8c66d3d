"""What is at a path in an item, and what differs between two items. Used by record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from record_processor.paths import Path
from record_processor.values import Value

ABSENT: Final = object()
"""What is found where there is nothing: unlike None, no value of DynamoDB's."""


def find(value: Value, path: Path) -> Value:
    """Return what is at the path, or ABSENT."""
    for step in path:
        if not _has(value, step):
            return ABSENT
        value = value[step]
    return value


def differences(old: Value, new: Value, path: Path = ()) -> Iterator[tuple[Path, Value, Value]]:
    """Yield the path of each difference, with the old and the new value, None where there is none.

    Maps and lists that both have are compared by their elements. What else differs, or only one of them has,
    is yielded whole.
    """
    if type(old) is type(new) and isinstance(old, dict | list):
        before, after = _elements(old), _elements(new)
        for step in {**before, **after}:
            if step in before and step in after:
                yield from differences(before[step], after[step], (*path, step))
            else:
                yield (*path, step), before.get(step), after.get(step)
    elif type(old) is not type(new) or old != new:  # unlike Python's, DynamoDB's true is not 1
        yield path, old, new


def _has(value: Value, step: str | int) -> bool:
    if isinstance(value, dict):
        return step in value
    return isinstance(value, list) and isinstance(step, int) and step < len(value)


def _elements(value: dict[str, Value] | list[Value]) -> Mapping[Any, Value]:
    return value if isinstance(value, dict) else dict(enumerate(value))
