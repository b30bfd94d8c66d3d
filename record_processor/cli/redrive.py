"""What `parked redrive` does: hands parked records to the user's class again, and removes what is handled."""

from __future__ import annotations

import json
import select
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any, Final, TextIO, TypeAlias

import click

from record_processor.change import change_from_event
from record_processor.cli.parked_lines import Report
from record_processor.cli.stopping import StopRequest
from record_processor.errors import (
    CheckpointError,
    ConfigurationError,
    FatalError,
    SkipRecordError,
    StartError,
)
from record_processor.models import Converter
from record_processor.parking import Destination, Parked
from record_processor.parking import Entry as ParkedEntry
from record_processor.pipeline.entry import Entry, Portion, Task
from record_processor.pipeline.outcome import Outcome, failed_records
from record_processor.pipeline.pipeline import Work
from record_processor.pipeline.runner import Runner
from record_processor.processor import RecordProcessor, ShardContext, TeardownReason
from record_processor.record import Record, RecordSource
from record_processor.settings import Settings
from record_processor.values import ImageDecoder
from record_processor.worker.assembly import reading_of, single_runner
from record_processor.worker.load import add_paths, load
from record_processor.worker.tracebacks import user_traceback, users_part_of

Handle: TypeAlias = Callable[[Record[Any]], "Exception | None"]
"""Handles one record; returns why it failed."""
MakeRecord: TypeAlias = Callable[[Parked], Record[Any]]
"""Raises DecodeError."""

_NAME: Final = "redrive"
"""What the user's class is told as its shard and its worker."""


class _NoCheckpoints:
    """A `Checkpointer` where there is nothing to checkpoint."""

    def checkpoint(self, record: Record[Any] | None = None) -> None:
        """Refuse."""
        raise CheckpointError("a redriven record is not in a shard: there is nothing to checkpoint")


@contextmanager
def running_processor(
    settings: Settings, entries: Sequence[ParkedEntry]
) -> Iterator[tuple[Handle, MakeRecord]]:
    """Load the user's class as a worker does, and set one up for these records; tear it down at the end.

    Yields what handles a record, behind the idempotency store as in a worker, and what makes one. What the
    class prints goes to standard error. Raises ConfigurationError if it cannot be used, StartError if `setup`
    raises.
    """
    processor = _load(settings)
    runner = single_runner(processor, settings)
    try:
        with _prints_to_standard_error():
            runner.set_up(processor, _context(entries))
    except Exception as error:
        click.echo(user_traceback(error), err=True, nl=False)
        name = settings["processor"]
        raise StartError(f"{name}: setup failed: {type(error).__name__}: {error}") from error
    try:
        yield partial(_run, runner), partial(_make_record, *reading_of(processor, settings))
    finally:
        _tear_down(runner)


def _run(runner: Runner, record: Record[Any]) -> Exception | None:
    """Hand one record out, and wait until it is handled; return why it was not."""
    try:
        runner.run(Work(Task([]), Portion([Entry(record, None, 0.0)])))
        while not (finished := runner.take_finished()):
            assert runner.fd is not None
            select.select([runner.fd], [], [])
    except SystemExit as error:
        return FatalError(f"a handler called sys.exit({error.code!r})")
    ((_, outcome),) = finished
    return _failure(outcome, record)


def _failure(outcome: Outcome, record: Record[Any]) -> Exception | None:
    """Say why a record has to stay; one that is skipped need not."""
    error = outcome.held.get(record.sequence_number, outcome.error)
    if error is not None and (failed := failed_records([record], error)) is not None:
        error = failed.get(record.sequence_number)
    return None if isinstance(error, SkipRecordError) else error


def redrive(
    entries: Sequence[ParkedEntry],
    destination: Destination,
    handle: Handle,
    *,
    make_record: MakeRecord,
    report: Report,
    stop: StopRequest,
) -> None:
    """Hand out records in this order, and remove each that was handled.

    One that failed stays, and so do those of its key behind it: an older change must not come after a newer
    one, and would if it were redriven later. FatalError ends it.
    """
    handled: set[str] = set()
    failed_keys: set[str] = set()
    for entry in entries:
        if stop.is_made:
            return
        parked = entry.parked
        key = _key(parked)
        if key in failed_keys:
            report.left(entry, "an older record of the same key is still parked")
            continue
        error = None if parked.id in handled else _handle(parked, handle, make_record)
        if error is not None:
            report.failed(entry, error, user_traceback(error).splitlines())
        else:
            handled.add(parked.id)  # a queue may have it twice
            error = _deleted(destination, entry, report)
        if error is not None:
            failed_keys.add(key)
        if isinstance(error, FatalError):
            return


def _make_record(decode: ImageDecoder, convert: Converter | None, parked: Parked) -> Record[Any]:
    """Make a record as a worker makes it. Raises DecodeError."""
    change, stream_arn, table_name = change_from_event(parked.record)
    stream_arn, table_name = stream_arn or parked.stream_arn, table_name or parked.table_name
    return Record(change, RecordSource(stream_arn, table_name, parked.shard_id, decode, convert))


def _prints_to_standard_error() -> redirect_stdout[TextIO]:
    """What the user's code prints is no output of the command's."""
    return redirect_stdout(sys.stderr)


def _load(settings: Settings) -> type[RecordProcessor[Any]]:
    add_paths([str(Path.cwd()), str(settings.path.absolute().parent)])
    try:
        with _prints_to_standard_error():
            return load(str(settings["processor"]))
    except ConfigurationError as error:
        click.echo(users_part_of(error), err=True, nl=False)
        raise ConfigurationError(f"{settings.path}: processor: {error}") from None


def _context(entries: Sequence[ParkedEntry]) -> ShardContext:
    """Say which stream the records are of, if they are of one."""
    (stream_arn, table_name), *others = {
        (entry.parked.stream_arn, entry.parked.table_name) for entry in entries
    }
    if others:
        stream_arn = table_name = ""
    return ShardContext(stream_arn, table_name, _NAME, _NAME, _NoCheckpoints())


def _tear_down(runner: Runner) -> None:
    try:
        with _prints_to_standard_error():
            runner.tear_down(TeardownReason.SHUTDOWN_REQUESTED)
    except Exception as error:  # noqa: BLE001  # the user's own
        click.echo(f"teardown failed:\n{user_traceback(error)}", err=True, nl=False)


def _handle(parked: Parked, handle: Handle, make_record: MakeRecord) -> Exception | None:
    try:
        record = make_record(parked)
    except Exception as error:  # noqa: BLE001  # a document that somebody changed
        return error
    with _prints_to_standard_error():
        return handle(record)


def _deleted(destination: Destination, entry: ParkedEntry, report: Report) -> Exception | None:
    """Remove a record that is handled; return why it could not be."""
    try:
        destination.delete(entry)
    except Exception as error:  # noqa: BLE001  # AWS's, or the disk's
        report.failed(entry, error)
        return error
    report.done(entry)
    return None


def _key(parked: Parked) -> str:
    """Return what the records of one item have in common."""
    keys = parked.record.get("dynamodb", {}).get("Keys")
    return json.dumps([parked.table_name, keys], sort_keys=True)
