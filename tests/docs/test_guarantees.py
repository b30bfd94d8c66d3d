"""docs/guarantees.md: every promise names tests, and each of these exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Final

import pytest

from tests.docs.blocks import ROOT

PAGE: Final = ROOT / "docs" / "guarantees.md"
_, *PROMISES = re.split(r"^## ", PAGE.read_text("utf-8"), flags=re.MULTILINE)
PROOFS: Final = sorted(set(re.findall(r"\[([^\]\n]+)::(\w+)\]\(([^)\n]+)\)", PAGE.read_text("utf-8"))))
"""The file, the test, and where the link leads."""


def test_every_promise_names_its_tests() -> None:
    """What nothing proves is not promised."""
    assert PROMISES
    assert [promise.splitlines()[0] for promise in PROMISES if "\nProven by:\n\n- [" not in promise] == []


def test_every_name_is_a_link() -> None:
    """Else it would not be looked for."""
    text = PAGE.read_text("utf-8")
    assert text.count("::") == len(re.findall(r"\[[^\]\n]+::\w+\]\([^)\n]+\)", text))


@pytest.mark.parametrize(("file", "test", "link"), PROOFS, ids=[test for _, test, _ in PROOFS])
def test_each_test_exists(file: str, test: str, link: str) -> None:
    """In the file that the link leads to."""
    assert (PAGE.parent / link).resolve() == ROOT / file
    assert test in _tests_in(ROOT / file)


def _tests_in(file: Path) -> set[str]:
    text = file.read_text("utf-8")
    if file.suffix == ".java":
        return set(re.findall(r"@(?:Test|Property|ParameterizedTest)\b[^{;]*?void (\w+)\(", text))
    return {
        node.name
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }
