"""Reads the text of a .properties file, by the rules of `java.util.Properties.load`. Called by settings.

Two things differ from Java on purpose: white space behind a value is dropped, since nobody can see it, and
every entry keeps its line, so that a mistake can be named.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple, cast

_END_OF_LINE: Final = re.compile(r"\r\n|\r|\n")
_WHITE_SPACE: Final = " \t\f"
_ENTRY: Final = re.compile(r"(?P<name>(?:\\.|[^\\=: \t\f])*)[ \t\f]*[=:]?[ \t\f]*(?P<value>.*)", re.DOTALL)
_ESCAPE: Final = re.compile(r"\\(u(?P<hex>[0-9a-fA-F]{4})|(?P<other>.))", re.DOTALL)
_MEANING: Final = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}


class Entry(NamedTuple):
    """One `name = value` of a file."""

    line: int
    """The line that it starts on, from 1."""
    name: str
    value: str
    verbatim: str
    """The value with its backslashes: what somebody pasted who does not know that they are escapes here."""


def parse(text: str) -> Iterator[Entry]:
    r"""Yield the entries of a file's text, in its order, duplicates included.

    Understands `=`, `:` or white space between name and value, comments with `#` and `!`, a backslash at the
    end of a line to continue it, and the escapes `\t \n \r \f \\ \uXXXX`; before any other character a
    backslash is dropped.
    """
    for line, logical in _logical_lines(text):
        match = cast("re.Match[str]", _ENTRY.match(logical))  # it matches even the empty string
        value = match["value"].rstrip(_WHITE_SPACE)
        yield Entry(line, _unescaped(match["name"]), _unescaped(value), value)


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Join continued lines; skip blank ones and comments, which a backslash does not continue."""
    first, parts = 0, ""
    for number, natural in enumerate(_END_OF_LINE.split(text), 1):
        line = natural.lstrip(_WHITE_SPACE)
        if not first:
            if not line or line[0] in "#!":
                continue
            first = number
        if _is_continued(line):
            parts += line[:-1]
        else:
            yield first, parts + line
            first, parts = 0, ""
    if first:
        yield first, parts


def _is_continued(line: str) -> bool:
    backslashes = len(line) - len(line.rstrip("\\"))
    return backslashes % 2 == 1


def _unescaped(text: str) -> str:
    if "\\" not in text:
        return text
    plain = _ESCAPE.sub(lambda match: _meaning(match["hex"], match["other"]), text)
    return plain.encode("utf-16", "surrogatepass").decode(
        "utf-16", "replace"
    )  # joins escaped surrogate pairs


def _meaning(hexadecimal: str | None, other: str) -> str:
    return chr(int(hexadecimal, 16)) if hexadecimal else _MEANING.get(other, other)
