"""What `from record_processor import …` offers, and that all of it is documented."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import pytest

import record_processor


def _public_things() -> Iterator[tuple[str, object]]:
    for name in record_processor.__all__:
        thing = getattr(record_processor, name)
        yield name, thing
        for member, value in vars(thing).items() if inspect.isclass(thing) else ():
            if not member.startswith("_") and (inspect.isroutine(value) or isinstance(value, property)):
                yield f"{name}.{member}", value


def test_all_is_what_is_there() -> None:
    """Every class in the package's namespace is listed in `__all__`, once, and every listed name resolves."""
    classes = {name for name, thing in vars(record_processor).items() if inspect.isclass(thing)}
    assert len(record_processor.__all__) == len(set(record_processor.__all__))
    assert set(record_processor.__all__) == classes


THINGS = list(_public_things())


@pytest.mark.parametrize(("name", "thing"), THINGS, ids=[name for name, _ in THINGS])
def test_every_public_thing_has_a_docstring_of_its_own(name: str, thing: object) -> None:
    """No public class, method or property is undocumented."""
    assert (thing.__doc__ or "").strip().endswith((".", ":")), name
