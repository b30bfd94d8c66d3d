"""Runs a record processor on some records in this process, without Java and without waiting: `run`.

What runs is the worker's own loop, pipeline and checkpointer. Only what is around them is a test's: the
daemon is `memory_daemon`, the clock stands still while handlers run and jumps over every pause, and what is
given up goes to memory.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any, Final

from record_processor import settings as properties_schema
from record_processor.errors import FatalError
from record_processor.parking import Destination, Parked, open_destination
from record_processor.pipeline.pipeline import Pipeline
from record_processor.pipeline.runner import Runner
from record_processor.processor import RecordProcessor
from record_processor.record import Record, RecordSource
from record_processor.settings import Settings
from record_processor.stores.this_process import unname_this_process
from record_processor.testing.memory_daemon import ONLY_CODEC, Clock, MemoryDaemon, Suspicion
from record_processor.testing.properties import text_of
from record_processor.testing.record_filter import RecordFilter
from record_processor.testing.watching import (
    MemoryDestination,
    Watch,
    WatchedPipeline,
    WorkerDiedError,
    watched,
)
from record_processor.worker import loop
from record_processor.worker.assembly import Parts, pipeline_of, runner_of
from record_processor.worker.conversation import Conversation
from record_processor.worker.load import check_class
from record_processor.worker.messages import Initialize, LeaseLost, Message, ShardEnded

_log = logging.getLogger("record_processor")
_DEFAULTS: Final[Mapping[str, object]] = {
    "processor": "a_test:Processor",
    "applicationName": "test",
    "regionName": "eu-west-1",
}
"""What a properties file must have, and no test has to say."""
_MOST_DEATHS: Final = 100
"""So many workers in a row may die of one record; production would go on."""


@dataclass(frozen=True, slots=True)
class RunResult:
    """What came of `run`. Records are in the order in which they were settled."""

    handled: list[Record[Any]] = field(default_factory=list)
    """Their handler returned, or the idempotency store knew them; twice if twice in a worker's hands."""
    skipped: list[Record[Any]] = field(default_factory=list)
    """Their handler raised SkipRecordError."""
    parked: list[Parked] = field(default_factory=list)
    """As onFailureDestination gets them: `sequence_number`, `condition`, `error`, `attempts`, the record."""
    filtered: list[Record[Any]] = field(default_factory=list)
    """filterCriteria or changedAttributes kept them from the worker."""
    not_handled: list[Record[Any]] = field(default_factory=list)
    """They were still to be handled when the shard was stopped, or nothing got on any more."""
    acknowledged: str | None = None
    """The sequence number up to which a checkpoint may be stored; None if there is no such record."""
    error: FatalError | None = None
    """What stopped the shard."""
    calls: int = 0
    """How often a handler was called."""
    seconds: float = 0.0
    """How long all pauses would have taken."""
    log: list[str] = field(default_factory=list)
    """What was logged, as `LEVEL message`."""
    processor: Any = None
    """The instance that handled the last records, to look at what it has done."""


def run(
    processor: type[RecordProcessor[Any]] | RecordProcessor[Any],
    records: Iterable[Record[Any]],
    *,
    crash_after: int | Sequence[int] = (),
    duplicate: bool = False,
    delay_seconds: float = 0.0,
    **properties: object,
) -> RunResult:
    """Have a record processor handle the records of a shard, from `initialize` until the shard's end.

    Args:
        processor: the class, or an instance of it.
        records: in the shard's order, with rising sequence numbers.
        crash_after: the worker dies when so many handler calls have returned, counted from the beginning of
            the run, each time: their effects are made and not acknowledged. Another worker goes on at the
            first record that is not acknowledged, as the daemon has it do.
        duplicate: when everything is handled the lease is lost, and no checkpoint was stored; another host's
            worker is given all the records again.
        delay_seconds: so much later than the newest record was written the worker reads them.
        properties: those of a properties file, by the same names, as Python values: `batchSize=10`.

    Without onFailureDestination, records that are given up go to `RunResult.parked` only; with
    `onFailureDestination=None` there is none. When a hundred attempts in a row settle nothing, without a
    limit on attempts, the host drains: the rest is `not_handled`. Handlers of a `cpu_bound` class run in
    threads. Time passes only in pauses: a handler that hangs, hangs the test.

    Raises ConfigurationError for what a start refuses, ValueError if sequence numbers do not rise, and
    whatever `setup` raises.
    """
    kind = processor if isinstance(processor, type) else type(processor)
    check_class(kind.__qualname__, kind)
    given = list(records)
    _check_order(given)
    crashes = [crash_after] if isinstance(crash_after, int) else list(crash_after)
    shard = _Shard(processor, given, _settings(properties), crashes, delay_seconds)
    with _logged(shard.watch.log):
        shard.live_through(duplicate=duplicate)
    return shard.result()


class _Shard:
    """One shard, and the workers that come and go."""

    def __init__(
        self,
        processor: type[RecordProcessor[Any]] | RecordProcessor[Any],
        records: list[Record[Any]],
        settings: Settings,
        crashes: list[int],
        delay_seconds: float,
    ) -> None:
        self._settings = settings
        self._records = records
        passes = _filter(settings).passes
        self._passed = [each for each in records if passes(each)]
        self._filtered = [each for each in records if not passes(each)]
        self._clock = Clock(_newest(records) + delay_seconds)
        attempts = settings["maximumRetryAttempts"]
        assert isinstance(attempts, int)  # so says the schema
        self.watch = Watch({each.sequence_number: each for each in records}, crashes, attempts + 1)
        self._class = watched(processor, self.watch)
        self._acknowledged = 0
        self._suspicion = Suspicion()
        self._runner: Runner | None = None
        self._fatal: FatalError | None = None

    def live_through(self, *, duplicate: bool) -> None:
        """Have workers handle the records, until one reaches the end."""
        end = LeaseLost() if duplicate else ShardEnded()
        self._until_the_end("host-1", 1, end)
        if duplicate and self._fatal is None:
            self._acknowledged, self._suspicion = 0, Suspicion()
            self.watch.begin_again()
            self._until_the_end("host-2", 2, ShardEnded())

    def _until_the_end(self, host: str, fencing_token: int, end: Message) -> None:
        while self._suspicion.attempts < _MOST_DEATHS:
            left = self._left()
            first = self._first_words(host, fencing_token, left)
            daemon = MemoryDaemon(first, left, end, self._clock, self.watch)
            try:
                if self._work(daemon):
                    return
            finally:
                unname_this_process()
                self._close_runner()
                self._acknowledged = max(self._acknowledged, daemon.acknowledged)
            self._suspicion.died(self._left())

    def _left(self) -> list[Record[Any]]:
        """Return what is not acknowledged."""
        return [each for each in self._passed if int(each.sequence_number) > self._acknowledged]

    def _work(self, daemon: MemoryDaemon) -> bool:
        """Run one worker; return whether it reached the end, and did not die."""
        parts = Parts(self._runner_of, self._pipeline_of, self._clock.monotonic)
        try:
            loop.run(Conversation(daemon, ONLY_CODEC), self._class, self._settings, parts)
        except loop.SetupFailedError as failed:
            raise failed.__cause__ or failed from None
        except (WorkerDiedError, SystemExit) as death:
            _log.error("the worker ended: %r; it is replaced", death)
            return False
        self._fatal = self.watch.pipeline.fatal
        return True

    def _first_words(self, host: str, fencing_token: int, left: list[Record[Any]]) -> Initialize:
        first = left[0] if left else None
        return Initialize(
            shard_id=(first and first.shard_id) or "shardId-1",
            stream_arn=first.stream_arn if first else "",
            table_name=first.table_name if first else "",
            worker_id=host,
            fencing_token=fencing_token,
            one_by_one_up_to=self._suspicion.one_by_one_up_to,
            attempts=self._suspicion.attempts,
        )

    def _runner_of(
        self,
        shard: Initialize,
        processor: type[RecordProcessor[Any]],
        settings: Settings,
        source: RecordSource,
    ) -> Runner:
        self._runner = runner_of(shard, processor, settings, source, self._destination)
        return self._runner

    def _destination(self, settings: Settings) -> Destination | None:
        destination = open_destination(settings)
        return destination and MemoryDestination(destination, self.watch.parked)

    def _pipeline_of(
        self,
        processor: type[RecordProcessor[Any]],
        settings: Settings,
        runner: Runner,
        is_stored: Callable[[Record], bool],
    ) -> Pipeline:
        make = partial(WatchedPipeline, self.watch, clock=self._clock.monotonic, wall_clock=self._clock.unix)
        return pipeline_of(processor, settings, runner, is_stored, make)

    def _close_runner(self) -> None:
        if self._runner is not None:
            self._runner.close()
            self._runner = None

    def result(self) -> RunResult:
        """Return what came of it."""
        watch = self.watch
        return RunResult(
            handled=watch.handled,
            skipped=watch.skipped,
            parked=watch.parked,
            filtered=self._filtered,
            not_handled=[each for each in self._passed if each.sequence_number not in watch.settled],
            acknowledged=self._checkpoint(),
            error=self._fatal,
            calls=watch.calls,
            seconds=self._clock.seconds,
            log=watch.log,
            processor=watch.processor,
        )

    def _checkpoint(self) -> str | None:
        """Return how far the daemon may store: over what the filter keeps back, too."""
        passed = {each.sequence_number for each in self._passed}
        checkpoint = None
        for record in self._records:
            number = record.sequence_number
            if number in passed and int(number) > self._acknowledged:
                break
            checkpoint = number
        return checkpoint


def _settings(properties: Mapping[str, object]) -> Settings:
    """Check properties as a start does. Raises ConfigurationError."""
    given: dict[str, object] = {**_DEFAULTS, "onFailureDestination": "discard", **properties}
    if not {"sourceTable", "streamArn"} & given.keys():
        given["sourceTable"] = "orders"
    return properties_schema.check(
        {name: text_of(value) for name, value in given.items() if value is not None}
    )


def _filter(settings: Settings) -> RecordFilter:
    criteria, changed = settings["filterCriteria"], settings["changedAttributes"]
    return RecordFilter(
        criteria if isinstance(criteria, str) else None,
        ", ".join(changed) if isinstance(changed, tuple) else None,
    )


def _check_order(records: Sequence[Record[Any]]) -> None:
    for before, record in pairwise(records):
        if int(record.sequence_number) <= int(before.sequence_number):
            raise ValueError(
                f"record {record.sequence_number} comes behind {before.sequence_number}: give the records of "
                "one shard, in its order; for repeats say duplicate=True or crash_after=1"
            )


def _newest(records: Sequence[Record[Any]]) -> float:
    """Return when the newest record was written, in Unix seconds."""
    times = [each.created_at.timestamp() for each in records if each.created_at is not None]
    return max(times, default=0.0)


@contextmanager
def _logged(lines: list[str]) -> Iterator[None]:
    """Note what our package logs, from INFO on."""
    handler = _Lines(lines)
    before = _log.level
    _log.addHandler(handler)
    _log.setLevel(logging.INFO)
    try:
        yield
    finally:
        _log.setLevel(before)
        _log.removeHandler(handler)


class _Lines(logging.Handler):
    def __init__(self, lines: list[str]) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(f"{record.levelname} {record.getMessage()}")
