"""The conversation with the daemon: who speaks next, what has arrived. Used by loop and checkpointer.

The daemon may speak out of turn, to interrupt a batch: what is met while looking for something else is kept,
in its order.
"""

from __future__ import annotations

from collections import deque
from time import monotonic

from record_processor.errors import ProtocolError
from record_processor.worker import messages
from record_processor.worker.channel import Channel
from record_processor.worker.messages import CheckpointAnswer, LeaseLost, Message, ShutdownRequested


class Conversation:
    """Messages over a channel.

    Every method raises DaemonGoneError when the daemon closed the pipe, and ProtocolError from the moment on
    that it sent what it must not send.
    """

    def __init__(self, channel: Channel) -> None:
        """Take the channel; nothing is read yet."""
        self._channel = channel
        self._waiting: deque[Message] = deque()
        self._error: ProtocolError | None = None

    def receive(self, timeout_seconds: float | None = None) -> Message | None:
        """Return the next message; None if there is none within the time."""
        if self._waiting:
            return self._waiting.popleft()
        return self._read() if self._channel.wait(timeout_seconds) else None

    def is_interrupted(self, timeout_seconds: float = 0) -> bool:
        """Wait for a message that ends the shard's work here, `shutdownRequested` or `leaseLost`."""
        deadline = monotonic() + timeout_seconds
        while not any(isinstance(message, ShutdownRequested | LeaseLost) for message in self._waiting):
            if not self._channel.wait(max(0.0, deadline - monotonic())):
                return False
            self._waiting.append(self._read())
        return True

    def acknowledge(self, action: str) -> None:
        """Say that an action is done."""
        self._channel.write_line(messages.status(action))

    def request_checkpoint(self, sequence_number: str) -> str | None:
        """Ask for a checkpoint and wait for the answer; return the name of KCL's exception, or None."""
        self._channel.write_line(messages.checkpoint(sequence_number))
        while True:
            message = self._read()
            if isinstance(message, CheckpointAnswer):
                return message.error
            self._waiting.append(message)

    def _read(self) -> Message:
        """Read a message. An error is raised again and again: a handler cannot swallow it."""
        if self._error is None:
            try:
                return messages.parse(self._channel.read_line())
            except ProtocolError as error:
                self._error = error
        raise self._error
