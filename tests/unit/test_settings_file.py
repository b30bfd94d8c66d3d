"""The text of a properties file: Java's rules, and where each entry stands."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from record_processor.properties_file import parse


@pytest.mark.parametrize(
    ("text", "entries"),
    [
        ("a = b", [("a", "b")]),
        ("a: b", [("a", "b")]),
        ("a b c", [("a", "b c")]),
        ("a=b=c", [("a", "b=c")]),
        ("  a\t=\tb  \n", [("a", "b")]),
        ("# no\n! no\n\n   # no \\\na=b", [("a", "b")]),
        ("a", [("a", "")]),
        ("a =", [("a", "")]),
        ("a = b\\\n    c", [("a", "bc")]),
        ("a = b, \\\r\n  # c", [("a", "b, # c")]),
        ("a = b\\", [("a", "b")]),
        ("a = b\\\\\nc = d", [("a", "b\\"), ("c", "d")]),
        (r"a\ b\=c\:d = e", [("a b=c:d", "e")]),
        (r"a = \t\n\r\f\\\u00e9\q", [("a", "\t\n\r\f\\éq")]),
        (r"a = \ud83d\ude00", [("a", "😀")]),
        ("a = é\u2028b", [("a", "é\u2028b")]),
        ("a=1\ra=2\r\na=3\n", [("a", "1"), ("a", "2"), ("a", "3")]),
        ("", []),
    ],
)
def test_rules(text: str, entries: list[tuple[str, str]]) -> None:
    """Each rule of java.util.Properties, by example."""
    assert [(entry.name, entry.value) for entry in parse(text)] == entries


def test_lines_are_counted_as_people_do() -> None:
    """An entry's line is the one it starts on, from 1, comments and continued lines included."""
    assert [entry.line for entry in parse("# c\na = 1\\\n  2\\\n  3\n\nb = 4")] == [2, 6]


def _escaped(text: str) -> str:
    """Write any text so that Java reads it back: everything as an escape of UTF-16."""
    units = text.encode("utf-16-be")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


@settings(deadline=None)
@given(st.text(min_size=1), st.text())
def test_what_is_escaped_comes_back(name: str, value: str) -> None:
    """Every text can be a name and a value."""
    (entry,) = parse(f"{_escaped(name)} = {_escaped(value)}")
    assert (entry.name, entry.value) == (name, value)


@settings(deadline=None)
@given(st.text())
def test_no_text_is_too_strange(text: str) -> None:
    """Any text parses, into entries whose lines are in order."""
    lines = [entry.line for entry in parse(text)]
    assert lines == sorted(set(lines))


def test_a_value_is_there_verbatim_too() -> None:
    """Continued lines are joined, and a backslash is still one."""
    (entry,) = parse('a = {"b": "\\"c\\"", \\\n     "d": 1}')
    assert entry.value == '{"b": ""c"", "d": 1}'
    assert entry.verbatim == '{"b": "\\"c\\"", "d": 1}'
