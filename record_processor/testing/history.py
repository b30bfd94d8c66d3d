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

    A worker has one of its own: what one object appended in one process counts as one run. A process that is
    killed while it writes may leave the begin of a line behind; that change counts as not handled.
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
        self.append_all([Handled(key, n, sequence_number, shard_id)])

    def append_all(self, changes: Iterable[Handled]) -> None:
        """Write down a whole batch, in its order, with one wait for the disk; a handler does it last.

        What is taken of each is what it is: key, n, sequence number and shard. Raises OSError if it could not
        be written whole.
        """
        ours = {"run": self._this_run(), "pid": os.getpid()}
        self._write(
            {
                "key": change.key,
                "n": change.n,
                "sequence_number": change.sequence_number,
                "shard_id": change.shard_id,
                **ours,
            }
            for change in changes
        )

    def mark(self, kind: str, *, shard_id: str = "", **details: Any) -> None:
        """Write down something that happens at this moment, to one shard or to all.

        The kind "checkpoint", with `sequence_number` and `shard_id`, says how far a shard is checkpointed:
        repeats after a later disruption must lie beyond it. Every other kind ("kill", "restart", …) is a
        disruption and explains the repeats after it.
        """
        self._write([{"kind": kind, "phase": "at", "shard_id": shard_id, "details": details}])

    @contextmanager
    def during(self, kind: str, *, shard_id: str = "", **details: Any) -> Iterator[None]:
        """Mark a disruption that takes a while: the block in which the test kills a process, say.

        A change handled while it lasts may be repeated afterwards. With `mark`, one that was handled in the
        instant after the mark but before the kill could not.
        """
        mark = {"kind": kind, "shard_id": shard_id, "details": details}
        self._write([{**mark, "phase": "begin"}])
        try:
            yield
        finally:
            self._write([{**mark, "phase": "end"}])

    def entries(self) -> list[Handled | Mark]:
        """Return everything that was written, in the order of writing; nothing if there is no file yet."""
        return self.follow().entries()

    def follow(self) -> HistoryReader:
        """Return what reads the file piece by piece, from its begin."""
        return HistoryReader(self.path)

    def handled(self) -> list[Handled]:
        """Return what was handled, in that order."""
        return [entry for entry in self.entries() if isinstance(entry, Handled)]

    def _write(self, contents: Iterable[dict[str, Any]]) -> None:
        times = {"monotonic_seconds": time.monotonic(), "wall_seconds": time.time()}
        lines = [json.dumps(content | times).encode("ascii") for content in contents]
        # The first line feed ends what a killed process may have left of its last line.
        written = b"\n" + b"\n".join(lines) + b"\n"
        # One write to a file opened with O_APPEND: no other process's lines can come between.
        file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            if os.write(file, written) != len(written):
                raise OSError(f"{self.path} could not be written: the disk is full")
            os.fsync(file)
        finally:
            os.close(file)

    def _this_run(self) -> str:
        if self._process != os.getpid():  # also after a fork
            self._process, self._run = os.getpid(), secrets.token_hex(8)
        return self._run


class HistoryReader:
    """Reads a history while it grows: each call of `entries` returns what came since the last one."""

    def __init__(self, path: Path) -> None:
        """Made by `HistoryLog.follow`."""
        self._path = path
        self._offset = 0

    def entries(self) -> list[Handled | Mark]:
        """Return what was written since the last call, in the order of writing."""
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            file.seek(self._offset)
            # A reader may see the begin of a line that is being written: the kernel copies page by page.
            whole, end, _ = file.read().rpartition(b"\n")
        self._offset += len(whole) + len(end)
        return [entry for line in whole.splitlines() if (entry := _parse(line)) is not None]


def _parse(line: bytes) -> Handled | Mark | None:
    """Return what a line says; None for an empty one, and for what a killed process left of its last line."""
    if not line.endswith(b"}"):
        return None
    try:
        content = json.loads(line)
    except ValueError:
        return None
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
        self._of_shard: dict[str, list[_Disruption]] = {}
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
            for disruption in self._concerning(repeat.shard_id)
            if disruption.begin < place and disruption.end > previous_place
        ]
        return bool(between) and int(repeat.sequence_number) > between[-1].checkpoints.get(
            repeat.shard_id, -1
        )

    def _concerning(self, shard_id: str) -> list[_Disruption]:
        if shard_id not in self._of_shard:
            self._of_shard[shard_id] = [
                disruption for disruption in self._disruptions if disruption.shard_id in {"", shard_id}
            ]
        return self._of_shard[shard_id]


def _disruptions(entries: Sequence[Handled | Mark]) -> Iterator[_Disruption]:
    """Yield them in the order of their beginnings; one whose end is not recorded lasts to the end."""
    marks = [(place, mark) for place, mark in enumerate(entries) if isinstance(mark, Mark)]
    checkpoints: dict[str, float] = {}
    for number, (place, mark) in enumerate(marks):
        if mark.phase == "end":
            continue
        if mark.kind == CHECKPOINT:
            checkpoints[mark.shard_id] = _position(mark.details["sequence_number"])
        else:
            end = place if mark.phase == "at" else _end_of(mark, marks[number + 1 :], len(entries))
            yield _Disruption(place, end, mark.shard_id, dict(checkpoints))


def _end_of(begin: Mark, later: Sequence[tuple[int, Mark]], never: int) -> int:
    end = (begin.kind, begin.shard_id, "end")
    ends = (place for place, mark in later if (mark.kind, mark.shard_id, mark.phase) == end)
    return next(ends, never)


def _position(checkpoint: str) -> float:
    """Return where a checkpoint of KCL's lies among sequence numbers."""
    ends = {"TRIM_HORIZON": float("-inf"), "LATEST": float("-inf"), "SHARD_END": float("inf")}
    return ends[checkpoint] if checkpoint in ends else int(checkpoint)
