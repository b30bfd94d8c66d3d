"""The promise, by random schedules: whatever raises and whatever the daemon says when, nothing is lost.

The real loop, pipeline and checkpointer run against a daemon in memory: no process, no sleeping.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, cast

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from record_processor import CheckpointError, Record, RecordProcessor, ShardContext, TeardownReason
from record_processor.pipeline.retry import Backoff
from record_processor.worker import loop
from record_processor.worker.channel import DaemonGoneError
from record_processor.worker.conversation import Conversation
from record_processor.worker.messages import (
    Initialize,
    LeaseLost,
    Message,
    ProcessRecords,
    ShardEnded,
    ShutdownRequested,
)

ERRORS = [
    "ThrottlingException",
    "KinesisClientLibDependencyException",
    "InvalidStateException",
    "ShutdownException",
]


@dataclass
class Plan:
    """Decides, from what hypothesis drew, whether the next thing goes wrong. In the end all goes well."""

    decisions: Iterator[int]

    def chooses(self, one_in: int) -> bool:
        return next(self.decisions, 1) % one_in == 0


@dataclass
class Daemon:
    """Plays the daemon's part of a Conversation; checks the worker's words against what was handled."""

    batches: list[list[int]]
    plan: Plan
    history: list[int]
    """The records whose handler returned, or said by hand that they are done."""
    allowed: set[int] = field(default_factory=set)
    """The records that were declared done by hand."""
    stored: int = 0
    acknowledged: list[str] = field(default_factory=list)
    outstanding: list[int] = field(default_factory=list)
    ending: Message | None = None
    is_told: bool = False
    violations: list[str] = field(default_factory=list)
    """What was broken. Noted, not raised: within a handler an exception would only be one more to retry."""

    def check(self, holds: bool, violation: str) -> None:
        if not holds:
            self.violations.append(violation)

    def receive(self, timeout_seconds: float | None = None) -> Message | None:
        if not self.acknowledged and not self.is_told:
            self.is_told = True
            return Initialize("shardId-1", "", "orders", "")
        if self.ending:
            return self.ending
        if timeout_seconds is not None and self.plan.chooses(2):
            return None
        if self.plan.chooses(11):
            raise DaemonGoneError
        if self.batches:
            self.outstanding = self.batches.pop(0)
            return ProcessRecords([{"sequenceNumber": str(n), "data": ""} for n in self.outstanding])
        self.ending = ShutdownRequested() if self.plan.chooses(2) else ShardEnded()
        return self.ending

    def is_interrupted(self, timeout_seconds: float = 0) -> bool:
        if self.ending is None and self.plan.chooses(13):
            self.ending = ShutdownRequested() if self.plan.chooses(2) else LeaseLost()
        return isinstance(self.ending, LeaseLost | ShutdownRequested)

    def request_checkpoint(self, sequence_number: str) -> str | None:
        number = int(sequence_number)
        done = {*self.history, *self.allowed}
        self.check(
            {*range(1, number + 1)} <= done, f"checkpoint {number} passes a record that was not handled"
        )
        self.check(number > self.stored, f"checkpoint {number} goes back, or is stored twice")
        if self.plan.chooses(3):
            error = ERRORS[next(self.plan.decisions, 0) % len(ERRORS)]
            if error == "ShutdownException":
                self.ending = LeaseLost()
            return error
        self.stored = number
        return None

    def acknowledge(self, action: str) -> None:
        if action == "processRecords":
            done = {*self.history, *self.allowed}
            self.check({*self.outstanding} <= done, "a batch is acknowledged that was not handled")
            self.outstanding = []
        self.acknowledged.append(action)


class OneByOne(RecordProcessor):
    """Raises, and checkpoints by hand, as planned; notes what it handled."""

    def __init__(self, plan: Plan, daemon: Daemon) -> None:
        self.plan = plan
        self.daemon = daemon
        self.reasons: list[TeardownReason] = []

    def setup(self, context: ShardContext) -> None:
        self.checkpointer = context.checkpointer

    def process_record(self, record: Record) -> None:
        self._check_order(record)
        self._go_wrong()
        self._checkpoint(record)
        self._go_wrong()
        self.daemon.history.append(int(record.sequence_number))

    def teardown(self, reason: TeardownReason) -> None:
        self.reasons.append(reason)
        self._go_wrong()

    def _check_order(self, record: Record) -> None:
        """Every record comes after the one before it was handled."""
        number = int(record.sequence_number)
        done = {*self.daemon.history, *self.daemon.allowed}
        self.daemon.check({*range(1, number)} <= done, f"record {number} runs ahead")

    def _go_wrong(self) -> None:
        if self.plan.chooses(4):
            raise ValueError

    def _checkpoint(self, record: Record) -> None:
        if self.plan.chooses(5):
            with suppress(CheckpointError):
                self.checkpointer.checkpoint(None if self.plan.chooses(2) else self._declared(record))

    def _declared(self, record: Record) -> Record:
        self.daemon.allowed.add(int(record.sequence_number))
        return record


class Batches(OneByOne):
    """The same, a batch at a time; it declares a prefix to be done."""

    def process_batch(self, records: Sequence[Record]) -> None:
        for record in records:
            self._check_order(record)
            self._go_wrong()
            self.daemon.allowed.add(int(record.sequence_number))
            self._checkpoint(record)
        self._go_wrong()
        self.daemon.history.extend(int(record.sequence_number) for record in records)


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    sizes=st.lists(st.integers(0, 5), max_size=5),
    decisions=st.lists(st.integers(0, 10_000), max_size=200),
    kind=st.sampled_from([OneByOne, Batches]),
    interval=st.sampled_from([0.0, 1e-9, 1000.0]),
)
def test_nothing_is_lost_in_any_schedule(
    sizes: list[int], decisions: list[int], kind: type[OneByOne], interval: float
) -> None:
    """Nothing passes a record that was not handled; order is kept; there is one teardown."""
    plan = Plan(iter(decisions))
    ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
    batches = [list(range(end - size + 1, end + 1)) for size, end in zip(sizes, ends, strict=True)]
    daemon = Daemon(batches, plan, [])
    processor = kind(plan, daemon)
    options = loop.Options(interval, Backoff(0.1, 1.0))
    conversation = cast("Conversation", cast("Any", daemon))
    try:
        loop.run(conversation, lambda: processor, options)
    except DaemonGoneError:
        assert processor.reasons == []
        assert daemon.violations == []
        return
    assert daemon.violations == []
    last = daemon.ending
    assert last is not None
    assert [reason.value for reason in processor.reasons] == [last.action]
    assert daemon.acknowledged[-1] == last.action
