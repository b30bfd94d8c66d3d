"""The straight line of a batch: hand out, retry until handled, say so, go on. Called by the worker's loop.

Records are handed out in their order, and none before all those ahead of it were handled. It knows neither
the wire nor checkpoints: what was handled is told to a `Progress`, and that decides what to say and when.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from traceback import TracebackException
from typing import Protocol

from record_processor.pipeline.retry import Backoff, call_until_it_returns
from record_processor.processor import RecordProcessor
from record_processor.record import Record

_log = logging.getLogger("record_processor")
_LONGEST_REASON = 500


class Progress(Protocol):
    """Hears how far a batch is."""

    def handing_out(self, records: Sequence[Record]) -> None:
        """These records are about to be handled, together."""

    def handled(self, record: Record) -> None:
        """This record and all before it were handled."""

    def failed(self, attempt: int) -> None:
        """The handler raised, for so many times in a row."""

    def is_done(self, record: Record) -> bool:
        """Whether the record was handled, or checkpointed by hand from within its handler."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """Delivers the batches of one shard to its record processor."""

    processor: RecordProcessor
    progress: Progress
    backoff: Backoff
    wait: Callable[[float], bool]
    """Waits for so many seconds; True as soon as the rest of the batch is to be abandoned.

    Asked as the last thing before each call of the handler, so it may also wait longer, until one is allowed.
    """

    def deliver(self, records: Iterable[Record]) -> bool:
        """Hand out a batch; return whether all of it was handled, or else it was abandoned."""
        for portion in self._portions(records):
            if self.wait(0):
                return False
            self.progress.handing_out(portion)
            if not self._handle(portion):
                return False
            self.progress.handled(portion[-1])
        return True

    def _portions(self, records: Iterable[Record]) -> Iterable[Sequence[Record]]:
        """Split a batch into what is handed out together: all of it, if `process_batch` is overridden."""
        if type(self.processor).process_batch is not RecordProcessor.process_batch:
            return [batch] if (batch := list(records)) else []
        return ([record] for record in records)

    def _handle(self, portion: Sequence[Record]) -> bool:
        failures = _Failures(portion, self.progress)
        is_handled = call_until_it_returns(
            partial(self._call, portion, failures), failures.add, self.backoff, self.wait
        )
        if is_handled and failures.attempts:
            _log.info("%s: handled at attempt %d", _name(portion), failures.attempts + 1)
        return is_handled

    def _call(self, portion: Sequence[Record], failures: _Failures) -> None:
        if failures.attempts:
            portion = self._remaining(portion)
        if type(self.processor).process_batch is not RecordProcessor.process_batch:
            self.processor.process_batch(portion)
        else:
            self.processor.process_record(portion[0])

    def _remaining(self, portion: Sequence[Record]) -> Sequence[Record]:
        """Return what to hand out again: as it came, and without what was checkpointed by hand.

        At least the last record, though: an exception is never taken as success.
        """
        rest = [record for record in portion if not self.progress.is_done(record)] or portion[-1:]
        return [record.undecoded() for record in rest]


@dataclass(slots=True)
class _Failures:
    """The failed attempts at one portion, and their log lines; never a record's content."""

    portion: Sequence[Record]
    progress: Progress
    attempts: int = 0

    def add(self, error: Exception, attempt: int, seconds: float) -> None:
        self.attempts = attempt
        is_first = attempt == 1
        _log.error(
            "%s: %s; attempt %d failed, next one in %.1f s",
            _name(self.portion),
            _reason(error),
            attempt,
            seconds,
            exc_info=error if is_first else None,
        )
        if not is_first:
            _log.debug("%s: attempt %d", _name(self.portion), attempt, exc_info=error)
        self.progress.failed(attempt)


def _name(portion: Sequence[Record]) -> str:
    first, last = portion[0], portion[-1]
    if first is last:
        return f"{first.shard_id}: record {first.sequence_number}"
    return f"{first.shard_id}: records {first.sequence_number} to {last.sequence_number}"


def _reason(error: Exception) -> str:
    """Return the exception's type and message on one line, of bounded length, even if its str() fails."""
    reason = " ".join("".join(TracebackException.from_exception(error).format_exception_only()).split())
    return reason if len(reason) <= _LONGEST_REASON else f"{reason[:_LONGEST_REASON]}…"
