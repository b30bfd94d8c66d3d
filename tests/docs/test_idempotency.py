"""docs/idempotency.md shows the examples and the commands as they are."""

from __future__ import annotations

import re

import pytest

from record_processor.aws import Aws
from record_processor.stores import dynamodb_check
from tests.docs.blocks import ROOT, blocks

PAGE = ROOT / "docs" / "idempotency.md"
SHOWN = re.findall(r"This is `(examples/\w+\.py)`", PAGE.read_text("utf-8"))


def test_both_are_shown() -> None:
    """One for each kind of transaction."""
    assert len(SHOWN) == 2


@pytest.mark.parametrize("example", SHOWN)
def test_it_is_shown_as_it_is(example: str) -> None:
    """All of it but its docstring."""
    _, code = (ROOT / example).read_text("utf-8").split('"""\n', 1)
    assert code.strip() in [block.text.strip() for block in blocks(PAGE)]


def test_the_commands_are_those_that_are_suggested() -> None:
    """When the table is missing."""
    suggested = dynamodb_check.commands("handled", Aws("eu-west-1"))
    assert "\n".join(suggested) in [block.text.strip() for block in blocks(PAGE)]
