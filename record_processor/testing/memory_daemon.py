"""The daemon's side of a worker's conversation, in memory, by a clock of its own. Used by in_memory."""

from __future__ import annotations

import select
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

from record_processor.record import Record
from record_processor.testing.watching import Watch
from record_processor.worker.channel import Channel
from record_processor.worker.messages import (
    Acknowledge,
    Checkpoint,
    CheckpointAnswer,
    Codec,
    Initialize,
    Message,
    ProcessRecords,
    Reply,
    ShutdownRequested,
    Status,
)


def _as_it_is(message: Any) -> Any:
    return message


ONLY_CODEC: Final = Codec(_as_it_is, _as_it_is)
"""Messages stay values: nothing has to travel."""


class Clock:
    """Stands still until it is moved."""

    def __init__(self, unix_seconds: float) -> None:
        """Take when it begins."""
        self._unix_seconds = unix_seconds
        self.seconds = 0.0
        """How far it was moved."""

    def monotonic(self) -> float:
        """Return the time since it began, in seconds."""
        return self.seconds

    def unix(self) -> float:
        """Return the Unix time, in seconds."""
        return self._unix_seconds + self.seconds


class Suspicion:
    """What the daemon concludes from workers that die: the rule is docs/error-handling.md's, Crashes."""

    def __init__(self) -> None:
        """Begin without any."""
        self._deaths = 0
        self._culprit: str | None = None
        self.attempts = 0
        """How many workers in a row have died alone with the first record that is left."""
        self.one_by_one_up_to: str | None = None
        """The last record to be handled alone, if any are."""

    def died(self, left: Sequence[Record[Any]]) -> None:
        """Hear that a worker died, and what it had not acknowledged."""
        if not left:
            return
        first = left[0].sequence_number
        if self.one_by_one_up_to is not None:
            self.attempts = self.attempts + 1 if first == self._culprit else 1
            self._culprit = first
        self._deaths += 1
        if self._deaths == 2:
            self.one_by_one_up_to = left[-1].sequence_number


class MemoryDaemon(Channel):
    """Sends the shard's records at once, and its end when nothing is left to wait for."""

    def __init__(
        self, first: Initialize, records: Sequence[Record[Any]], end: Message, clock: Clock, watch: Watch
    ) -> None:
        """Take what to say first and last; the clock is moved over the worker's pauses."""
        self._first = first
        self._messages: deque[Message] = deque([first])
        self._records = records
        self._end = end
        self._clock = clock
        self._watch = watch
        self._fds: list[int] = []
        self._is_over = False
        self.acknowledged = 0
        """The sequence number up to which the worker has said that all is handled."""

    def wake_on(self, fd: int) -> None:
        self._fds.append(fd)

    def has_arrived(self) -> bool:
        return bool(self._messages)

    def wait(self, timeout_seconds: float | None) -> bool:
        if not self._messages:
            self._pass(timeout_seconds)
        return bool(self._messages)

    def _pass(self, timeout_seconds: float | None) -> None:
        """Let time pass: really while handlers run in threads, else in no time."""
        if self._watch.pipeline.in_flight:
            select.select(self._fds, [], [], timeout_seconds)
        elif timeout_seconds is None or self._watch.is_stuck:
            self._say_the_last_words()
        else:
            self._clock.seconds += timeout_seconds

    def _say_the_last_words(self) -> None:
        if not self._is_over:
            self._is_over = True
            self._messages.append(ShutdownRequested() if self._watch.is_stuck else self._end)

    def read(self) -> Any:
        return self._messages.popleft()

    def write(self, message: Any) -> None:
        reply: Reply = message
        match reply:
            case Status(response_for="initialize"):
                changes = [each._change for each in self._records]  # noqa: SLF001  # as it came, undecoded
                self._messages.append(ProcessRecords(changes, fencing_token=self._first.fencing_token))
            case Acknowledge():
                self.acknowledged = int(reply.sequence_number)
            case Checkpoint():
                self.acknowledged = max(self.acknowledged, int(reply.sequence_number))
                self._messages.append(CheckpointAnswer(None))
            case _:
                pass

    def close(self) -> None:
        """Nothing is open."""
