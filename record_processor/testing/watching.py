"""Looks on while a worker works: what handlers do, what becomes of records; ends the worker on demand."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from record_processor.errors import SkipRecordError
from record_processor.parking import Destination, Entry, Foreign, Parked
from record_processor.pipeline.call import is_async, takes_batches
from record_processor.pipeline.entry import Entry as PipelineEntry
from record_processor.pipeline.outcome import HANDLED, Outcome
from record_processor.pipeline.pipeline import Pipeline, Work
from record_processor.processor import RecordProcessor, ShardContext, TeardownReason
from record_processor.record import Record

_PATIENCE: Final = 100
"""So many attempts in a row may settle nothing, beyond those that the properties allow."""


class WorkerDiedError(BaseException):
    """The worker is to die now. No `Exception`: no handler's code catches it."""


class Watch:
    """What was seen, by all workers of a shard."""

    pipeline: Pipeline
    """The current worker's."""

    def __init__(
        self, records: Mapping[str, Record[Any]], crashes: Sequence[int], most_attempts: int
    ) -> None:
        """Take the records by their sequence numbers, after which calls the worker dies, and retries."""
        self._patience = _PATIENCE + len(records) * most_attempts
        self._records = records
        self._crashes = set(crashes)
        self._lock = threading.Lock()
        self.handled: list[Record[Any]] = []
        self.skipped: list[Record[Any]] = []
        self.parked: list[Parked] = []
        self.settled: set[str] = set()
        """The sequence numbers of all of them."""
        self.calls = 0
        self.log: list[str] = []
        self.processor: RecordProcessor[Any] | None = None
        self._failures = 0

    def returned(self) -> None:
        """Hear that a handler was called, and has returned or raised. Raises WorkerDiedError."""
        with self._lock:
            self.calls += 1
            calls = self.calls
        if calls in self._crashes:
            raise WorkerDiedError(f"crash_after {calls} calls")

    def failed(self) -> None:
        """Hear that an attempt settled nothing."""
        self._failures += 1

    @property
    def is_stuck(self) -> bool:
        """Whether nothing gets on any more."""
        return self._failures >= self._patience

    def settles(self, entry: PipelineEntry, *, is_parked: bool) -> None:
        """Hear that a record is settled."""
        self._failures = 0
        number = entry.record.sequence_number
        self.settled.add(number)
        if isinstance(entry.error, SkipRecordError):
            self.skipped.append(self._records[number])
        elif not is_parked:
            self.handled.append(self._records[number])

    def begin_again(self) -> None:
        """Hear that all records come once more."""
        self.settled.clear()


class WatchedPipeline(Pipeline):
    """A pipeline that says what becomes of its records."""

    def __init__(self, watch: Watch, *arguments: Any, **more: Any) -> None:
        """Take who hears of it, and what a pipeline takes."""
        super().__init__(*arguments, **more)
        self._watch = watch
        self._is_parking = False
        watch.pipeline = self

    def finished(self, work: Work, outcome: Outcome) -> None:
        if outcome is not HANDLED:
            self._watch.failed()
        self._is_parking = work.condition is not None
        super().finished(work, outcome)
        self._is_parking = False

    def _settle(self, entry: PipelineEntry) -> None:
        super()._settle(entry)
        self._watch.settles(entry, is_parked=self._is_parking)


class MemoryDestination(Destination):
    """Remembers what is parked, once it is where the properties say."""

    def __init__(self, destination: Destination, parked: list[Parked]) -> None:
        """Take that place, and where to remember it."""
        self._destination = destination
        self._parked = parked

    def check(self) -> None:
        self._destination.check()

    def put(self, parked: Parked) -> None:
        self._destination.put(parked)
        self._parked.append(parked)

    def entries(self) -> Iterator[Entry | Foreign]:
        return self._destination.entries()

    def delete(self, entry: Entry) -> None:
        self._destination.delete(entry)


class _Watched(RecordProcessor[Any]):
    """Hands everything on to an instance of the user's."""

    make: Callable[[], RecordProcessor[Any]]
    watch: Watch

    def __init__(self) -> None:
        self.inner = self.watch.processor = type(self).make()

    def setup(self, context: ShardContext) -> Any:
        return self.inner.setup(context)

    def teardown(self, reason: TeardownReason) -> Any:
        return self.inner.teardown(reason)


def watched(
    processor: type[RecordProcessor[Any]] | RecordProcessor[Any], watch: Watch
) -> type[RecordProcessor[Any]]:
    """Return a class that does what the user's does, and tells `watch` of each call."""
    kind = processor if isinstance(processor, type) else type(processor)
    make = processor if isinstance(processor, type) else lambda: processor
    name = "process_batch" if takes_batches(kind) else "process_record"
    method = _async_method(name) if is_async(kind) else _plain_method(name)
    members = {"make": staticmethod(make), "watch": watch, "model": kind.model, name: method}
    return type(kind.__name__, (_Watched,), members)


def _plain_method(name: str) -> Callable[[_Watched, Any], Any]:
    def method(self: _Watched, given: Any) -> Any:
        try:
            return getattr(self.inner, name)(given)
        finally:
            self.watch.returned()

    return method


def _async_method(name: str) -> Callable[[_Watched, Any], Any]:
    async def method(self: _Watched, given: Any) -> Any:
        try:
            returned = getattr(self.inner, name)(given)
            return await returned if returned is not None else None
        finally:
            self.watch.returned()

    return method
