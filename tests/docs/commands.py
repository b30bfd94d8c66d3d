"""Checks commands that the docs show: each by what it starts with, and none that is not known here."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
from collections.abc import Callable, Iterator
from importlib import metadata
from typing import Final

import click

from record_processor.cli import cli
from tests.docs.blocks import ROOT, Block


def commands(block: Block) -> Iterator[list[str]]:
    """Yield a block's commands as lists of words; in a console block only what follows a `$`."""
    text = re.sub(r"\\\n\s*", "", block.text)
    lines = text.splitlines()
    if block.language == "console":
        lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    for line in lines:
        if words := shlex.split(line, comments=True):
            yield words


def check(words: list[str]) -> None:
    """Raise AssertionError, which says why, if a command would not do what the docs show."""
    words = _without_variables(words)
    for known, look in _KNOWN.items():
        if words[0] == known or words[0].startswith(f"{known}/"):
            return look(words)
    raise AssertionError(f"{shlex.join(words)}: nobody says how this is checked; see {__name__}")


def _without_variables(words: list[str]) -> list[str]:
    """Drop `NAME=value` before the command."""
    while len(words) > 1 and re.match(r"^[A-Z_]+=", words[0]):
        words = words[1:]
    return words


def _script(words: list[str]) -> None:
    path = ROOT / words[0]
    assert os.access(path, os.X_OK), f"there is no script {words[0]}"
    source = "".join(file.read_text(encoding="utf-8") for file in path.parent.glob(f"{path.name}*"))
    for word in words[1:]:
        assert not word.startswith("-") or word in source, f"{words[0]} has no option {word}"


def _record_processor(words: list[str]) -> None:
    """Let click read the arguments, without running anything."""
    try:
        with cli.make_context("record-processor", words[1:]) as context:
            command = cli.get_command(context, words[1])
            assert command is not None, f"there is no command {words[1]}"
            command.make_context(words[1], words[2:], parent=context).close()
    except click.exceptions.Exit:
        pass  # --help, --version
    except click.UsageError as error:
        raise AssertionError(f"{shlex.join(words)}: {error.format_message()}") from None


def _python(words: list[str]) -> None:
    if words[1:3] == ["-m", "pytest"]:
        return
    if words[1] == "-m":
        assert importlib.util.find_spec(words[2]) is not None, f"there is no module {words[2]}"
        if words[2] == "record_processor":
            _record_processor(words[2:])
    else:
        assert (ROOT / words[1]).is_file(), f"there is no program {words[1]}"


def _pip(words: list[str]) -> None:
    assert words[1] == "install", shlex.join(words)
    ours = metadata.metadata("dynamodb-streams-record-processor")
    for word in words[2:]:
        name, _, extras = word.rstrip("]").partition("[")
        if word.startswith("-") or word == ".":
            continue
        assert name == ours["Name"], f"pip install {word}: our name is {ours['Name']}"
        unknown = {*filter(None, extras.split(","))} - {*(ours.get_all("Provides-Extra") or [])}
        assert not unknown, f"there is no extra {unknown}"


def _anything(words: list[str]) -> None:
    """Accept what has nothing of ours in it."""


_KNOWN: Final[dict[str, Callable[[list[str]], None]]] = {
    "scripts": _script,
    "record-processor": _record_processor,
    "python": _python,
    "python3": _python,
    "pip": _pip,
    "pytest": _anything,
    "git": _anything,
    "cd": _anything,
    "export": _anything,
    "kill": _anything,
}
