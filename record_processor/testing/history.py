"""Proves from what handlers wrote down that nothing was lost, reordered, or repeated without a reason.

A test writes changes with a counter n per key, and its handler writes each down: `HistoryLog.append`. The
test marks what it does to the processes: `mark`, `during`. `check_history` compares.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

CHECKPOINT: Final = "checkpoint"
"""The kind of mark that says how far a shard was checkpointed. Every other kind is a disruption."""

_MOST_SHOWN: Final = 10


@dataclass(frozen=True, slots=True)
class Handled:
    """One change that a handler has handled."""

    key: str
    n: int
    sequence_number: str
    shard_id: str = ""
    run: str = ""
    """Which worker handled it: unique, as a process id is not."""
    pid: int = 0
    monotonic_seconds: float = 0
    """The host's monotonic clock, the same for all its processes."""
    wall_seconds: float = 0
    """Seconds since the epoch."""

    def __str__(self) -> str:
        """Say which it is, in a few words."""
        return f"{self.key} n={self.n} (sequence number {self.sequence_number}, pid {self.pid})"


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that the test did or saw: a restart, a kill, a checkpoint."""

    kind: str
    phase: str = "at"
    """"at" for a moment, or "begin" and "end" of a span."""
    shard_id: str = ""
    """The shard that it concerns; "" for all."""
    details: Mapping[str, Any] = field(default_factory=dict)
    monotonic_seconds: float = 0
    wall_seconds: float = 0


class HistoryLog:
    """A file that any number of processes append to, each line whole and on disk before `append` returns.

    A worker has one of its own: what one object appended in one process counts as one run.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Take the file's path; it is made when it is first written, readable only by you."""
        self.path = Path(path)
        self._process = 0
        self._run = ""

    def append(self, key: str, n: int, sequence_number: str, shard_id: str = "") -> None:
        """Write down that change number n of a key has been handled: the last thing that a handler does.

        Raises OSError if it could not be written whole.
        """
        self._write(
            {
                "key": key,
                "n": n,
                "sequence_number": sequence_number,
                "shard_id": shard_id,
                "run": self._this_run(),
                "pid": os.getpid(),
            }
        )

    def mark(self, kind: str, *, shard_id: str = "", **details: Any) -> None:
        """Write down something that happens at this moment, to one shard or to all.

        The kind "checkpoint", with `sequence_number` and `shard_id`, says how far a shard is checkpointed:
        repeats after a later disruption must lie beyond it. Every other kind ("kill", "restart", …) is a
        disruption and explains the repeats after it.
        """
        self._write({"kind": kind, "phase": "at", "shard_id": shard_id, "details": details})

    @contextmanager
    def during(self, kind: str, *, shard_id: str = "", **details: Any) -> Iterator[None]:
        """Mark a disruption that takes a while: the block in which the test kills a process, say.

        A change handled while it lasts may be repeated afterwards. With `mark`, one that was handled in the
        instant after the mark but before the kill could not.
        """
        mark = {"kind": kind, "shard_id": shard_id, "details": details}
        self._write({**mark, "phase": "begin"})
        try:
            yield
        finally:
            self._write({**mark, "phase": "end"})

    def entries(self) -> list[Handled | Mark]:
        """Return everything that was written, in the order of writing; nothing if there is no file yet."""
        if not self.path.exists():
            return []
        # A reader may see the begin of a line that is being written: the kernel copies page by page.
        whole, _, _ = self.path.read_text(encoding="utf-8").rpartition("\n")
        return [_parse(json.loads(line)) for line in whole.splitlines()]

    def handled(self) -> list[Handled]:
        """Return what was handled, in that order."""
        return [entry for entry in self.entries() if isinstance(entry, Handled)]

    def _write(self, content: dict[str, Any]) -> None:
        content |= {"monotonic_seconds": time.monotonic(), "wall_seconds": time.time()}
        line = json.dumps(content).encode("ascii") + b"\n"
        # One write to a file opened with O_APPEND: no other process's line can come between.
        file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            if os.write(file, line) != len(line):
                raise OSError(f"{self.path} could not be written: the disk is full")
            os.fsync(file)
        finally:
            os.close(file)

    def _this_run(self) -> str:
        if self._process != os.getpid():  # also after a fork
            self._process, self._run = os.getpid(), secrets.token_hex(8)
        return self._run


def _parse(content: dict[str, Any]) -> Handled | Mark:
    return Mark(**content) if "kind" in content else Handled(**content)


@dataclass(frozen=True, slots=True)
class HistoryReport:
    """What a history shows."""

    written: int
    """How many changes were written to the table."""
    handled: int
    """How many different ones of them were handled."""
    missing: list[tuple[str, int]]
    """Key and n of what was written and never handled."""
    unknown: list[Handled]
    """What was handled and never written."""
    out_of_order: list[Handled]
    """What was handled before an earlier change of its key, or by a worker that left one out before it."""
    repeats: list[Handled]
    """What was handled again."""
    unexplained_repeats: list[Handled]
    """Those of them that no disruption explains, or that lie at or below the checkpoint of then."""

    def assert_clean(self, allow_repeats: bool = True) -> None:
        """Raise AssertionError, which says what is wrong, unless all was handled, in order.

        Repeats are wrong if nothing explains them; with `allow_repeats` false, all are.
        """
        faults: dict[str, Sequence[object]] = {
            "missing": [f"{key} n={n}" for key, n in self.missing],
            "never written": self.unknown,
            "out of order": self.out_of_order,
            "unexplained repeats": self.unexplained_repeats,
            "repeats": [] if allow_repeats else self.repeats,
        }
        told = [_tell(name, found) for name, found in faults.items() if found]
        if told:
            raise AssertionError(f"{self.handled} of {self.written} changes were handled\n" + "\n".join(told))


def _tell(name: str, found: Sequence[object]) -> str:
    shown = [f"  {entry}" for entry in found[:_MOST_SHOWN]]
    rest = [f"  … and {len(found) - _MOST_SHOWN} more"] if len(found) > _MOST_SHOWN else []
    return "\n".join([f"{len(found)} {name}:", *shown, *rest])


def check_history(entries: Iterable[Handled | Mark], written: Mapping[str, Sequence[int]]) -> HistoryReport:
    """Compare a history with what was written: each key's counters, in the order in which they were written.

    - Every change was handled, and nothing else.
    - The first time that each was handled, its key's earlier ones had been.
    - Each worker handled a key's changes without a gap; it may go back, and then goes on without a gap.
    - Between one handling and the next of the same change there was a disruption, and the change lies beyond
      the checkpoint that its shard had when the latest such disruption began.
    """
    entries = list(entries)
    places = {(key, n): place for key, counters in written.items() for place, n in enumerate(counters)}
    handled = [entry for entry in entries if isinstance(entry, Handled)]
    known = [entry for entry in handled if (entry.key, entry.n) in places]
    seen = {(entry.key, entry.n) for entry in known}
    repeats = _Repeats(entries)
    return HistoryReport(
        written=len(places),
        handled=len(seen),
        missing=[change for change in places if change not in seen],
        unknown=[entry for entry in handled if (entry.key, entry.n) not in places],
        out_of_order=_out_of_order(known, places),
        repeats=repeats.all,
        unexplained_repeats=repeats.unexplained,
    )


def _out_of_order(handled: Sequence[Handled], places: Mapping[tuple[str, int], int]) -> list[Handled]:
    found = []
    ends: dict[str, int] = defaultdict(int)  # by key: the place after the last that was reached
    ends_of_run: dict[tuple[str, str], int] = {}
    for entry in handled:
        place = places[entry.key, entry.n]
        end = ends[entry.key]
        # A worker may begin anywhere in what is known already, but leaves nothing out after that.
        if place > end or place > ends_of_run.get((entry.key, entry.run), end):
            found.append(entry)
        ends[entry.key] = max(end, place + 1)
        ends_of_run[entry.key, entry.run] = place + 1
    return found


@dataclass(slots=True)
class _Disruption:
    """A span of places in the history, and how far the shards were checkpointed when it began."""

    begin: int
    end: int
    shard_id: str
    checkpoints: Mapping[str, float]


class _Repeats:
    """Finds the repeats in a history, and which of them nothing explains."""

    def __init__(self, entries: Sequence[Handled | Mark]) -> None:
        self.all: list[Handled] = []
        self.unexplained: list[Handled] = []
        self._disruptions = list(_disruptions(entries))
        last_places: dict[tuple[str, int], int] = {}
        for place, entry in enumerate(entries):
            if isinstance(entry, Mark):
                continue
            change = (entry.key, entry.n)
            if change in last_places:
                self.all.append(entry)
                if not self._is_explained(entry, last_places[change], place):
                    self.unexplained.append(entry)
            last_places[change] = place

    def _is_explained(self, repeat: Handled, previous_place: int, place: int) -> bool:
        between = [
            disruption
            for disruption in self._disruptions
            if disruption.begin < place
            and disruption.end > previous_place
            and disruption.shard_id in {"", repeat.shard_id}
        ]
        return bool(between) and int(repeat.sequence_number) > between[-1].checkpoints.get(
            repeat.shard_id, -1
        )


def _disruptions(entries: Sequence[Handled | Mark]) -> Iterator[_Disruption]:
    """Yield them in the order of their beginnings; one whose end is not recorded lasts to the end."""
    checkpoints: dict[str, float] = {}
    for place, mark in enumerate(entries):
        if isinstance(mark, Handled) or mark.phase == "end":
            continue
        if mark.kind == CHECKPOINT:
            checkpoints[mark.shard_id] = _position(mark.details["sequence_number"])
        else:
            end = place if mark.phase == "at" else _end_of(mark, entries, place)
            yield _Disruption(place, end, mark.shard_id, dict(checkpoints))


def _end_of(begin: Mark, entries: Sequence[Handled | Mark], place: int) -> int:
    end = (begin.kind, begin.shard_id, "end")
    for later, mark in enumerate(entries[place + 1 :], place + 1):
        if isinstance(mark, Mark) and (mark.kind, mark.shard_id, mark.phase) == end:
            return later
    return len(entries)


def _position(checkpoint: str) -> float:
    """Return where a checkpoint of KCL's lies among sequence numbers."""
    ends = {"TRIM_HORIZON": float("-inf"), "LATEST": float("-inf"), "SHARD_END": float("inf")}
    return ends[checkpoint] if checkpoint in ends else int(checkpoint)
