"""Where works run, and the simplest place: right here. Used by the worker's loop.

`threads` and `event_loop` are the other places. None of them decides anything: that is the pipeline's.
"""

from __future__ import annotations

import inspect
import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

from record_processor.pipeline.call import Call, Handler
from record_processor.pipeline.idempotency import Idempotency
from record_processor.pipeline.outcome import HANDLED, Outcome
from record_processor.pipeline.pipeline import Work
from record_processor.processor import RecordProcessor, ShardContext, TeardownReason
from record_processor.record import Record

MakeProcessor = Callable[[], RecordProcessor[Any]]
Park = Callable[[Work], None]
GoesOn = Callable[[Work], "Record | None"]
"""Hears that a record of a series was handled; returns the next one, None if none is to be handed out."""


@dataclass(frozen=True, slots=True)
class Means:
    """What a runner needs besides the handler."""

    park: Park | None = None
    """Puts the work's record into onFailureDestination; raises whatever goes wrong. None: there is none."""
    idempotency: Idempotency | None = None
    timeout_seconds: float | None = None
    """How long a call may take: timeoutInSeconds."""


def _unheard(_work: Work) -> Record | None:
    raise NotImplementedError("nobody hears how far a series is")


class Runner(ABC):
    """A place where works run."""

    def __init__(self, means: Means) -> None:
        """Take what is needed besides the handler."""
        self.means = means
        self.goes_on: GoesOn = _unheard
        """Called for each record of a series that was handled."""

    fd: int | None = None
    """Readable when something has finished; None if everything has finished when `run` returns."""
    cancel_seconds: float = 0.0
    """How long a call may take that was cancelled, after timeoutInSeconds."""

    @abstractmethod
    def set_up(self, make_processor: MakeProcessor, context: ShardContext) -> None:
        """Make the user's instance, and call its `setup`. Raises whatever that raises."""

    @abstractmethod
    def run(self, work: Work) -> None:
        """Begin with a work."""

    @abstractmethod
    def take_finished(self) -> list[tuple[Work, Outcome]]:
        """Return what has finished since it was asked last. Raises SystemExit if a handler did."""

    def cancel(self) -> None:  # noqa: B027  # only few can
        """End what runs, where Python can do that: its outcome is of no use any more."""

    @abstractmethod
    def tear_down(self, reason: TeardownReason) -> None:
        """Call the user's `teardown`. Raises whatever that raises. Nothing runs any more."""

    def close(self) -> None:  # noqa: B027  # only few have any
        """Wait for what runs, and end all threads: for a process that lives on. Nothing is run after it."""


class InlineRunner(Runner):
    """Runs a work at once, in the thread that asks for it: for plain methods, one after the other."""

    def __init__(self, means: Means) -> None:
        """Take what is needed besides the handler."""
        super().__init__(means)
        self._finished: list[tuple[Work, Outcome]] = []

    def set_up(self, make_processor: MakeProcessor, context: ShardContext) -> None:
        self._processor = make_processor()
        self._processor.setup(context)
        self._call = Call(Handler(self._processor), self.means.idempotency)

    def run(self, work: Work) -> None:
        outcome = self._run_series(work) if work.is_series else run_here(work, self._call, self.means.park)
        self._finished.append((work, outcome))

    def _run_series(self, work: Work) -> Outcome:
        outcome = HANDLED
        record: Record | None = work.portion.entries[0].record
        while record is not None:
            outcome = self._call((record,))
            record = self.goes_on(work) if outcome is HANDLED else None
        return outcome

    def take_finished(self) -> list[tuple[Work, Outcome]]:
        finished, self._finished = self._finished, []
        return finished

    def tear_down(self, reason: TeardownReason) -> None:
        self._processor.teardown(reason)


def run_here(work: Work, call: Call, park: Park | None) -> Outcome:
    """Run a work in this thread."""
    return call(work.records) if work.condition is None else parked(work, park)


def parked(work: Work, park: Park | None) -> Outcome:
    """Park the work's record."""
    assert park is not None  # without a destination nothing is given up
    try:
        park(work)
    except Exception as error:  # noqa: BLE001  # whatever the destination's client raises
        return Outcome(error)
    return HANDLED


async def until_done(returned: Any) -> None:
    """Await what a method has returned, if it is an `async def`."""
    if inspect.isawaitable(returned):
        await returned


class Finished:
    """Works that other threads have finished, and a descriptor that says so to `poll`."""

    def __init__(self) -> None:
        """Begin empty."""
        self._queue: SimpleQueue[tuple[Work, Outcome] | BaseException] = SimpleQueue()
        self.fd, self._write_fd = os.pipe()
        os.set_blocking(self.fd, False)
        os.set_blocking(self._write_fd, False)

    def put(self, work: Work, outcome: Outcome | BaseException) -> None:
        """Say that a work has finished, or ended its thread. From any thread."""
        self._put(outcome if isinstance(outcome, BaseException) else (work, outcome))

    def put_end(self, error: BaseException) -> None:
        """Say that something ended a thread, whichever work it was for. From any thread."""
        self._put(error)

    def _put(self, item: tuple[Work, Outcome] | BaseException) -> None:
        self._queue.put(item)
        with suppress(BlockingIOError):  # full: then it is readable
            os.write(self._write_fd, b"x")

    def close(self) -> None:
        """Close the descriptors; no thread may put anything any more."""
        os.close(self.fd)
        os.close(self._write_fd)

    def take(self) -> list[tuple[Work, Outcome]]:
        """Return what has finished. Raises what ended a thread."""
        with suppress(BlockingIOError):
            os.read(self.fd, 4096)
        taken: list[tuple[Work, Outcome]] = []
        with suppress(Empty):
            while True:
                item = self._queue.get_nowait()
                if isinstance(item, BaseException):
                    raise item
                taken.append(item)
        return taken
