"""Knows how far a shard was handled, and stores it. Driven by loop, pipeline, and users' handlers by hand.

A checkpoint never passes a record that was not handled, never goes back, and is never stored twice.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Final

from record_processor.errors import (
    CheckpointError,
    DependencyError,
    InvalidStateError,
    LeaseLostError,
    ThrottlingError,
)
from record_processor.pipeline.retry import Backoff
from record_processor.record import Record

_log = logging.getLogger("record_processor")

_ERRORS: Final[dict[str, type[CheckpointError]]] = {
    "ThrottlingException": ThrottlingError,
    "KinesisClientLibDependencyException": DependencyError,
    "InvalidStateException": InvalidStateError,
    "ShutdownException": LeaseLostError,
}
_PASSING: Final = (ThrottlingError, DependencyError)
_BACKOFF: Final = Backoff(first_seconds=0.2, maximum_seconds=30.0)
_FINAL_BACKOFF: Final = Backoff(first_seconds=0.1, maximum_seconds=1.0)


class IntervalCheckpointer:
    """Stores checkpoints when due: `Progress` for the pipeline, `Checkpointer` for the user."""

    def __init__(
        self,
        request: Callable[[str], str | None],
        interval_seconds: float,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """Take what asks the daemon for a checkpoint, and how often at most (0: after every batch)."""
        self._request = request
        self._interval_seconds = interval_seconds
        self._clock = clock
        self._owner = (os.getpid(), threading.get_ident())
        self._handled: str | None = None
        self._stored: str | None = None
        self._handed_out: str | None = None
        self._due_at = clock()
        self._due_within_batch_at = self._due_at
        self._failures = 0
        self.is_lease_lost = False

    # What the user calls

    def checkpoint(self, record: Record | None = None) -> None:
        """Store now, as `record_processor.Checkpointer.checkpoint` says."""
        if self._owner != (os.getpid(), threading.get_ident()):
            raise CheckpointError("a checkpoint can only be made from the thread that runs the handler")
        if self.is_lease_lost:
            raise LeaseLostError
        target = self._handled if record is None else record.sequence_number
        if record is not None and _is_beyond(record.sequence_number, self._handed_out):
            raise CheckpointError(
                f"{record!r} was not handed out yet: a checkpoint cannot pass records that were not handled"
            )
        if target is not None and _is_beyond(target, self._stored):
            self._store(target)

    # What the pipeline calls

    def handing_out(self, records: Sequence[Record]) -> None:
        """From now on, up to the last of these records can be checkpointed by hand."""
        self._handed_out = records[-1].sequence_number

    def handled(self, record: Record) -> None:
        """Up to this record all is handled; store it if the batch takes longer than the interval."""
        if _is_beyond(record.sequence_number, self._handled):
            self._handled = record.sequence_number
        if self._interval_seconds and self._clock() >= self._due_within_batch_at:
            self.store_if_due()

    def failed(self, attempt: int) -> None:
        """Store what was handled before a record starts to fail: that may take for ever."""
        if attempt == 1:
            self._store_or_log()
        else:
            self.store_if_due()

    def is_done(self, record: Record) -> bool:
        """Whether it was handled, or checkpointed by hand."""
        return not (
            _is_beyond(record.sequence_number, self._handled)
            and _is_beyond(record.sequence_number, self._stored)
        )

    # What the loop calls

    def batch_begins(self) -> None:
        """Within a batch that takes long, store at the interval."""
        self._due_within_batch_at = self._clock() + self._interval_seconds

    def seconds_until_due(self) -> float | None:
        """Return how long until something is to be stored; None if there is nothing."""
        return max(0.0, self._due_at - self._clock()) if self._is_anything_to_store() else None

    def store_if_due(self) -> None:
        """Store what was handled, if the interval is over. A failure is logged, and tried again later."""
        if self._clock() >= self._due_at:
            self._store_or_log()

    def store_finally(self, wait: Callable[[float], bool]) -> None:
        """Store what was handled, however often it takes; unless `wait` is interrupted or it is hopeless."""
        attempt = 0
        while isinstance(self._store_or_log(), _PASSING):
            attempt += 1
            if wait(_FINAL_BACKOFF.seconds(attempt)):
                return

    def _is_anything_to_store(self) -> bool:
        return (
            not self.is_lease_lost and self._handled is not None and _is_beyond(self._handled, self._stored)
        )

    def _store_or_log(self) -> CheckpointError | None:
        if self._handled is None or not self._is_anything_to_store():
            return None
        try:
            self._store(self._handled)
        except CheckpointError as error:
            self._failures += 1
            self._due_at = self._clock() + max(self._interval_seconds, _BACKOFF.seconds(self._failures))
            if self._failures == 1 and not self.is_lease_lost:
                level = logging.WARNING if isinstance(error, _PASSING) else logging.ERROR
                _log.log(level, "%s; it is tried again", error)
            return error
        return None

    def _store(self, sequence_number: str) -> None:
        name = self._request(sequence_number)
        if name is not None:
            error = _ERRORS.get(name, CheckpointError)
            if error is LeaseLostError:
                self.is_lease_lost = True
                _log.info(
                    "the lease is lost: no more checkpoints, the rest of the batch is left to its new owner"
                )
            raise error(f"the checkpoint at {sequence_number} was not stored: {name}")
        if self._failures:
            _log.info("the checkpoint at %s is stored, after %d failures", sequence_number, self._failures)
        self._failures = 0
        self._stored = sequence_number
        self._due_at = self._due_within_batch_at = self._clock() + self._interval_seconds


def _is_beyond(sequence_number: str, other: str | None) -> bool:
    """Compare as numbers: sequence numbers do not all have the same number of digits."""
    return other is None or int(sequence_number) > int(other)
