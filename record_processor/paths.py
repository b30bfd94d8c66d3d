"""Paths to attributes: `status`, `address.city`, `lines[0].price`, as DynamoDB's document paths have them.

A backslash before `.`, `[`, `]` or a backslash makes it a part of a name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, TypeAlias

Path: TypeAlias = tuple[str | int, ...]
"""Names in maps and indexes in lists, from the outside in; the first one is a name."""

_STEP: Final = re.compile(
    r"(?P<dot>\.?)(?P<name>(?:\\[.\[\]\\]|[^.\[\]\\])+)|\[(?P<index>0|[1-9][0-9]{0,8})\]"
)
_ESCAPED: Final = re.compile(r"\\(.)")
_SPECIAL: Final = re.compile(r"([.\[\]\\])")


def parse(text: str) -> Path:
    """Read a path. Raises ValueError, which quotes nothing of it."""
    path: list[str | int] = []
    position = 0
    while position < len(text) or not path:
        step = _STEP.match(text, position)
        if step is None or not _may_follow(step, path):
            raise ValueError("an attribute's path, such as address.city or lines[0].price")
        index = step["index"]
        path.append(_ESCAPED.sub(r"\1", step["name"]) if index is None else int(index))
        position = step.end()
    return tuple(path)


def write(path: Iterable[str | int]) -> str:
    """Write a path so that `parse` reads it."""
    steps = (f"[{step}]" if isinstance(step, int) else "." + _SPECIAL.sub(r"\\\1", step) for step in path)
    return "".join(steps).removeprefix(".")


def _may_follow(step: re.Match[str], path: list[str | int]) -> bool:
    """The first step is a name without a dot, every other name has one."""
    return not step["dot"] and step["index"] is None if not path else bool(step["dot"] or step["index"])
