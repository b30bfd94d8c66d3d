"""Writes docs/faults.md from a test run: each fault, the test, what held, and how long recovery took.

`FAULT_REPORT=docs/faults.md scripts/test` writes it; without FAULT_REPORT nothing is written.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from tests.fault_matrix import ROWS, Row

_MARK: Final = "fault"
_SECONDS: Final = "recovery_seconds"
_VARIABLE: Final = "FAULT_REPORT"

Recovery = Callable[[], AbstractContextManager[None]]
"""The fixture `recovery`: measures its block, from the end of a fault, or the kill, until all is well again."""


@pytest.fixture
def recovery(record_property: Callable[[str, Any], None]) -> Recovery:
    """Give what measures how long recovery took."""

    @contextmanager
    def measured() -> Iterator[None]:
        began = time.monotonic()
        yield
        record_property(_SECONDS, time.monotonic() - began)

    return measured


@dataclass
class _Shown:
    """What a test function showed, over all its parameters."""

    file: str
    test: str
    outcomes: set[str] = field(default_factory=set)
    seconds: list[float] = field(default_factory=list)

    def line(self, number: int, row: Row) -> str:
        """Return its line of the table."""
        held = row.holds if self.outcomes == {"passed"} else "**FAILED**"
        took = f"{max(self.seconds):.1f}" if self.seconds else ""
        return f"| {number} | {row.fault} | [{self.file}::{self.test}](../{self.file}) | {held} | {took} |"


class FaultReport:
    """Gathers what the tests of the run showed. Registered as a plugin."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._shown: dict[tuple[int, str], _Shown] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember what a test with a mark showed."""
        properties = dict(report.user_properties)
        if report.when == "setup" and report.passed:
            return
        if report.when == "teardown" and report.passed:
            return
        for number in str(properties.get(_MARK, "")).split():
            name = report.nodeid.partition("[")[0]
            file, _, test = name.partition("::")
            shown = self._shown.setdefault((int(number), name), _Shown(file, test))
            shown.outcomes.add(report.outcome)
            if _SECONDS in properties:
                shown.seconds.append(float(str(properties[_SECONDS])))

    def pytest_sessionfinish(self) -> None:
        """Write the page."""
        lines = [self._shown[key].line(key[0], ROWS[key[0]]) for key in sorted(self._shown)]
        self._path.write_text(_page(lines), "utf-8")


def _page(lines: Sequence[str]) -> str:
    rest = [
        f"| {number} | {row.fault} | | {row.not_here} | |" for number, row in ROWS.items() if row.not_here
    ]
    return "\n".join(
        [
            "# Faults",
            "",
            "Written by a test run, with `FAULT_REPORT=docs/faults.md scripts/test`. Recovery is from the end of the fault, or from",
            "the kill, until everything was handled: the longest of the test's cases, on a machine with other work to do.",
            "",
            "| # | fault | test | what held | recovery, s |",
            "|--:|---|---|---|--:|",
            *lines,
            *rest,
            "",
        ]
    )


def configure(config: pytest.Config) -> None:
    """Gather if the page is asked for, where the results come together."""
    path = os.environ.get(_VARIABLE)
    if path and not hasattr(config, "workerinput"):
        config.pluginmanager.register(FaultReport(Path(path)))


def note_faults(item: pytest.Item) -> None:
    """Make a test's marks part of its report."""
    numbers = [str(number) for mark in item.iter_markers(_MARK) for number in mark.args]
    if numbers:
        item.user_properties.append((_MARK, " ".join(numbers)))
