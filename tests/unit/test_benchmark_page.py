"""The table of results in docs/benchmarks.md."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.frame import Result
from benchmarks.page import PAGE, record

EMPTY = (
    "# Before\n\n<!-- The table is written by scripts/bench with --record, or all. -->\n"
    "<!-- The end of the table. -->\n\nbehind\n"
)


def result(case: str, ours: float) -> Result:
    """Make one."""
    return Result("startup", case, ours, 122.4, 122.4 / ours, "s")


def rows(page: Path) -> list[str]:
    """Return the table's."""
    return [line for line in page.read_text("utf-8").splitlines() if line.startswith("| `")]


def test_a_case_has_a_row_that_is_replaced_when_it_is_measured_again(tmp_path: Path) -> None:
    """What is around the table stays as it is."""
    page = tmp_path / "page.md"
    page.write_text(EMPTY, "utf-8")
    record([result("slow-tables", 20), result("new-application", 4.12345)], 5, page)
    assert [row.split(" | ")[:5] for row in rows(page)] == [
        ["| `startup`", "`new-application`", "4.12", "122", "29.7"],
        ["| `startup`", "`slow-tables`", "20", "122", "6.12"],
    ]
    record([result("new-application", 12345.6)], 3, page)
    assert "| 12,346 | 122 | 0.00991 | s | 3 |" in rows(page)[0]
    assert len(rows(page)) == 2
    text = page.read_text("utf-8")
    assert text.startswith("# Before\n")
    assert text.endswith("<!-- The end of the table. -->\n\nbehind\n")
    assert "shared cores" in text


def test_a_page_without_a_place_for_it_is_refused(tmp_path: Path) -> None:
    """It is left as it was; the real one has a place."""
    page = tmp_path / "page.md"
    page.write_text("nothing", "utf-8")
    with pytest.raises(ValueError, match="has no table"):
        record([result("new-application", 4)], 5, page)
    text = PAGE.read_text("utf-8")
    assert text.index("<!-- The table is") < text.index("<!-- The end of")
