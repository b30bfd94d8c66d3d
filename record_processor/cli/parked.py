"""`record-processor parked`: the records that were given up, listed, shown, handled again, deleted."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from heapq import nsmallest
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from record_processor.cli.stopping import StopRequest
from record_processor.errors import ConfigurationError, ExitCode

if TYPE_CHECKING:
    from record_processor.cli.parked_lines import Report
    from record_processor.parking import Destination, Entry
    from record_processor.parking.selection import Selection
    from record_processor.settings import Settings

_SOME_FAILED: Final = 1
"""The exit status if a record failed, or was left; the others are `ExitCode`'s."""

Command = TypeVar("Command", bound=Callable[..., Any])


@click.group(short_help="List, show, handle again and delete records that were given up.")
def parked() -> None:
    """Look after the records that went to onFailureDestination.

    FILE is the properties file: it says where they are, and which class handles them.

    \b
    Example:
        record-processor parked list orders.properties --since 1d
        record-processor parked show orders.properties 5f0c...
        record-processor parked redrive orders.properties --error Timeout --dry-run
        record-processor parked delete orders.properties --until 30d

    \b
    Exit status:
        0    all is done
        1    a record failed, or was left because of one that failed; or show found none
        2    the command line or the configuration must be mended
        3    AWS does not answer or denies it, or setup(context) failed
        130  stopped by Ctrl-C; what was done is done
    """  # noqa: D301  # click keeps the lines of what follows a backspace


def _time(_context: click.Context, _parameter: click.Parameter, text: str | None) -> datetime | None:
    """Read a time, or how long ago."""
    from record_processor.parking.selection import parse_time

    try:
        return parse_time(text, datetime.now(timezone.utc)) if text else None
    except ValueError as must_be:
        raise click.BadParameter(f"{text!r} must be {must_be}.") from None


_FILTERS: Final = (
    click.option("--table", "tables", multiple=True, metavar="NAME", help="Only of this table."),
    click.option("--shard", "shards", multiple=True, metavar="ID", help="Only of this shard."),
    click.option("--id", "ids", multiple=True, metavar="ID", help="Only this record."),
    click.option(
        "--condition",
        "conditions",
        multiple=True,
        type=click.Choice(["RetryAttemptsExhausted", "RecordAgeExceeded", "ParkRequested"]),
        help="Only what was given up because of this.",
    ),
    click.option(
        "--error", default="", metavar="TEXT", help="Only with this in the error's type or message."
    ),
    click.option(
        "--since", callback=_time, metavar="TIME", help="Only what was parked since: 1h, 2d or ISO 8601."
    ),
    click.option(
        "--until", callback=_time, metavar="TIME", help="Only what was parked before: 1h, 2d or ISO 8601."
    ),
    click.option(
        "--limit",
        type=click.IntRange(1),
        metavar="N",
        help="No more than so many; to redrive and delete, the oldest.",
    ),
)
_JSON: Final = click.option("--json", "as_json", is_flag=True, help="One JSON object a line, for programs.")
_DRY_RUN: Final = click.option("--dry-run", is_flag=True, help="Only list what it would be.")
_YES: Final = click.option("--yes", is_flag=True, help="Do not ask.")


def _with_filters(command: Command) -> Command:
    """Add the filters; those that may be given several times match any."""
    for option in reversed(_FILTERS):
        command = option(command)
    return command


@parked.command("list", short_help="List them, without their items.")
@click.argument("file")
@_with_filters
@_JSON
def list_(file: str, as_json: bool, limit: int | None, **filters: Any) -> int:
    """List the parked records that match all filters, without their items.

    \b
    Example:
        record-processor parked list orders.properties --condition ParkRequested --limit 20
    """  # noqa: D301
    from record_processor.cli.parked_lines import HEADER, json_line, line

    with _Parking.opened(file, filters) as parking:
        if not as_json:
            click.echo(HEADER)
        for entry in islice(parking.matching(), limit):
            click.echo(json_line(entry) if as_json else line(entry))
    return 0


@parked.command(short_help="Show one, with its item.")
@click.argument("file")
@click.argument("id_", metavar="ID")
@_JSON
def show(file: str, id_: str, as_json: bool) -> int:
    """Show all that is known of one parked record: its error's traceback, and its item.

    \b
    Example:
        record-processor parked show orders.properties 5f0c0d7e9ab1c2d3e4f5061728394a5b
    """  # noqa: D301
    from record_processor.cli.output import fail
    from record_processor.cli.parked_lines import details, whole_json_line

    with _Parking.opened(file, {"ids": (id_,)}) as parking:
        for entry in parking.matching():
            click.echo(whole_json_line(entry) if as_json else details(entry))
            return 0
    fail(f"there is no parked record {id_}; list shows what there is")
    return _SOME_FAILED


@parked.command(short_help="Delete them.")
@click.argument("file")
@_with_filters
@_DRY_RUN
@_YES
@_JSON
def delete(file: str, as_json: bool, limit: int | None, dry_run: bool, yes: bool, **filters: Any) -> int:
    """Delete the parked records that match all filters, without handling them.

    \b
    Example:
        record-processor parked delete orders.properties --until 30d --yes
    """  # noqa: D301
    _refuse_without_terminal(dry_run, yes)
    with _Parking.opened(file, filters) as parking:
        entries = parking.oldest(limit)
        if not _may_begin(entries, "delete", dry_run, yes, as_json):
            return 0
        with StopRequest() as stop, _report("deleted", entries, as_json) as report:
            _delete(entries, parking.destination, report, stop)
        return _exit_code(report, stop)


@parked.command(short_help="Handle them again; delete what is handled.")
@click.argument("file")
@_with_filters
@_DRY_RUN
@_YES
@_JSON
def redrive(file: str, as_json: bool, limit: int | None, dry_run: bool, yes: bool, **filters: Any) -> int:
    """Have your class handle the parked records that match all filters, and delete what it handled.

    It is loaded and set up here, once, and given one record at a time, the oldest first. A record that fails
    stays parked, and so do those of its key behind it. Ctrl-C stops after the record that is being handled.

    \b
    Example:
        record-processor parked redrive orders.properties --error ConnectTimeout --limit 10
    """  # noqa: D301
    from record_processor.cli import redrive as redriving

    _refuse_without_terminal(dry_run, yes)
    with _Parking.opened(file, filters) as parking:
        entries = parking.oldest(limit)
        if not _may_begin(entries, "redrive", dry_run, yes, as_json):
            return 0
        with (
            redriving.running_processor(parking.settings, entries) as (handle, make_record),
            StopRequest() as stop,
            _report("redriven", entries, as_json) as report,
        ):
            redriving.redrive(
                entries,
                parking.destination,
                handle,
                make_record=make_record,
                report=report,
                stop=stop,
            )
        return _exit_code(report, stop)


@dataclass(slots=True)
class _Parking:
    """What a properties file's application has parked."""

    settings: Settings
    destination: Destination
    selection: Selection

    @classmethod
    @contextmanager
    def opened(cls, file: str, filters: dict[str, Any]) -> Iterator[_Parking]:
        """Open it, and at the end give back what was listed. What goes wrong in between is one line."""
        from record_processor import settings as properties
        from record_processor.parking import open_destination
        from record_processor.parking.clients import told
        from record_processor.parking.selection import Selection

        settings = properties.load(file)
        destination = open_destination(settings)
        if destination is None:
            raise ConfigurationError(f"{file}: it has no onFailureDestination, so nothing is parked; add one")
        with told(f"{file}: onFailureDestination"), _os_errors_told(file):
            try:
                yield cls(settings, destination, Selection(**filters))
            finally:
                destination.release()

    def matching(self) -> Iterator[Entry]:
        """Yield the application's own records that match; say what else there is."""
        from record_processor.parking import Foreign

        others = 0
        for entry in self.destination.entries():
            if isinstance(entry, Foreign):
                _tell(f"left alone: {entry.where}: {entry.reason}")
            elif entry.parked.application_name != self.settings["applicationName"]:
                others += 1
            elif self.selection.matches(entry.parked):
                yield entry
        if others:
            _tell(f"left alone: {others} of other applications; name their properties file for them")

    def oldest(self, limit: int | None) -> list[Entry]:
        """Return those that match, at most so many, from the oldest on."""
        from record_processor.parking.selection import age

        def by_age(entry: Entry) -> tuple[str, int]:
            return age(entry.parked)

        return nsmallest(limit, self.matching(), by_age) if limit else sorted(self.matching(), key=by_age)


def _refuse_without_terminal(dry_run: bool, yes: bool) -> None:
    if not (dry_run or yes or (sys.stdin and sys.stdin.isatty())):
        raise click.UsageError(
            "There is no terminal to ask on: add --yes, or --dry-run to see what it would be."
        )


def _may_begin(entries: list[Entry], verb: str, dry_run: bool, yes: bool, as_json: bool) -> bool:
    """Whether to go on; if not, it is said why not, or shown what it would be."""
    from record_processor.cli.parked_lines import json_line, line

    if dry_run:
        for entry in entries:
            click.echo(json_line(entry) if as_json else line(entry))
    if dry_run or not entries:
        _tell(f"{len(entries)} to {verb}")
        return False
    return yes or click.confirm(f"{verb.capitalize()} {len(entries)} parked records?", err=True)


def _delete(entries: Iterable[Entry], destination: Destination, report: Report, stop: StopRequest) -> None:
    for entry in entries:
        if stop.is_made:
            return
        try:
            destination.delete(entry)
        except Exception as error:  # noqa: BLE001  # AWS's, or the disk's
            report.failed(entry, error)
        else:
            report.done(entry)


@contextmanager
def _report(word: str, entries: list[Entry], as_json: bool) -> Iterator[Report]:
    from record_processor.cli.parked_lines import Report

    report = Report(word, len(entries), as_json)
    try:
        yield report
    finally:
        report.summary()


def _exit_code(report: Report, stop: StopRequest) -> int:
    if report.is_all_done:
        return 0
    return ExitCode.INTERRUPTED if stop.is_made else _SOME_FAILED


@contextmanager
def _os_errors_told(file: str) -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise ConfigurationError(f"{error.filename or file}: {error.strerror}") from None


def _tell(line: str) -> None:
    from record_processor.cli.parked_lines import printable

    click.echo(printable(line), err=True)
