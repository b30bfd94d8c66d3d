"""Paths to attributes are read as they are written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from record_processor import paths

NAMES = st.text(st.characters(codec="utf-8"), min_size=1) | st.text(r".[]\ab0", min_size=1)
PATHS = st.tuples(NAMES, st.lists(NAMES | st.integers(0, 999_999_999))).map(lambda path: (path[0], *path[1]))


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("status", ("status",)),
        ("address.city", ("address", "city")),
        ("lines[0].price", ("lines", 0, "price")),
        ("matrix[1][20]", ("matrix", 1, 20)),
        (r"version\.1.x\[0\]", ("version.1", "x[0]")),
        (r"back\\slash", ("back\\slash",)),
        ("0", ("0",)),
    ],
)
def test_a_path_is_read_and_written(text: str, path: paths.Path) -> None:
    assert paths.parse(text) == path
    assert paths.write(path) == text


@given(path=PATHS)
def test_what_is_written_is_read(path: paths.Path) -> None:
    assert paths.parse(paths.write(path)) == path


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "a.",
        ".a",
        "a..b",
        "[0]",
        "a[",
        "a[x]",
        "a[-1]",
        "a[01]",
        "a[0]b",
        "a]",
        "a\\",
        r"a\b",
        "a.[0]",
    ],
)
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="an attribute's path"):
        paths.parse(text)
