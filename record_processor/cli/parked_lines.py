"""How parked records and what became of them are shown, to people and to programs. Used by `parked`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import Any, Final

import click

from record_processor.parking import Entry
from record_processor.parking.parked import RECORD, to_text

HEADER: Final = (
    f"{'id':32}  {'parked at':20}  {'condition':22}  table, event, shard and sequence number; error"
)
_LONGEST_ERROR: Final = 120


def line(entry: Entry) -> str:
    """Return a record's line for people, with nothing of its item but what the error's message may quote."""
    parked = entry.parked
    parts = (
        parked.table_name,
        str(parked.record.get("eventName", "")),
        parked.shard_id,
        parked.sequence_number,
    )
    error = f"{parked.error.type}: {parked.error.message}" if parked.error else "never tried"
    short = error if len(error) <= _LONGEST_ERROR else f"{error[:_LONGEST_ERROR]}…"
    row = f"{parked.id:32}  {_second(entry)}  {parked.condition:22}  {' '.join(parts)}; {short}"
    return printable(" ".join(row.split("\n")))


def json_line(entry: Entry, **more: Any) -> str:
    """Return a record's line for programs: its document without the record, its id and where it lies."""
    document = entry.parked.to_json()
    del document[RECORD]
    return to_text({"id": entry.parked.id, "where": entry.where, **document, **more})


def whole_json_line(entry: Entry) -> str:
    """Return all that is known of a record, for programs."""
    return to_text({"id": entry.parked.id, "where": entry.where, **entry.parked.to_json()})


def details(entry: Entry) -> str:
    """Return all that is known of a record, for people: its item, too."""
    parked = entry.parked
    fields = {
        "id": parked.id,
        "where": entry.where,
        "record": entry.record_location,
        "parked at": _second(entry),
        "condition": parked.condition,
        "attempts": str(parked.attempts),
        "application": parked.application_name,
        "worker": parked.worker_id,
        "table": parked.table_name,
        "stream": parked.stream_arn,
        "shard": parked.shard_id,
        "sequence number": parked.sequence_number,
    }
    lines = [f"{name + ':':17}{value}" for name, value in fields.items() if value]
    if parked.error:
        lines += ["", *parked.error.traceback.splitlines()]
    lines += ["", *json.dumps(dict(parked.record), indent=2).splitlines()]
    return "\n".join(map(printable, lines))


def printable(text: str) -> str:
    """Show what a terminal would obey, or cannot show, as an escape."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


class Report:
    """Says how far a command is, on standard error; for programs, what became of each, on standard output."""

    def __init__(self, done: str, total: int, as_json: bool) -> None:
        """Take the word for what is done, such as `redriven`, and how many records there are."""
        self._word = done
        self._total = total
        self._as_json = as_json
        self._is_terminal = sys.stderr.isatty()
        self._done = 0
        self._failed = 0
        self._left = 0

    @property
    def is_all_done(self) -> bool:
        """Whether nothing failed and nothing was left."""
        return self._done == self._total

    def done(self, entry: Entry) -> None:
        """It is done."""
        self._done += 1
        self._say(entry, self._word)

    def failed(self, entry: Entry, error: BaseException, trace: Iterable[str] = ()) -> None:
        """It failed, and stays where it is."""
        self._failed += 1
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        self._say(entry, "failed", f"failed: {entry.parked.id}: {reason}", reason)
        for each in trace:
            click.echo(printable(each), err=True)

    def left(self, entry: Entry, reason: str) -> None:
        """It was not tried, and stays where it is."""
        self._left += 1
        self._say(entry, "left", f"left: {entry.parked.id}: {reason}", reason)

    def summary(self) -> None:
        """Say how it went."""
        self._clear()
        click.echo(self._counts(), err=True)

    def _say(self, entry: Entry, result: str, for_people: str = "", reason: str = "") -> None:
        self._clear()
        if for_people:
            click.echo(printable(for_people), err=True)
        if self._as_json:
            why = {"reason": reason} if reason else {}
            click.echo(json_line(entry, result=result, **why))
        if self._is_terminal:
            click.echo(self._counts(), err=True, nl=False)

    def _clear(self) -> None:
        if self._is_terminal:
            click.echo("\r\x1b[K", err=True, nl=False)

    def _counts(self) -> str:
        left = f", {self._left} left" if self._left else ""
        return f"{self._done} of {self._total} {self._word}, {self._failed} failed{left}"


def _second(entry: Entry) -> str:
    return f"{entry.parked.parked_at:%Y-%m-%dT%H:%M:%SZ}"
