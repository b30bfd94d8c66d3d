"""When the daemon hears what is handled, and what can be stored by hand."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterable
from typing import Any, cast

import pytest

from record_processor import (
    CheckpointError,
    DependencyError,
    InvalidStateError,
    LeaseLostError,
    Record,
    ThrottlingError,
)
from record_processor.worker.checkpointer import ShardCheckpointer


def _record(number: int) -> Record:
    return Record.from_dynamodb_json({"dynamodb": {"SequenceNumber": str(number)}}, "shardId-1")


class Daemon:
    """A checkpointer with a daemon that answers as it is told, and a clock that stands still."""

    def __init__(self, *answers: str | None) -> None:
        self.answers = list(answers)
        self.heard: list[str] = []
        self.is_lease_lost = False
        self.now = 1000.0
        self.checkpointer = ShardCheckpointer(cast("Any", self), lambda: self.now)
        self.checkpointer.acknowledge()  # the loop has waited for the first records

    def acknowledge(self, sequence_number: str) -> None:
        self.heard.append(f"handled {sequence_number}")

    def request_checkpoint(self, sequence_number: str) -> str | None:
        self.heard.append(f"store {sequence_number}")
        return self.answers.pop(0) if self.answers else None

    def batch(self, numbers: Iterable[int], *, seconds_each: float = 0) -> None:
        """Handle all there is as the loop does, which then waits."""
        for number in numbers:
            self.handle(number, seconds_each)
        self.checkpointer.acknowledge()

    def handle(self, number: int, seconds: float = 0) -> None:
        """Handle a record while there are more."""
        self.checkpointer.handing_out(_record(number))
        self.now += seconds
        self.checkpointer.handled(str(number))


# --- What is acknowledged ---


def test_all_that_is_handled_before_it_is_waited() -> None:
    """The daemon need not wait for more to come."""
    daemon = Daemon()
    daemon.batch([1, 2, 3])
    daemon.batch([4, 5])
    assert daemon.heard == ["handled 3", "handled 5"]


def test_within_a_batch_that_takes_long() -> None:
    """Slow handlers acknowledge each record, fast ones once in a while."""
    slow, fast = Daemon(), Daemon()
    slow.batch(range(1, 4), seconds_each=ShardCheckpointer.ACKNOWLEDGE_SECONDS)
    assert slow.heard == ["handled 1", "handled 2", "handled 3"]
    fast.batch(range(1, 101), seconds_each=ShardCheckpointer.ACKNOWLEDGE_SECONDS / 39.5)
    assert fast.heard == ["handled 40", "handled 80", "handled 100"]


def test_once_while_a_record_fails() -> None:
    """What is handled before it; then, in the pauses, nothing twice."""
    daemon = Daemon()
    daemon.handle(1)
    for _ in range(3):
        daemon.checkpointer.handled("1")
        daemon.checkpointer.acknowledge()
        daemon.now += 10
    assert daemon.heard == ["handled 1"]


def test_nothing_before_anything_is_handled() -> None:
    """There is nothing to say."""
    daemon = Daemon()
    daemon.checkpointer.handing_out(_record(1))
    daemon.checkpointer.handled(None)
    daemon.checkpointer.acknowledge()
    assert daemon.heard == []


def test_nothing_twice_and_nothing_goes_back() -> None:
    """Sequence numbers are numbers: 9 is before 10."""
    daemon = Daemon()
    daemon.batch([9])
    daemon.batch([10])
    daemon.batch([10, 9])
    assert daemon.heard == ["handled 9", "handled 10"]


def test_nothing_after_the_lease_was_lost() -> None:
    """Whether the daemon said so, or a checkpoint by hand found it."""
    told, found = Daemon(), Daemon("ShutdownException")
    told.is_lease_lost = True
    found.checkpointer.handing_out(_record(1))
    with pytest.raises(LeaseLostError):
        found.checkpointer.checkpoint(_record(1))
    found.heard.clear()
    for daemon in (told, found):
        daemon.batch([1, 2])
        assert daemon.heard == []
        assert daemon.checkpointer.is_lease_lost


# --- By hand ---


def test_by_hand_everything_handled_so_far() -> None:
    """The record that is being handled is not handled yet."""
    daemon = Daemon()
    daemon.checkpointer.checkpoint()
    assert daemon.heard == []
    daemon.handle(1)
    daemon.checkpointer.handing_out(_record(2))
    daemon.checkpointer.checkpoint()
    daemon.checkpointer.checkpoint()
    assert daemon.heard == ["store 1"]


def test_by_hand_up_to_a_record() -> None:
    """Up to the last that was handed out; and afterwards nothing goes back."""
    daemon = Daemon()
    daemon.checkpointer.handing_out(_record(3))
    daemon.checkpointer.checkpoint(_record(2))
    daemon.checkpointer.checkpoint(_record(1))
    assert daemon.heard == ["store 2"]
    assert [daemon.checkpointer.is_stored(_record(number)) for number in (1, 2, 3)] == [True, True, False]


def test_by_hand_acknowledges_too() -> None:
    """What was asked to be stored is not said again, not even if it was not stored."""
    daemon = Daemon(None, "ThrottlingException")
    daemon.batch([1])
    daemon.checkpointer.handing_out(_record(2))
    daemon.checkpointer.checkpoint(_record(2))
    daemon.batch([2])
    daemon.checkpointer.handing_out(_record(3))
    with pytest.raises(ThrottlingError):
        daemon.checkpointer.checkpoint(_record(3))
    daemon.batch([3])
    assert daemon.heard == ["handled 1", "store 2", "store 3"]


def test_by_hand_at_least_what_was_acknowledged() -> None:
    """The daemon may have stored that already, and a checkpoint does not go back."""
    daemon = Daemon()
    daemon.batch([1, 2, 3])
    daemon.checkpointer.checkpoint(_record(2))
    assert daemon.heard == ["handled 3", "store 3"]


def test_by_hand_never_beyond_what_was_handed_out() -> None:
    """A checkpoint cannot pass a record that nobody has seen."""
    daemon = Daemon()
    daemon.checkpointer.handing_out(_record(1))
    with pytest.raises(CheckpointError, match="2 of shardId-1"):
        daemon.checkpointer.checkpoint(_record(2))
    assert daemon.heard == []


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("ThrottlingException", ThrottlingError),
        ("KinesisClientLibDependencyException", DependencyError),
        ("InvalidStateException", InvalidStateError),
        ("ShutdownException", LeaseLostError),
        ("IllegalArgumentException", CheckpointError),
    ],
)
def test_by_hand_failures_are_raised(name: str, error: type[CheckpointError]) -> None:
    """The user hears what KCL says, as a class of its own."""
    daemon = Daemon(name)
    daemon.checkpointer.handing_out(_record(1))
    with pytest.raises(error, match=name) as caught:
        daemon.checkpointer.checkpoint(_record(1))
    assert type(caught.value) is error
    assert not daemon.checkpointer.is_stored(_record(1))


def test_a_lost_lease_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    """Another worker goes on; the log says so once."""
    caplog.set_level(logging.INFO)
    daemon = Daemon("ShutdownException")
    daemon.handle(1)
    for _ in range(2):
        with pytest.raises(LeaseLostError):
            daemon.checkpointer.checkpoint()
    assert [record.levelname for record in caplog.records] == ["INFO"]


def test_by_hand_after_the_lease_was_lost() -> None:
    """The daemon is not asked any more."""
    daemon = Daemon()
    daemon.handle(1)
    daemon.is_lease_lost = True
    with pytest.raises(LeaseLostError):
        daemon.checkpointer.checkpoint()
    assert daemon.heard == []


def test_by_hand_from_another_thread() -> None:
    """Two threads would take each other's answers."""
    daemon = Daemon()
    daemon.handle(1)
    errors: list[Exception] = []

    def checkpoint() -> None:
        try:
            daemon.checkpointer.checkpoint()
        except CheckpointError as error:
            errors.append(error)

    thread = threading.Thread(target=checkpoint)
    thread.start()
    thread.join()
    assert len(errors) == 1
    assert daemon.heard == []


def test_by_hand_from_a_forked_child(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child of the handler's must not speak in the worker's name."""
    daemon = Daemon()
    daemon.handle(1)
    monkeypatch.setattr(os, "getpid", lambda: -1)
    with pytest.raises(
        CheckpointError, match="another thread or process, an async def, or parallelizationFactor > 1"
    ):
        daemon.checkpointer.checkpoint()
