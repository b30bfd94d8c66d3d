"""The exception tree: complete in its drawing, and every message one line."""

from __future__ import annotations

import inspect

import pytest

from record_processor import errors

CLASSES = [found for _, found in inspect.getmembers(errors, inspect.isclass) if issubclass(found, Exception)]


@pytest.mark.parametrize("error", CLASSES, ids=lambda error: error.__name__)
def test_every_exception_is_drawn_once(error: type[Exception]) -> None:
    """The tree in the module's docstring holds every class, under its parent."""
    lines = (errors.__doc__ or "").splitlines()
    words = [line.replace("│", " ").replace("├──", "   ").replace("└──", "   ") for line in lines]
    (place,) = [number for number, line in enumerate(words) if line.split()[:1] == [error.__name__]]
    depth = len(words[place]) - len(words[place].lstrip())
    assert depth == 4 * (len(error.__mro__) - len(errors.RecordProcessorError.__mro__))


@pytest.mark.parametrize(
    "error",
    [each for each in CLASSES if each is not errors.BatchItemFailures],
    ids=lambda error: error.__name__,
)
def test_message_defaults_to_the_docstring(error: type[Exception]) -> None:
    """An exception without a message says what its docstring says, on one line."""
    assert str(error()) == " ".join((error.__doc__ or "").split())


def test_exit_codes_are_those_of_the_documentation() -> None:
    """The numbers are a public promise."""
    codes = {code.name: code.value for code in errors.ExitCode}
    assert codes == {"DRAINED": 0, "USAGE": 2, "COULD_NOT_START": 3, "FATAL": 4, "INTERRUPTED": 130}
