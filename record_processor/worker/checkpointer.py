"""Knows how far a shard was handled, and tells the daemon. Driven by loop, pipeline, and users by hand.

The daemon stores checkpoints; what it may store is what was acknowledged. An acknowledgement never passes a
record that was not handled, never goes back, and is never made twice.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from time import monotonic
from typing import Any, Final

from record_processor.errors import (
    CheckpointError,
    DependencyError,
    InvalidStateError,
    LeaseLostError,
    ThrottlingError,
)
from record_processor.record import Record
from record_processor.worker.conversation import Conversation

_log = logging.getLogger("record_processor")

_ERRORS: Final[dict[str, type[CheckpointError]]] = {
    "ThrottlingException": ThrottlingError,
    "KinesisClientLibDependencyException": DependencyError,
    "InvalidStateException": InvalidStateError,
    "ShutdownException": LeaseLostError,
}


class ShardCheckpointer:
    """Acknowledges what is handled: `Progress` for the pipeline, `Checkpointer` for the user."""

    ACKNOWLEDGE_SECONDS: Final = 0.02
    """Within a batch, an acknowledgement at most so often: it costs fast handlers next to nothing."""

    def __init__(self, conversation: Conversation, clock: Callable[[], float] = monotonic) -> None:
        """Take what tells the daemon, and a clock in seconds."""
        self._conversation = conversation
        self._clock = clock
        self._owner = (os.getpid(), threading.get_ident())
        self._handed_out: str | None = None
        self._handled: str | None = None
        self._acknowledged: str | None = None
        self._stored: str | None = None
        self._due_at = clock()
        self._is_refused = False

    @property
    def is_lease_lost(self) -> bool:
        """Whether another worker owns the shard, as far as the daemon said."""
        return self._is_refused or self._conversation.is_lease_lost

    # What the user calls

    def checkpoint(self, record: Record[Any] | None = None) -> None:
        """Store now, as `record_processor.Checkpointer.checkpoint` says."""
        if self._owner != (os.getpid(), threading.get_ident()):
            raise CheckpointError(
                "a checkpoint by hand is only for plain handlers that run one after the other: not for "
                "another thread or process, an async def, or parallelizationFactor > 1"
            )
        if self.is_lease_lost:
            raise LeaseLostError
        target = self._handled if record is None else record.sequence_number
        if record is not None and _is_beyond(record.sequence_number, self._handed_out):
            raise CheckpointError(
                f"{record!r} was not handed out yet: a checkpoint cannot pass records that were not handled"
            )
        if target is not None and _is_beyond(target, self._stored):
            self._store(self._at_least_acknowledged(target))

    # What the pipeline asks

    def is_stored(self, record: Record) -> bool:
        """Whether it was checkpointed by hand."""
        return not _is_beyond(record.sequence_number, self._stored)

    # What the loop calls

    def handing_out(self, record: Record) -> None:
        """From now on, up to this record can be checkpointed by hand."""
        self._handed_out = record.sequence_number

    def handled(self, sequence_number: str | None) -> None:
        """Up to this record all is handled; say so now and then, while more is handled."""
        self._handled = sequence_number
        if self._clock() >= self._due_at:
            self.acknowledge()

    def acknowledge(self) -> None:
        """Say what was handled, unless that was said; without the lease nobody wants to hear it."""
        self._due_at = self._clock() + self.ACKNOWLEDGE_SECONDS
        if self._handled is None or self.is_lease_lost or not _is_beyond(self._handled, self._acknowledged):
            return
        self._conversation.acknowledge(self._handled)
        self._was_acknowledged(self._handled)

    def _at_least_acknowledged(self, sequence_number: str) -> str:
        """Return where to store: the daemon may have stored what was acknowledged, and never goes back."""
        if self._acknowledged is None or _is_beyond(sequence_number, self._acknowledged):
            return sequence_number
        return self._acknowledged

    def _store(self, sequence_number: str) -> None:
        name = self._conversation.request_checkpoint(sequence_number)
        if _is_beyond(sequence_number, self._acknowledged):
            self._was_acknowledged(sequence_number)
        if name is not None:
            error = _ERRORS.get(name, CheckpointError)
            if error is LeaseLostError:
                self._is_refused = True
                _log.info("the lease is lost: the rest of the batch is left to the shard's new owner")
            raise error(f"the checkpoint at {sequence_number} was not stored: {name}")
        self._stored = sequence_number

    def _was_acknowledged(self, sequence_number: str) -> None:
        self._acknowledged = sequence_number
        self._due_at = self._clock() + self.ACKNOWLEDGE_SECONDS


def _is_beyond(sequence_number: str, other: str | None) -> bool:
    """Compare as numbers: sequence numbers do not all have the same number of digits."""
    return other is None or int(sequence_number) > int(other)
