"""The conversation with the daemon: what has arrived, whether the lease is ours. Used by loop, checkpointer.

The daemon may speak out of turn, to interrupt a batch: what is met while looking for something else is kept,
in its order. The daemon bounds how much that can be.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from time import monotonic, monotonic_ns
from typing import Final

from record_processor.errors import ProtocolError
from record_processor.worker.channel import Channel
from record_processor.worker.messages import (
    Acknowledge,
    Checkpoint,
    CheckpointAnswer,
    Codec,
    Hello,
    Initialize,
    Lease,
    LeaseAnswer,
    LeaseLost,
    Message,
    ProcessRecords,
    Reply,
    ShutdownRequested,
    Status,
)

_ASK_AGAIN_SECONDS: Final = 0.1


class Conversation:
    """Messages over a channel.

    Every method raises DaemonGoneError when the connection is closed, and ProtocolError from the moment on
    that the daemon sent what it must not send.
    """

    def __init__(self, channel: Channel, codec: Codec, clock_nanos: Callable[[], int] = monotonic_ns) -> None:
        """Take the channel, how messages are written, and the deadline's clock; nothing is read yet."""
        self._channel = channel
        self._codec = codec
        self._clock_nanos = clock_nanos
        self._waiting: deque[Message] = deque()
        self._error: ProtocolError | None = None
        self._is_interrupted = False
        self._deadline_nanos = 0
        self.fencing_token = 0
        """The newest that the daemon said."""
        self.is_lease_lost = False
        """Whether the daemon said `leaseLost`, read or met."""

    def say_hello(self, hello: Hello) -> None:
        """Say who speaks."""
        self._write(hello)

    def receive(self) -> Message:
        """Return the next message, once it is there."""
        return self._waiting.popleft() if self._waiting else self._read()

    def is_interrupted(self, timeout_seconds: float = 0) -> bool:
        """Wait for a message that ends the shard's work here, `shutdownRequested` or `leaseLost`."""
        deadline = monotonic() + timeout_seconds
        while not self._is_interrupted:
            if not self._channel.wait(max(0.0, deadline - monotonic())):
                return False
            self._waiting.append(self._read())
        return True

    def is_stopped(self, timeout_seconds: float = 0) -> bool:
        """Wait like `is_interrupted`, then until the next record may be handed out; return whether none may.

        Past the lease's deadline none may before the daemon has said a later one.
        """
        is_stopped = self.is_interrupted(timeout_seconds)
        while not is_stopped and self._is_deadline_over():
            self._ask_for_lease()
            is_stopped = self.is_interrupted(_ASK_AGAIN_SECONDS if self._is_deadline_over() else 0)
        return is_stopped

    def acknowledge(self, sequence_number: str) -> None:
        """Say that every record up to this one is handled."""
        self._write(Acknowledge(sequence_number))

    def request_checkpoint(self, sequence_number: str) -> str | None:
        """Ask for a checkpoint and wait for the answer; return the name of KCL's exception, or None."""
        self._write(Checkpoint(sequence_number))
        while True:
            message = self._read()
            if isinstance(message, CheckpointAnswer):
                return message.error
            self._waiting.append(message)

    def say_done(self, action: str) -> None:
        """Say that an action is done."""
        self._write(Status(action))

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()

    def _is_deadline_over(self) -> bool:
        return 0 < self._deadline_nanos <= self._clock_nanos()

    def _ask_for_lease(self) -> None:
        """Ask, and wait for the answer or for what makes it needless."""
        self._write(Lease())
        while not self._is_interrupted:
            message = self._read()
            if isinstance(message, LeaseAnswer):
                return
            self._waiting.append(message)

    def _write(self, reply: Reply) -> None:
        self._channel.write(self._codec.write(reply))

    def _read(self) -> Message:
        """Read a message. An error is raised again and again: a handler cannot swallow it."""
        if self._error is None:
            try:
                message = self._codec.parse(self._channel.read())
            except ProtocolError as error:
                self._error = error
            else:
                self._note(message)
                return message
        raise self._error

    def _note(self, message: Message) -> None:
        """Remember what counts from the moment on that it is here, whenever the message's turn comes."""
        match message:
            case Initialize() | ProcessRecords() | LeaseAnswer():
                self._deadline_nanos = max(self._deadline_nanos, message.deadline_nanos)
                self.fencing_token = max(self.fencing_token, message.fencing_token)
            case LeaseLost():
                self.is_lease_lost = self._is_interrupted = True
            case ShutdownRequested():
                self._is_interrupted = True
            case _:
                pass
