"""What users can name is documented: properties, exit codes, commands, options and public names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

import click

import record_processor
import record_processor.testing
from record_processor import ExitCode
from record_processor.cli import cli
from record_processor.settings import IGNORED, SCHEMA
from tests.docs.blocks import ROOT, code_of

PROPERTIES_PAGE: Final = ROOT / "docs" / "properties.md"
PAGES: Final = [
    ROOT / "README.md",
    ROOT / "docs" / "reference.md",
    ROOT / "docs" / "testing.md",
    PROPERTIES_PAGE,
]


def _code() -> str:
    return "\n".join(code_of(page) for page in PAGES)


def _is_named(name: str, code: str) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", code) is not None


def _check(names: Iterable[str], code: str) -> None:
    missing = [name for name in names if not _is_named(name, code)]
    assert not missing, f"not documented: {', '.join(missing)}"


def _commands(
    command: click.Command = cli, path: str = "record-processor"
) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    for name, child in command.commands.items() if isinstance(command, click.Group) else ():
        yield from _commands(child, f"{path} {name}")


def test_every_property_is_documented() -> None:
    """docs/properties.md names every property that a file may hold."""
    names = [*[known.name for known in SCHEMA], *IGNORED]
    _check(names, code_of(PROPERTIES_PAGE))


def test_every_public_name_is_documented() -> None:
    """What `from record_processor import …` offers is documented."""
    _check(record_processor.__all__, _code())


def test_every_public_name_for_testing_is_documented() -> None:
    """What `from record_processor.testing import …` offers is documented."""
    _check(record_processor.testing.__all__, _code())


def test_every_command_is_documented() -> None:
    """Each command is shown as it is typed."""
    _check([path for path, _ in _commands()], _code())


def test_every_option_is_documented() -> None:
    """Each option of each command is shown."""
    options = [
        option
        for _, command in _commands()
        for parameter in command.params
        for option in parameter.opts
        if isinstance(parameter, click.Option)
    ]
    _check(options, _code())


def test_every_exit_code_is_documented() -> None:
    """A line of the README or the reference gives each exit code's number and name."""
    lines = [line for page in PAGES for line in page.read_text("utf-8").splitlines()]
    missing = [
        code
        for code in ExitCode
        if not any(_is_named(str(int(code)), line) and _is_named(code.name, line) for line in lines)
    ]
    assert not missing
