"""The conversation: what is kept for later, what interrupts, and what the lease's deadline holds up."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from typing import Any, cast

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
        self.now = 100

    def conversation(self) -> Conversation:
        return Conversation(cast("Any", self), messages.LINES, lambda: self.now)

    def wait(self, timeout_seconds: float) -> bool:
        return bool(self.arrived)

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
    channel.answers.append([{"action": "checkpoint", "error": "X"}, {"action": "shutdownRequested"}])
    conversation = channel.conversation()
    assert conversation.request_checkpoint("5") == "X"
    assert conversation.is_interrupted()
    kinds = [type(conversation.receive()) for _ in range(3)]
    assert kinds == [Initialize, ProcessRecords, ShutdownRequested]
    assert channel.said == [{"action": "checkpoint", "sequenceNumber": "5"}]


@pytest.mark.parametrize("action", ["leaseLost", "shutdownRequested"])
def test_interrupted_behind_batches(action: str) -> None:
    """All that has arrived is looked at; whoever asks again hears the same."""
    conversation = Channel(BATCH, BATCH, {"action": action}).conversation()
    assert [conversation.is_interrupted(), conversation.is_stopped()] == [True, True]
    assert conversation.is_lease_lost == (action == "leaseLost")


def test_nonsense_is_an_error_for_ever() -> None:
    """Nobody can swallow it and go on."""
    conversation = Channel(b"canary", BATCH).conversation()
    uses: tuple[Callable[[], object], ...] = (
        conversation.receive,
        conversation.is_interrupted,
        conversation.is_stopped,
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
    assert not channel.conversation().is_stopped()
    assert channel.said == []


def test_a_deadline_counts_from_when_its_message_is_read() -> None:
    """The newest of all messages, whenever their turn comes; an older one that comes later changes nothing."""
    channel = Channel({**BATCH, "deadlineNanos": 90}, {**BATCH, "deadlineNanos": 110})
    channel.arrived.append({**BATCH, "deadlineNanos": 95})
    conversation = channel.conversation()
    assert not conversation.is_stopped()
    assert channel.said == []
    channel.now = 110
    channel.answers.append([_lease(111)])
    assert not conversation.is_stopped()
    assert channel.said == [{"action": "lease"}]


def test_past_the_deadline_it_is_asked_until_there_is_a_later_one() -> None:
    """What comes meanwhile is kept."""
    channel = Channel({"action": "initialize", "shardId": "s", "deadlineNanos": 1})
    channel.answers.extend([[BATCH, _lease(100)], [_lease(0)], [BATCH, _lease(101)]])
    conversation = channel.conversation()
    assert not conversation.is_stopped()
    assert channel.said == [{"action": "lease"}] * 3
    assert [type(conversation.receive()) for _ in range(3)] == [Initialize, ProcessRecords, ProcessRecords]


@pytest.mark.parametrize(
    ("action", "kind"), [("leaseLost", LeaseLost), ("shutdownRequested", ShutdownRequested)]
)
def test_past_the_deadline_an_interruption_is_an_answer(action: str, kind: type[object]) -> None:
    """Nothing else need follow."""
    channel = Channel({**BATCH, "deadlineNanos": 1})
    channel.answers.append([BATCH, {"action": action}])
    conversation = channel.conversation()
    assert conversation.is_stopped()
    assert [type(conversation.receive()) for _ in range(3)] == [ProcessRecords, ProcessRecords, kind]


def test_the_newest_fencing_token() -> None:
    """It only grows."""
    channel = Channel({**BATCH, "fencingToken": 7}, _lease(0, 9), {**BATCH, "fencingToken": 8})
    conversation = channel.conversation()
    assert conversation.fencing_token == 0
    assert not conversation.is_interrupted()
    assert conversation.fencing_token == 9


def test_an_answer_that_nobody_waits_for_is_kept() -> None:
    """It is for the loop to say that it came out of turn."""
    assert isinstance(
        Channel({"action": "checkpoint", "error": None}).conversation().receive(), CheckpointAnswer
    )
