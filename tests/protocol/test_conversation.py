"""The conversation: what is kept for later, what interrupts, and what the lease's deadline holds up."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from typing import Any, cast
from unittest.mock import patch

import pytest

from record_processor import ProtocolError
from record_processor.worker import messages
from record_processor.worker.conversation import Conversation
from record_processor.worker.messages import (
    CheckpointAnswer,
    Initialize,
    LeaseLost,
    ProcessRecords,
    ShutdownRequested,
)

BATCH = {"action": "processRecords", "records": []}


class Channel:
    """Has arrived what it is given; after each word of the worker comes what `answers` has for it."""

    def __init__(self, *arrived: dict[str, Any] | bytes) -> None:
        self.arrived = deque(arrived)
        self.answers: deque[list[dict[str, Any]]] = deque()
        self.said: list[dict[str, Any]] = []
        self.waits: list[float | None] = []
        self.wake_fds: list[int] = []
        self.now = 100

    def conversation(self) -> Conversation:
        return Conversation(cast("Any", self), messages.LINES, lambda: self.now)

    def has_arrived(self) -> bool:
        return self.wait(0)

    def wait(self, timeout_seconds: float | None) -> bool:
        self.waits.append(timeout_seconds)
        return bool(self.arrived)

    def wake_on(self, fd: int) -> None:
        self.wake_fds.append(fd)

    def read(self) -> bytes:
        message = self.arrived.popleft()
        return message if isinstance(message, bytes) else json.dumps(message).encode()

    def write(self, line: bytes) -> None:
        self.said.append(json.loads(line))
        if self.answers:
            self.arrived.extend(self.answers.popleft())


def test_what_is_met_on_the_way_keeps_its_order() -> None:
    """A checkpoint's answer is taken out from between, the rest comes when it is asked for."""
    channel = Channel({"action": "initialize", "shardId": "s"}, BATCH)
    channel.answers.append([{"action": "shutdownRequested"}, {"action": "checkpoint", "error": "X"}])
    conversation = channel.conversation()
    assert conversation.request_checkpoint("5") == "X"
    assert conversation.is_interrupted
    assert isinstance(conversation.receive(), Initialize)
    assert [type(message) for message in conversation.arrived(None)] == [ProcessRecords, ShutdownRequested]
    assert channel.said == [{"action": "checkpoint", "sequenceNumber": "5"}]


def test_what_has_arrived_comes_all_at_once() -> None:
    """It is waited for the first only; with something kept, for nothing."""
    channel = Channel(BATCH, BATCH)
    conversation = channel.conversation()
    assert [type(message) for message in conversation.arrived(7.5)] == [ProcessRecords] * 2
    assert channel.waits == [7.5, 0, 0]
    assert conversation.arrived(None) == []
    assert channel.waits[3:] == [None]
    channel.answers.append([BATCH, {"action": "checkpoint", "error": None}])
    assert conversation.request_checkpoint("5") is None
    assert [type(message) for message in conversation.arrived(7.5)] == [ProcessRecords]
    assert channel.waits[4:] == [0]


def test_it_wakes_on_what_its_channel_wakes_on() -> None:
    """A handler that has finished ends the wait for a message."""
    channel = Channel()
    channel.conversation().wake_on(77)
    assert channel.wake_fds == [77]


def test_what_the_worker_says() -> None:
    """Each in the words of docs/protocol.md."""
    channel = Channel()
    conversation = channel.conversation()
    conversation.acknowledge("5")
    conversation.say_progress()
    conversation.say_fatal("the table is gone")
    conversation.say_done("initialize")
    assert channel.said == [
        {"action": "acknowledge", "sequenceNumber": "5"},
        {"action": "progress"},
        {"action": "fatal", "reason": "the table is gone"},
        {"action": "status", "responseFor": "initialize"},
    ]


@pytest.mark.parametrize("action", ["leaseLost", "shutdownRequested"])
def test_interrupted_behind_batches(action: str) -> None:
    """It counts from when it is read, whenever its turn comes."""
    conversation = Channel(BATCH, BATCH, {"action": action}).conversation()
    assert len(conversation.arrived(0)) == 3
    assert conversation.is_interrupted
    assert conversation.is_lease_lost == (action == "leaseLost")


def test_nonsense_is_an_error_for_ever() -> None:
    """Nobody can swallow it and go on."""
    conversation = Channel(b"canary", BATCH).conversation()
    uses: tuple[Callable[[], object], ...] = (
        conversation.receive,
        lambda: conversation.arrived(0),
        lambda: conversation.request_checkpoint("1"),
    )
    for use in uses:
        with pytest.raises(ProtocolError, match="is not understood"):
            use()


# --- The lease's deadline ---


def _lease(deadline_nanos: int, fencing_token: int = 0) -> dict[str, Any]:
    return {"action": "lease", "deadlineNanos": deadline_nanos, "fencingToken": fencing_token}


def test_without_a_deadline_nothing_is_asked() -> None:
    """As with a daemon of the stock protocol."""
    channel = Channel(BATCH, {**BATCH, "deadlineNanos": 0})
    conversation = channel.conversation()
    conversation.arrived(0)
    assert conversation.seconds_until_lease() is None
    assert channel.said == []


def test_a_deadline_counts_from_when_its_message_is_read() -> None:
    """The newest of all messages, whenever their turn comes; an older one that comes later changes nothing."""
    channel = Channel({**BATCH, "deadlineNanos": 90}, {**BATCH, "deadlineNanos": 110})
    channel.arrived.append({**BATCH, "deadlineNanos": 95})
    conversation = channel.conversation()
    conversation.arrived(0)
    assert conversation.seconds_until_lease() is None
    channel.now = 109
    assert conversation.seconds_until_lease() is None
    assert channel.said == []
    channel.now = 110
    assert conversation.seconds_until_lease()
    assert channel.said == [{"action": "lease"}]


def test_past_the_deadline_it_is_asked_now_and_then() -> None:
    """Not each time that somebody looks; and not again once a later one has come, until that is over, too."""
    channel = Channel({"action": "initialize", "shardId": "s", "deadlineNanos": 1})
    conversation = channel.conversation()
    conversation.arrived(0)
    with patch("record_processor.worker.conversation.monotonic") as clock:
        for seconds, asked, waits in [(50.0, 1, 0.1), (50.05, 1, 0.05), (50.11, 2, 0.1), (50.3, 3, 0.1)]:
            clock.return_value = seconds
            assert conversation.seconds_until_lease() == pytest.approx(waits)
            assert channel.said == [{"action": "lease"}] * asked
        channel.arrived.extend([_lease(100), BATCH, _lease(101)])  # now it is 100: the first is over, too
        assert len(conversation.arrived(0)) == 3
        assert conversation.seconds_until_lease() is None
        channel.now = 101
        assert conversation.seconds_until_lease()
    assert channel.said == [{"action": "lease"}] * 4


@pytest.mark.parametrize(
    ("action", "kind"), [("leaseLost", LeaseLost), ("shutdownRequested", ShutdownRequested)]
)
def test_past_the_deadline_an_interruption_is_an_answer(action: str, kind: type[object]) -> None:
    """It is met like every message; what comes before it is kept."""
    channel = Channel({**BATCH, "deadlineNanos": 1})
    channel.answers.append([BATCH, {"action": action}])
    conversation = channel.conversation()
    conversation.arrived(0)
    assert conversation.seconds_until_lease()
    assert [type(message) for message in conversation.arrived(0)] == [ProcessRecords, kind]
    assert conversation.is_interrupted


def test_the_newest_fencing_token() -> None:
    """It only grows."""
    channel = Channel({**BATCH, "fencingToken": 7}, _lease(0, 9), {**BATCH, "fencingToken": 8})
    conversation = channel.conversation()
    assert conversation.fencing_token == 0
    conversation.arrived(0)
    assert conversation.fencing_token == 9


def test_an_answer_that_nobody_waits_for_is_kept() -> None:
    """It is for the loop to say that it came out of turn."""
    assert isinstance(
        Channel({"action": "checkpoint", "error": None}).conversation().receive(), CheckpointAnswer
    )
