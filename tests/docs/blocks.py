"""Reads the fenced code blocks of Markdown files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = sorted([*ROOT.glob("README.md"), *ROOT.glob("docs/*.md")])

_FENCE: Final = re.compile(r"^(?P<indent> *)```(?P<language>[\w-]*)$")
_NOT_RUN: Final = re.compile(r"<!-- not run:\s*(?P<reason>.*?)\s*-->")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block."""

    page: Path
    line: int
    """The first line of its text, from 1."""
    language: str
    text: str
    reason_not_run: str | None
    """From `<!-- not run: reason -->` on the line before the block; None if there is no such line."""

    def __str__(self) -> str:
        """Say where it is, as editors understand it."""
        return f"{self.page.relative_to(ROOT) if self.page.is_relative_to(ROOT) else self.page}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    """Yield a page's blocks. Raises ValueError if one is not closed."""
    lines = page.read_text(encoding="utf-8").splitlines()
    number = 0
    while number < len(lines):
        fence = _FENCE.match(lines[number])
        number += 1
        if fence is None:
            continue
        end = _end_of_block(lines, number, fence["indent"])
        if end is None:
            raise ValueError(f"{page}:{number}: this block is not closed")
        text = "".join(line.removeprefix(fence["indent"]) + "\n" for line in lines[number:end])
        yield Block(page, number + 1, fence["language"], text, _reason(lines, number - 1))
        number = end + 1


def _end_of_block(lines: list[str], begin: int, indent: str) -> int | None:
    return next((number for number in range(begin, len(lines)) if lines[number] == f"{indent}```"), None)


def _reason(lines: list[str], fence: int) -> str | None:
    """Return what the last line with text before the fence gives as the reason."""
    before = next((line for line in reversed(lines[:fence]) if line.strip()), "")
    found = _NOT_RUN.fullmatch(before.strip())
    return found["reason"] if found else None


def code_of(page: Path) -> str:
    """Return all that a page sets as code: its blocks, and what stands between backticks in its text."""
    text = page.read_text(encoding="utf-8")
    in_blocks = "".join(block.text for block in blocks(page))
    outside = re.sub(r"^ *```.*?^ *```$", "", text, flags=re.DOTALL | re.MULTILINE)
    return "\n".join([in_blocks, *re.findall(r"`([^`\n]+)`", outside)])
