"""Reads the examples in docs/protocol.md: a line of JSON, then the same in hexadecimal, again and again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import groupby
from typing import Any, NamedTuple

from tests.docs.blocks import ROOT, blocks

LANGUAGES = ("wire-daemon", "wire-worker", "wire-record", "wire-value")


class Example(NamedTuple):
    """Something in JSON, and its bytes on the wire."""

    json: dict[str, Any]
    wire: bytes


def examples(language: str) -> list[Example]:
    """Return the examples in one of the languages. Raises ValueError if JSON and bytes do not alternate."""
    page = ROOT / "docs" / "protocol.md"
    return [
        example
        for block in blocks(page)
        if block.language == language
        for example in _pairs(block.text.splitlines())
    ]


def _pairs(lines: list[str]) -> Iterator[Example]:
    parts = [list(part) for _, part in groupby(lines, lambda line: line.startswith("{"))]
    for said, written in zip(parts[::2], parts[1::2], strict=True):
        (line,) = said
        yield Example(json.loads(line), bytes.fromhex("".join(written)))
