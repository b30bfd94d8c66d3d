"""The table of results in docs/benchmarks.md: a row for each case, replaced when it is measured again."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Final

from benchmarks.frame import Result
from record_processor.testing.java import find_java

PAGE: Final = Path(__file__).resolve().parent.parent / "docs" / "benchmarks.md"
_BEGIN: Final = "<!-- The table is written by scripts/bench with --record, or all. -->"
_END: Final = "<!-- The end of the table. -->"
_HEAD: Final = (
    "| benchmark | case | ours | stock | ratio | unit | rounds | on |\n|---|---|--:|--:|--:|---|--:|---|"
)


def record(results: Sequence[Result], rounds: int, page: Path = PAGE) -> None:
    """Write results into the page. Raises ValueError if it has no place for them."""
    text = page.read_text("utf-8")
    begin, end = text.find(_BEGIN), text.find(_END)
    if not 0 <= begin < end:
        raise ValueError(f"{page} has no table of results")
    rows = {_key(row): row for row in re.findall(r"^\| `.*$", text[begin:end], flags=re.MULTILINE)}
    rows |= {(result.bench, result.case): _row(result, rounds) for result in results}
    table = "\n".join([_BEGIN, "", f"{machine()}:", "", _HEAD, *(rows[key] for key in sorted(rows)), "", ""])
    page.write_text(text[:begin] + table + text[end:], "utf-8")


def _key(row: str) -> tuple[str, str]:
    bench, case = re.findall(r"`([^`]+)`", row)[:2]
    return bench, case


def _row(result: Result, rounds: int) -> str:
    numbers = " | ".join(map(_short, (result.ours, result.stock, result.ratio)))
    day = datetime.now(timezone.utc).date().isoformat()
    return f"| `{result.bench}` | `{result.case}` | {numbers} | {result.unit} | {rounds} | {day} |"


def _short(number: float) -> str:
    return f"{number:.3g}" if abs(number) < 1000 else f"{number:,.0f}"


def machine() -> str:
    """Describe this machine, on one line."""
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    version = subprocess.run([find_java(), "-version"], capture_output=True, text=True, check=True).stderr
    (java,) = re.findall(r'version "([^"]+)"', version)
    return (
        f"{os.cpu_count()} shared cores ({platform.machine()}), {memory_gib:.0f} GiB, {platform.system()}, "
        f"Python {platform.python_version()}, Java {java}"
    )
