"""When a checkpoint is stored, what happens when that fails, and what can be done by hand."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterable

import pytest

from record_processor import (
    CheckpointError,
    DependencyError,
    InvalidStateError,
    LeaseLostError,
    Record,
    ThrottlingError,
)
from record_processor.record import RecordSource
from record_processor.worker.checkpointer import IntervalCheckpointer

SOURCE = RecordSource("", "orders", "shardId-1")


def _record(number: int) -> Record:
    return Record("", str(number), SOURCE)


class Store:
    """A checkpointer with a daemon that answers as it is told, and a clock that stands still."""

    def __init__(self, *answers: str | None, interval_seconds: float = 5.0) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []
        self.now = 1000.0
        self.checkpointer = IntervalCheckpointer(self._ask, interval_seconds, lambda: self.now)

    def _ask(self, sequence_number: str) -> str | None:
        self.asked.append(sequence_number)
        return self.answers.pop(0) if self.answers else None

    def batch(self, numbers: Iterable[int], *, seconds_each: float = 0) -> None:
        """Handle a batch as the loop and the pipeline do."""
        self.checkpointer.batch_begins()
        for number in numbers:
            self.checkpointer.handing_out([_record(number)])
            self.now += seconds_each
            self.checkpointer.handled(_record(number))
        self.checkpointer.store_if_due()

    def handle(self, number: int) -> None:
        """Handle a record in a batch that is not over."""
        self.checkpointer.batch_begins()
        self.checkpointer.handled(_record(number))


# --- When ---


def test_after_a_batch_but_at_most_every_interval() -> None:
    """The first batch is stored at once, a second one only when the interval is over."""
    store = Store()
    store.batch([1, 2])
    store.batch([3, 4])
    assert store.asked == ["2"]
    store.now += 5
    store.batch([5])
    assert store.asked == ["2", "5"]


def test_an_interval_of_zero_is_every_batch_not_every_record() -> None:
    """0 means after each batch."""
    store = Store(interval_seconds=0)
    store.batch([1, 2, 3], seconds_each=1)
    store.batch([4])
    assert store.asked == ["3", "4"]


def test_within_a_batch_that_takes_long() -> None:
    """What is handled is stored at the interval, so that a crash does not repeat a whole slow batch."""
    store = Store()
    store.batch(range(1, 9), seconds_each=2)
    assert store.asked == ["3", "6"]
    assert store.checkpointer.seconds_until_due() == 1.0


def test_idle() -> None:
    """What is handled and not stored is due when the interval is over; then nothing is due any more."""
    store = Store()
    assert store.checkpointer.seconds_until_due() is None
    store.batch([1])
    store.batch([2])
    assert store.checkpointer.seconds_until_due() == 5.0
    store.now += 6
    assert store.checkpointer.seconds_until_due() == 0.0
    store.checkpointer.store_if_due()
    assert store.asked == ["1", "2"]
    assert store.checkpointer.seconds_until_due() is None


def test_when_a_record_starts_to_fail() -> None:
    """What is handled before it is stored at once; then, in the pauses, nothing twice."""
    store = Store()
    store.batch([1])
    store.handle(2)
    for attempt in (1, 2, 3):
        store.checkpointer.failed(attempt)
        store.now += 10
    assert store.asked == ["1", "2"]


def test_a_failed_store_is_repeated_in_the_pauses() -> None:
    """A record that fails for ever does not keep what is before it from being stored."""
    store = Store("ThrottlingException")
    store.handle(1)
    store.checkpointer.failed(1)
    store.checkpointer.failed(2)
    store.now += 40
    store.checkpointer.failed(3)
    assert store.asked == ["1", "1"]


def test_nothing_is_stored_twice_and_nothing_goes_back() -> None:
    """Sequence numbers are numbers: 9 is before 10."""
    store = Store(interval_seconds=0)
    store.batch([9])
    store.batch([10])
    store.batch([10, 9])
    assert store.asked == ["9", "10"]


# --- Failures ---


@pytest.mark.parametrize("name", ["ThrottlingException", "KinesisClientLibDependencyException"])
def test_a_passing_failure_is_repeated_when_due(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """It is a warning once, then one line when it is over."""
    caplog.set_level(logging.INFO)
    store = Store(name, name, None)
    for number in (1, 2, 3, 4):
        store.batch([number])
        store.now += 40
    assert store.asked == ["1", "2", "3", "4"]
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", f"the checkpoint at 1 was not stored: {name}; it is tried again"),
        ("INFO", "the checkpoint at 3 is stored, after 2 failures"),
    ]


def test_failures_are_repeated_ever_more_slowly() -> None:
    """With an interval of zero, a throttled table is not asked after every batch."""
    store = Store(*["ThrottlingException"] * 1000, interval_seconds=0)
    for number in range(1, 101):
        store.batch([number])
        store.now += 0.1
    assert len(store.asked) < 50


@pytest.mark.parametrize("name", ["InvalidStateException", "IllegalArgumentException", "SomethingNew"])
def test_a_lasting_failure_is_an_error(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """It is an error once, and tried again all the same."""
    store = Store(name, name)
    for number in (1, 2, 3):
        store.batch([number])
        store.now += 40
    assert store.asked == ["1", "2", "3"]
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_a_lost_lease_is_the_end(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is stored any more, which is no error: another worker does it."""
    caplog.set_level(logging.INFO)
    store = Store("ShutdownException")
    store.batch([1])
    store.now += 40
    store.batch([2])
    assert store.checkpointer.is_lease_lost
    assert store.checkpointer.seconds_until_due() is None
    assert store.asked == ["1"]
    assert [record.levelname for record in caplog.records] == ["INFO"]


# --- On drain ---


def _handled_but_not_stored(*answers: str | None) -> Store:
    store = Store(*answers)
    store.handle(1)
    return store


def test_on_drain_it_is_repeated_until_it_succeeds() -> None:
    """The pauses are short: the grace period is."""
    store = _handled_but_not_stored("ThrottlingException", "KinesisClientLibDependencyException", None)
    pauses: list[float] = []

    def wait(seconds: float) -> bool:
        pauses.append(seconds)
        return False

    store.checkpointer.store_finally(wait)
    assert store.asked == ["1"] * 3
    assert len(pauses) == 2
    assert max(pauses) <= 1.0


def test_on_drain_a_lost_lease_ends_the_attempts() -> None:
    """Whether the daemon says so out of turn, or in its answer."""
    store = _handled_but_not_stored("ThrottlingException")
    store.checkpointer.store_finally(lambda _: True)
    assert store.asked == ["1"]
    store = _handled_but_not_stored("ShutdownException")
    store.checkpointer.store_finally(lambda _: False)
    assert store.asked == ["1"]


def test_on_drain_without_anything_handled() -> None:
    """Nothing is asked."""
    store = Store()
    store.checkpointer.store_finally(lambda _: False)
    assert store.asked == []


# --- By hand ---


def test_by_hand_everything_handled_so_far() -> None:
    """The record that is being handled is not handled yet."""
    store = Store()
    store.checkpointer.checkpoint()
    assert store.asked == []
    store.checkpointer.handing_out([_record(1)])
    store.handle(1)
    store.checkpointer.handing_out([_record(2)])
    store.checkpointer.checkpoint()
    store.checkpointer.checkpoint()
    assert store.asked == ["1"]


def test_by_hand_up_to_a_record() -> None:
    """Up to the last that was handed out; and afterwards nothing goes back."""
    store = Store()
    store.checkpointer.handing_out([_record(1), _record(2), _record(3)])
    store.checkpointer.checkpoint(_record(2))
    store.checkpointer.checkpoint(_record(1))
    assert store.asked == ["2"]
    assert [store.checkpointer.is_done(_record(number)) for number in (1, 2, 3)] == [True, True, False]


def test_by_hand_never_beyond_what_was_handed_out() -> None:
    """A checkpoint cannot pass a record that nobody has seen."""
    store = Store()
    store.checkpointer.handing_out([_record(1)])
    with pytest.raises(CheckpointError, match="Record 2 of shardId-1"):
        store.checkpointer.checkpoint(Record("", "2", SOURCE))
    assert store.asked == []


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
    store = Store(name)
    store.checkpointer.handing_out([_record(1)])
    with pytest.raises(error, match=name) as caught:
        store.checkpointer.checkpoint(_record(1))
    assert type(caught.value) is error
    assert not store.checkpointer.is_done(_record(1))


def test_by_hand_after_the_lease_was_lost() -> None:
    """The daemon is not asked again."""
    store = Store()
    store.handle(1)
    store.checkpointer.is_lease_lost = True
    with pytest.raises(LeaseLostError):
        store.checkpointer.checkpoint()
    assert store.asked == []


def test_by_hand_from_another_thread() -> None:
    """Two threads would take each other's answers."""
    store = Store()
    store.handle(1)
    errors: list[Exception] = []

    def checkpoint() -> None:
        try:
            store.checkpointer.checkpoint()
        except CheckpointError as error:
            errors.append(error)

    thread = threading.Thread(target=checkpoint)
    thread.start()
    thread.join()
    assert len(errors) == 1
    assert store.asked == []


def test_by_hand_from_a_forked_child(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child of the handler's must not speak in the worker's name."""
    store = Store()
    store.handle(1)
    monkeypatch.setattr(os, "getpid", lambda: -1)
    with pytest.raises(CheckpointError, match="only be made from the thread"):
        store.checkpointer.checkpoint()
