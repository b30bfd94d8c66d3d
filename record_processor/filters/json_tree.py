"""JSON as it was written: every member of an object, the text of numbers."""

from __future__ import annotations

import json
import re
from typing import Any, Final, NoReturn

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_MAXIMUM_CHARS: Final = 200


class JsonObject(tuple[tuple[str, Any], ...]):
    """An object's members, those of one name too: AWS's own example of AND names `dynamodb` twice."""

    __slots__ = ()


class JsonNumber(str):
    """A number as it was written."""

    __slots__ = ()


def parse(text: str) -> Any:
    """Return JsonObject, list, str, JsonNumber, bool or None. Raises ValueError, one line."""
    try:
        return json.loads(
            text,
            object_pairs_hook=JsonObject,
            parse_int=JsonNumber,
            parse_float=JsonNumber,
            parse_constant=_refuse_constant,
        )
    except json.JSONDecodeError as error:
        reason = f"{error.msg}, line {error.lineno}, column {error.colno}"
    except RecursionError:
        reason = "it is nested too deeply"
    raise ValueError(f"not JSON: {reason}")


def _refuse_constant(name: str) -> NoReturn:
    raise json.JSONDecodeError(f"{name} is no number", "", 0)


def is_string(value: object) -> bool:
    """Tell a string from a number, which is kept as text."""
    return isinstance(value, str) and not isinstance(value, JsonNumber)


def as_string(value: object, complaint: str) -> str:
    """Return a string. Raises ValueError with the complaint if it is none."""
    if not isinstance(value, str) or isinstance(value, JsonNumber):
        raise ValueError(complaint)  # noqa: TRY004  # it is a user's text that is wrong
    return value


def as_list(value: object, complaint: str) -> list[Any]:
    """Return a list. Raises ValueError with the complaint if it is none."""
    if not isinstance(value, list):
        raise ValueError(complaint)  # noqa: TRY004  # the same
    return value


def as_object(value: object, complaint: str) -> JsonObject:
    """Return an object. Raises ValueError with the complaint if it is none."""
    if not isinstance(value, JsonObject):
        raise ValueError(complaint)  # noqa: TRY004  # the same
    return value


def shown(text: str) -> str:
    """Make a user's text fit for one line, as `Text.clean` does in Java."""
    line = _CONTROL.sub("?", text)
    return line if len(line) <= _MAXIMUM_CHARS else line[:_MAXIMUM_CHARS] + "…"
