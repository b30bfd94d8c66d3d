"""The promise, by random schedules: whatever raises and whatever the daemon says when, nothing is lost.

The real conversation, loop, pipeline and checkpointer run against a daemon in memory: no process, no sleeping.
"""

from __future__ import annotations

import base64
import json
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any, cast
from unittest.mock import patch

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from record_processor import CheckpointError, Record, RecordProcessor, ShardContext, TeardownReason
from record_processor.pipeline.retry import Backoff
from record_processor.worker import loop, messages
from record_processor.worker.channel import DaemonGoneError
from record_processor.worker.checkpointer import ShardCheckpointer
from record_processor.worker.conversation import Conversation

ERRORS = [
    "ThrottlingException",
    "KinesisClientLibDependencyException",
    "InvalidStateException",
    "ShutdownException",
]
DATA = base64.b64encode(b'{"dynamodb": {}}').decode()


@dataclass
class Plan:
    """Decides at random whether the next thing goes wrong. After so many decisions all goes well."""

    random: Random
    decisions: int

    def chooses(self, one_in: int) -> bool:
        self.decisions -= 1
        return self.decisions >= 0 and self.random.randrange(one_in) == 0

    def one_of(self, names: Sequence[str]) -> str:
        return self.random.choice(names)


@dataclass
class Daemon:
    """The other end of a channel; checks the worker's words against what was handled.

    Messages are in flight from when the plan lets them be sent until the worker reads them. Time passes only
    while somebody waits or works.
    """

    batches: list[list[int]]
    plan: Plan
    history: list[int] = field(default_factory=list)
    """The records whose handler returned, or said by hand that they are done."""
    allowed: set[int] = field(default_factory=set)
    """The records that were declared done by hand."""
    in_flight: deque[dict[str, Any]] = field(default_factory=deque)
    sent: int = 0
    acknowledged: int = 0
    stored: int = 0
    ending: str = ""
    """The last message, once it is sent."""
    is_refused: bool = False
    """Whether KCL refused a checkpoint, because the lease is lost; that is said later."""
    is_lost: bool = False
    """Whether the worker has read that the lease is lost."""
    done: list[str] = field(default_factory=list)
    now: int = 10**9
    deadline: int = 0
    """The latest that the worker has read."""
    violations: list[str] = field(default_factory=list)
    """What was broken. Noted, not raised: within a handler an exception would only be one more to retry."""

    def check(self, holds: bool, violation: str) -> None:
        if not holds:
            self.violations.append(violation)

    def check_lease(self) -> None:
        self.check(
            not self.deadline or self.now < self.deadline, "a handler is called when the lease may be over"
        )
        self.check(not self.is_lost, "a handler is called after the lease was lost")

    # The channel

    def wait(self, timeout_seconds: float) -> bool:
        self.time_passes()
        if not self.in_flight and self.plan.chooses(3):
            self._send_next()
        return bool(self.in_flight)

    def read(self) -> bytes:
        self.time_passes()
        if not self.in_flight:
            self._send_next()
        self.check(bool(self.in_flight), "the worker waits for what never comes")
        if not self.in_flight or self.plan.chooses(29):
            raise DaemonGoneError
        message = self.in_flight.popleft()
        self.deadline = max(self.deadline, message.get("deadlineNanos", 0))
        self.is_lost |= message["action"] == "leaseLost" or message.get("error") == "ShutdownException"
        return json.dumps(message).encode()

    def write(self, line: bytes) -> None:
        message = json.loads(line)
        match message["action"]:
            case "acknowledge":
                self._check_acknowledged(int(message["sequenceNumber"]))
            case "checkpoint":
                self._answer_checkpoint(int(message["sequenceNumber"]))
            case "lease":
                self._answer_lease()
            case "status":
                self._hear_done(message["responseFor"])

    def time_passes(self) -> None:
        self.now += 10**9 if self.plan.chooses(5) else 1

    # What the daemon says

    def _send_next(self) -> None:
        if self.ending:
            return
        if not self.done and not self.sent:
            self.in_flight.append({"action": "initialize", "shardId": "shardId-1", **self._lease()})
            self.done.append("asked")
        elif self.is_refused:
            self._end("leaseLost")
        elif self.plan.chooses(13):
            self._end("leaseLost" if self.plan.chooses(2) else "shutdownRequested")
        elif self.batches:
            for _ in range(1 + self.plan.chooses(2)):
                self._send_batch()
        elif self.acknowledged == self.sent:
            self._end("shutdownRequested" if self.plan.chooses(2) else "shardEnded")

    def _send_batch(self) -> None:
        numbers = self.batches.pop(0) if self.batches else []
        records = [{"sequenceNumber": str(number), "data": DATA} for number in numbers]
        self.sent = max([self.sent, *numbers])
        self.in_flight.append({"action": "processRecords", "records": records, **self._lease()})

    def _lease(self) -> dict[str, int]:
        if self.plan.chooses(4):
            return {}
        return {"deadlineNanos": self.now + (0 if self.plan.chooses(4) else 10**9), "fencingToken": self.now}

    def _end(self, action: str) -> None:
        if not self.ending:
            self.ending = action
            self.in_flight.append({"action": action})

    def _answer_lease(self) -> None:
        if self.plan.chooses(3):
            self._send_next()
        if self.ending not in {"leaseLost", "shutdownRequested"}:
            self.in_flight.append(
                {"action": "lease", "deadlineNanos": self.now + (0 if self.plan.chooses(3) else 10**9)}
            )

    def _answer_checkpoint(self, number: int) -> None:
        self._check_done(number, "checkpoint")
        self.check(number > self.stored, f"checkpoint {number} goes back, or is stored twice")
        self.check(number >= self.acknowledged, f"checkpoint {number} is before what was acknowledged")
        self.acknowledged = number
        if self.plan.chooses(3):
            self._send_next()
        error = self.plan.one_of(ERRORS) if self.plan.chooses(3) else None
        self.in_flight.append({"action": "checkpoint", "error": error})
        self.is_refused |= error == "ShutdownException"
        if error is None:
            self.stored = number

    # What the daemon hears

    def _check_acknowledged(self, number: int) -> None:
        self._check_done(number, "acknowledgement")
        self.check(number > self.acknowledged, f"acknowledgement {number} goes back, or is made twice")
        self.check(not self.is_lost, "an acknowledgement after the lease was lost")
        self.acknowledged = max(self.acknowledged, number)

    def _check_done(self, number: int, what: str) -> None:
        done = {*self.history, *self.allowed}
        self.check({*range(1, number + 1)} <= done, f"{what} {number} passes a record that was not handled")

    def _hear_done(self, action: str) -> None:
        if action == "shutdownRequested" and not self.is_lost:
            self.check(self.acknowledged >= max([0, *self.history]), "something is handled, and never said")
        self.done.append(action)


class OneByOne(RecordProcessor):
    """Raises, and checkpoints by hand, as planned; notes what it handled."""

    def __init__(self, plan: Plan, daemon: Daemon) -> None:
        self.plan = plan
        self.daemon = daemon
        self.reasons: list[TeardownReason] = []

    def setup(self, context: ShardContext) -> None:
        self.checkpointer = context.checkpointer

    def process_record(self, record: Record) -> None:
        self.daemon.check_lease()
        self._check_order(record)
        self._go_wrong()
        self._checkpoint(record)
        self.daemon.time_passes()
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
        self.daemon.check_lease()
        for record in records:
            self._check_order(record)
            self._go_wrong()
            self.daemon.allowed.add(int(record.sequence_number))
            self._checkpoint(record)
        self._go_wrong()
        self.daemon.history.extend(int(record.sequence_number) for record in records)


@settings(max_examples=1500, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    sizes=st.lists(st.integers(0, 5), max_size=5),
    seed=st.integers(0, 2**32),
    decisions=st.integers(0, 400),
    kind=st.sampled_from([OneByOne, Batches]),
    acknowledge_seconds=st.sampled_from([0.0, 1e-6, 1000.0]),
)
def test_nothing_is_lost_in_any_schedule(
    sizes: list[int], seed: int, decisions: int, kind: type[OneByOne], acknowledge_seconds: float
) -> None:
    """Nothing passes a record that was not handled; order and lease are kept; there is one teardown."""
    plan = Plan(Random(seed), decisions)
    ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
    batches = [list(range(end - size + 1, end + 1)) for size, end in zip(sizes, ends, strict=True)]
    daemon = Daemon(batches, plan)
    processor = kind(plan, daemon)
    conversation = Conversation(cast("Any", daemon), messages.LINES, lambda: daemon.now)
    options = loop.Options(Backoff(0.1, 1.0))
    with patch.object(ShardCheckpointer, "ACKNOWLEDGE_SECONDS", acknowledge_seconds):
        try:
            loop.run(conversation, lambda: processor, options)
        except DaemonGoneError:
            assert processor.reasons == []
            assert daemon.violations == []
            return
    assert daemon.violations == []
    assert [reason.value for reason in processor.reasons] == [daemon.ending]
    assert daemon.done == ["asked", "initialize", daemon.ending]
    if daemon.ending == "shardEnded":
        assert daemon.acknowledged == sum(sizes)
