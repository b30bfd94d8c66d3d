"""What processes cost: CPU time and memory, from /proc."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

_TICKS: Final = os.sysconf("SC_CLK_TCK")


def cpu_seconds_by_kind(pids: Iterable[int]) -> dict[str, float]:
    """Return the CPU time that processes have used, of the JVMs (`jvm`) and of the others (`python`)."""
    seconds = {"jvm": 0.0, "python": 0.0}
    for pid in pids:
        with suppress(OSError):
            name, _, rest = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")
            user, system = rest.split()[11:13]
            seconds["jvm" if name.endswith("(java") else "python"] += (int(user) + int(system)) / _TICKS
    return seconds


def pss_megabytes(pids: Iterable[int]) -> float:
    """Return the memory of processes, what they share divided among them."""
    total = 0
    for pid in pids:
        with suppress(OSError):
            found = re.search(
                r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text("ascii"), re.MULTILINE
            )
            total += int(found.group(1)) if found else 0
    return total / 1024
