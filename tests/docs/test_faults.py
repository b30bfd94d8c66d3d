"""docs/faults.md: every fault has a test, or says why not, and the page lists the tests that are there, all passed."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Final

import pytest

from tests.docs.blocks import ROOT
from tests.fault_matrix import ROWS

PAGE: Final = ROOT / "docs" / "faults.md"


def _faults(function: ast.FunctionDef) -> list[int]:
    """Return the numbers of its `@pytest.mark.fault(…)`."""
    return [
        ast.literal_eval(argument)
        for mark in function.decorator_list
        if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.fault"
        for argument in mark.args
    ]


def _marked() -> set[tuple[int, str, str]]:
    return {
        (number, file.relative_to(ROOT).as_posix(), node.name)
        for file in (ROOT / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef)
        for number in _faults(node)
    }


MARKED: Final = _marked()


@pytest.mark.parametrize("number", ROWS, ids=str)
def test_a_fault_has_a_test_or_a_reason_why_not(number: int) -> None:
    """No row is forgotten."""
    assert ROWS[number].not_here or number in {marked for marked, _, _ in MARKED}


def test_marks_name_rows() -> None:
    """A number that is no row would be shown nowhere."""
    assert {number for number, _, _ in MARKED} <= set(ROWS)


def test_the_page_lists_the_tests_that_there_are() -> None:
    """Else it is to be written anew: FAULT_REPORT=docs/faults.md scripts/test."""
    listed = re.findall(r"^\| (\d+) \|.*?\[([^\]]+)::(\w+)\]\(([^)]+)\)", _page(), flags=re.MULTILINE)
    assert {(int(number), file, test) for number, file, test, _ in listed} == MARKED
    assert all((PAGE.parent / link).resolve() == Path(ROOT / file) for _, file, _, link in listed)


def test_every_fault_held() -> None:
    """A page with a failed test is not to be committed."""
    assert "FAILED" not in _page()


def test_every_row_is_on_the_page() -> None:
    """Also those that only say why there is no test."""
    assert {int(number) for number in re.findall(r"^\| (\d+) \|", _page(), flags=re.MULTILINE)} == set(ROWS)


def _page() -> str:
    return PAGE.read_text("utf-8")
