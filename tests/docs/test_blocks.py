"""Every code block in README.md and docs/*.md works: it is run, loaded or checked, as its language allows."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Final

import pytest

from record_processor import settings
from tests import wire_examples
from tests.docs import commands
from tests.docs.blocks import PAGES, ROOT, Block, blocks

BLOCKS: Final = [block for page in PAGES for block in blocks(page)]
RUN: Final = [block for block in BLOCKS if block.reason_not_run is None]
PLAIN: Final = {"text", "ini", "java", "mermaid"}
"""Languages of which nothing is checked."""

NEEDED: Final = {
    r"processor|executableName": "processor = a:B",
    r"sourceTable|streamArn": "sourceTable = orders",
    r"applicationName": "applicationName = app",
    r"regionName|dynamoDBEndpoint|streamArn": "regionName = eu-west-1",
}
"""What completes an extract from a properties file: a name that would do, and else the line to add."""


def of(*languages: str) -> pytest.MarkDecorator:
    """Parametrize a test with the blocks of some languages."""
    found = [block for block in RUN if block.language in languages]
    return pytest.mark.parametrize("block", found, ids=str)


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_its_language_is_known(block: Block) -> None:
    """A block without a language, or with one nobody checks, is a mistake."""
    checked = {"sh", "console", "python", "properties", "json", "jsonl", *wire_examples.LANGUAGES}
    assert block.language in checked | PLAIN, f"{block}: language {block.language!r}"


def test_what_is_not_run_has_a_reason() -> None:
    """`<!-- not run: -->` alone is not enough."""
    assert [str(block) for block in BLOCKS if block.reason_not_run == ""] == []


@of("sh", "console")
def test_commands_are_right(block: Block) -> None:
    """Each command exists and takes the arguments that are shown."""
    for words in commands.commands(block):
        commands.check(words)


@of("properties")
def test_properties_can_be_loaded(block: Block, tmp_path: Path) -> None:
    """A properties block is accepted by the settings, with what an extract leaves out added."""
    added = [
        line for names, line in NEEDED.items() if not re.search(rf"^({names})\b", block.text, re.MULTILINE)
    ]
    file = tmp_path / "x.properties"
    file.write_text("\n".join([block.text, *added, ""]), encoding="utf-8")
    settings.load(file, {})


def test_json_can_be_parsed() -> None:
    """A json block is one document; a jsonl block is one on each line."""
    for block in RUN:
        if block.language == "json":
            json.loads(block.text)
        elif block.language == "jsonl":
            for line in block.text.splitlines():
                json.loads(line)


@of(*wire_examples.LANGUAGES)
def test_wire_examples_are_where_they_are_read(block: Block) -> None:
    """Only docs/protocol.md has them: the tests of the wire, in both languages, compare them to the byte."""
    assert block.page.name == "protocol.md"
    assert wire_examples.examples(block.language)


PAGES_WITH_PYTHON: Final = sorted({block.page for block in RUN if block.language == "python"})


@pytest.mark.parametrize("page", PAGES_WITH_PYTHON, ids=lambda page: page.name)
def test_python_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page's python blocks run one after the other, as in one program."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(ROOT))
    module = ModuleType("shown_in_docs")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    for block in RUN:
        if block.page == page and block.language == "python":
            # Line numbers in tracebacks are those of the page.
            source = "\n" * (block.line - 1) + block.text
            exec(compile(source, str(page), "exec"), module.__dict__)
