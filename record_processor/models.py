"""Items as objects of the user's own type, the processor's `model`. Used by record and load.

msgspec makes a dataclass or a Struct, strictly: https://jcristharif.com/msgspec/converters.html. pydantic
makes what is its own, as strictly as the model says: https://docs.pydantic.dev/latest/concepts/conversion_table/.
It is imported only for that.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import msgspec

from record_processor.errors import ConfigurationError
from record_processor.values import Value

if TYPE_CHECKING:
    from pydantic import TypeAdapter
    from typing_extensions import TypeVar

    Item = TypeVar("Item", default=dict[str, Any])
    Model = TypeVar("Model", default=dict[str, Any])
else:  # typing's has no default before Python 3.13, and typing_extensions need not be there
    from typing import TypeVar

    Item = TypeVar("Item")
    Model = TypeVar("Model")


class Misfit(NamedTuple):
    """An item that does not fit a model."""

    reason: str
    """The model, the kind of misfit, and where; nothing of the item."""


Converter: TypeAlias = Callable[[dict[str, Value]], Any]
"""Makes an object of an item, or returns a Misfit.

It does not raise one, because an exception would hold on to the one that it came from, and that to the item.
"""


def converter(model: object) -> Converter:
    """Return what makes objects of a model. Raises ConfigurationError if it is none, or cannot be used."""
    if not isinstance(model, type) or not (_is_pydantic(model) or _is_msgspec(model)):
        raise ConfigurationError(
            "it is neither a dataclass, a msgspec.Struct, a pydantic 2 model nor a pydantic dataclass"
        )
    try:
        return _of_pydantic(model) if _is_pydantic(model) else _of_msgspec(model)
    except Exception as error:  # noqa: BLE001  # whatever is wrong with the types of its fields
        raise ConfigurationError(f"{type(error).__name__}: {' '.join(str(error).split())}") from None


def _is_pydantic(model: type) -> bool:
    return hasattr(model, "__pydantic_validator__")


def _is_msgspec(model: type) -> bool:
    return dataclasses.is_dataclass(model) or issubclass(model, msgspec.Struct)


def _misfit(model: type, reason: str) -> Misfit:
    return Misfit(f"the model {model.__module__}.{model.__qualname__}: {reason}")


# --- By msgspec ---

_QUOTED: Final = re.compile(
    r"(Invalid value|Invalid enum value|Object contains unknown field) .*?(?= - at `\$[^`]*`$|$)", re.DOTALL
)
"""The reasons that quote the item; a place may come behind."""


@cache
def _of_msgspec(model: type) -> Converter:
    msgspec.json.Decoder(model)  # refuses what the first record would
    return partial(_convert, model)


def _convert(model: type, item: dict[str, Value]) -> Any:
    try:
        return msgspec.convert(item, model, builtin_types=(bytes,))  # else text would be taken for base64
    except msgspec.ValidationError as error:
        return _misfit(model, _reason(error))


def _reason(error: msgspec.ValidationError) -> str:
    reason = str(error)
    if error.__cause__ is None:
        return _QUOTED.sub(r"\1", reason)
    # __post_init__ raised, and what it says may be anything.
    said = str(error.__cause__)
    place = reason[len(said) :] if reason.startswith(said) else ""
    return f"{type(error.__cause__).__name__} in the model itself{place}"


# --- By pydantic ---


@cache
def _of_pydantic(model: type) -> Converter:
    from pydantic import TypeAdapter

    adapter = TypeAdapter[Any](model)
    words = frozenset(_words(dict(adapter.core_schema)))  # fails if a type has a name that is nowhere
    return partial(_validate, model, adapter, words)


def _validate(model: type, adapter: TypeAdapter[Any], words: frozenset[str], item: dict[str, Value]) -> Any:
    from pydantic import ValidationError

    try:
        return adapter.validate_python(item)
    except ValidationError as error:
        first, *others = error.errors()
    place = "".join(_step(step, words) for step in first["loc"])
    more = f", and {len(others)} more" if others else ""
    # Its type, such as int_parsing: pydantic's messages may quote.
    return _misfit(model, f"{first['type']} - at `${place}`{more}")


def _words(schema: object) -> Iterator[str]:
    """Yield every string in a core schema, the fields' names among them: none comes from an item."""
    if isinstance(schema, str):
        yield schema
    elif isinstance(schema, Mapping):
        yield from schema
        for inner in schema.values():
            yield from _words(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from _words(inner)


def _step(step: str | int, words: frozenset[str]) -> str:
    """Write a step of a place as msgspec does; what is none of the model's words may be a key in the item."""
    if isinstance(step, int):
        return f"[{step}]"
    return f".{step}" if step in words else "[...]"
