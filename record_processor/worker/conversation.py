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
    Fatal,
    Hello,
    Initialize,
    Lease,
    LeaseAnswer,
    LeaseLost,
    Message,
    ProcessRecords,
    Progress,
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
        self.is_interrupted = False
        """Whether a message has come that ends the shard's work here: shutdownRequested or leaseLost."""
        self._deadline_nanos = 0
        self._ask_at = 0.0
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

    def wake_on(self, fd: int) -> None:
        """Let `arrived` return early when this descriptor is readable."""
        self._channel.wake_on(fd)

    def arrived(self, timeout_seconds: float | None) -> list[Message]:
        """Return the messages that are here; without any, wait for one, for ever with None."""
        messages = list(self._waiting)
        self._waiting.clear()
        while self._error or self._channel.wait(0 if messages else timeout_seconds):
            messages.append(self._read())
        return messages

    def look(self) -> None:
        """Read what has arrived, for `arrived` to return."""
        while self._channel.has_arrived():
            self._waiting.append(self._read())

    def seconds_until_lease(self) -> float | None:
        """Return None if a record may be handed out now, as far as the lease goes.

        Past the lease's deadline none may before the daemon has said a later one: it is asked for, now and
        then, and what is returned is how long to wait for its answer.
        """
        if not 0 < self._deadline_nanos <= self._clock_nanos():
            self._ask_at = 0.0
            return None
        now = monotonic()
        if now >= self._ask_at:
            self._write(Lease())
            self._ask_at = now + _ASK_AGAIN_SECONDS
        return self._ask_at - now

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

    def say_progress(self) -> None:
        """Say that the time that a handler may take begins anew."""
        self._write(Progress())

    def say_fatal(self, reason: str) -> None:
        """Say that the shard must not be handled on here."""
        self._write(Fatal(reason))

    def say_done(self, action: str) -> None:
        """Say that an action is done."""
        self._write(Status(action))

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()

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
                self.is_lease_lost = self.is_interrupted = True
            case ShutdownRequested():
                self.is_interrupted = True
            case _:
                pass
