"""The promise, by random schedules: whatever raises and whatever the daemon says when, nothing is lost.

The real conversation, loop, pipeline and checkpointer run against a daemon in memory: no process, no sleeping,
and a clock that only the schedule moves. Handlers run one after the other, or as works of a runner that finishes
them in any order.
"""

from __future__ import annotations

import base64
import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import patch

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from record_processor import (
    BatchItemFailures,
    CheckpointError,
    FatalError,
    InProgressError,
    ParkRecordError,
    Record,
    RecordProcessor,
    ShardContext,
    SkipRecordError,
    TeardownReason,
)
from record_processor.pipeline.outcome import HANDLED, Outcome
from record_processor.pipeline.pipeline import Pipeline, Work
from record_processor.pipeline.runner import MakeProcessor, Means, Runner
from record_processor.settings import DEFAULTS, Setting, Settings
from record_processor.worker import conversation as conversation_module
from record_processor.worker import loop, messages
from record_processor.worker.assembly import Parts, pipeline_of, runner_of
from record_processor.worker.channel import DaemonGoneError
from record_processor.worker.checkpointer import ShardCheckpointer
from record_processor.worker.conversation import Conversation

ERRORS = [
    "ThrottlingException",
    "KinesisClientLibDependencyException",
    "InvalidStateException",
    "ShutdownException",
]


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
    keys: dict[int, str] = field(default_factory=dict)
    """Of each record; those that are not here have one key."""
    one_by_one_up_to: int = 0
    runner: PlannedRunner | None = None
    history: list[int] = field(default_factory=list)
    """The records whose handler returned, or said by hand that they are done."""
    allowed: set[int] = field(default_factory=set)
    """The records that were declared done by hand, skipped, or parked."""
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

    def seconds(self) -> float:
        return self.now / 1e9

    def check(self, holds: bool, violation: str) -> None:
        if not holds:
            self.violations.append(violation)

    def check_lease(self) -> None:
        self.check(
            not self.deadline or self.now < self.deadline, "a handler is called when the lease may be over"
        )
        self.check(not self.is_lost, "a handler is called after the lease was lost")

    # The channel

    def wake_on(self, fd: int) -> None:
        """`wait` returns early when the runner has finished something."""

    def has_arrived(self) -> bool:
        return self.wait(0)

    def wait(self, timeout_seconds: float | None) -> bool:
        self.time_passes()
        if not self.in_flight and self.plan.chooses(3):
            self._send_next()
        if self.in_flight or timeout_seconds == 0:
            return bool(self.in_flight)
        if self.runner and self.runner.running:
            self.runner.finish_some()
        elif timeout_seconds is None:
            self._send_next()
            self._expect_something()
        else:
            self.now += int(timeout_seconds * 1e9) + 1
        return bool(self.in_flight)

    def _expect_something(self) -> None:
        self.check(bool(self.in_flight), "the worker waits for what never comes")
        if not self.in_flight:
            raise DaemonGoneError

    def read(self) -> bytes:
        self.time_passes()
        if not self.in_flight:
            self._send_next()
        self._expect_something()
        if self.plan.chooses(29):
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
            case "fatal":
                self._hear_done("fatal")
            case "status":
                self._hear_done(message["responseFor"])

    def time_passes(self) -> None:
        self.now += 10**9 if self.plan.chooses(5) else 1

    # What the daemon says

    def _send_next(self) -> None:
        if self.ending:
            return
        if not self.done and not self.sent:
            careful = {"oneByOneUpTo": str(self.one_by_one_up_to)} if self.one_by_one_up_to else {}
            self.in_flight.append(
                {"action": "initialize", "shardId": "shardId-1", **careful, **self._lease()}
            )
            self.done.append("asked")
        elif self.is_refused:
            self._end("leaseLost")
        elif self.plan.chooses(13):
            self._end("leaseLost" if self.plan.chooses(2) else "shutdownRequested")
        elif self.batches:
            for _ in range(1 + self.plan.chooses(2)):
                self._send_batch()
        elif self.acknowledged == self.sent or (self.runner and self.plan.chooses(5)):
            self._end("shutdownRequested" if self.plan.chooses(2) else "shardEnded")

    def _send_batch(self) -> None:
        numbers = self.batches.pop(0) if self.batches else []
        records = [{"sequenceNumber": str(number), "data": self._data(number)} for number in numbers]
        self.sent = max([self.sent, *numbers])
        self.in_flight.append({"action": "processRecords", "records": records, **self._lease()})

    def _data(self, number: int) -> str:
        event = {"dynamodb": {"Keys": {"pk": {"S": self.keys.get(number, "")}}}}
        return base64.b64encode(json.dumps(event).encode()).decode()

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
        self.check(
            {*range(1, number + 1)} <= self.settled, f"{what} {number} passes a record that was not handled"
        )

    @property
    def settled(self) -> set[int]:
        return {*self.history, *self.allowed}

    def _hear_done(self, action: str) -> None:
        if action in {"shutdownRequested", "fatal"} and not (self.is_lost or self.is_refused):
            self.check(self.acknowledged >= self._reach(), "something is handled, and never said")
        self.done.append(action)

    def _reach(self) -> int:
        """Return up to where all is handled."""
        if not self.runner:
            return max([0, *self.history])
        number = 0
        while number + 1 in self.settled:
            number += 1
        return number


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
        self.daemon.check({*range(1, number)} <= self.daemon.settled, f"record {number} runs ahead")

    def _go_wrong(self) -> None:
        if self.plan.chooses(4):
            raise FatalError if self.plan.chooses(8) else ValueError

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


class AtOnce(RecordProcessor):
    """Its handler is the runner's choice."""

    def process_record(self, record: Record) -> None:
        raise NotImplementedError


class BatchesAtOnce(RecordProcessor):
    """The same for batches."""

    def process_batch(self, records: Sequence[Record]) -> None:
        raise NotImplementedError


def _number(record: Record) -> int:
    return int(record.sequence_number)


class PlannedRunner(Runner):
    """Finishes works in any order, with any outcome; the daemon lets it, while the loop waits."""

    fd = 99

    def __init__(self, daemon: Daemon, plan: Plan, slots: int) -> None:
        super().__init__(Means())
        self.daemon = daemon
        self.plan = plan
        self.slots = slots
        self.running: list[Work] = []
        self.finished: list[tuple[Work, Outcome]] = []
        self.reasons: list[TeardownReason] = []
        self.is_cancelled = False

    def set_up(self, make_processor: MakeProcessor, context: ShardContext) -> None:
        make_processor()

    def run(self, work: Work) -> None:
        self.daemon.check_lease()
        self.daemon.check(not self.is_cancelled, "something is run after all was cancelled")
        self._check_order(work)
        self.running.append(work)
        self.daemon.check(len(self.running) <= self.slots, "more is run than there are slots")

    def _check_order(self, work: Work) -> None:
        numbers = [_number(record) for record in work.records]
        running = {_number(record) for other in self.running for record in other.records}
        for number in numbers:
            same = {n for n in range(1, number) if self.slots == 1 or self._key(n) == self._key(number)}
            is_in_order = same <= self.daemon.settled | {*numbers} and not same & running
            self.daemon.check(is_in_order, f"record {number} runs ahead")
            if number <= self.daemon.one_by_one_up_to:
                is_alone = len(numbers) == 1 and not running
                self.daemon.check(is_alone, f"record {number} is not alone")
                before_it = max((n for n in self.daemon.settled if n < number), default=0)
                self.daemon.check(
                    self.daemon.acknowledged >= before_it, f"what is before {number} is not acknowledged"
                )

    def _key(self, number: int) -> str:
        return self.daemon.keys.get(number, "")

    def finish_some(self) -> None:
        """Let one end, and perhaps more: time passes until then."""
        self._finish_one()
        while self.running and self.plan.chooses(3):
            self._finish_one()

    def _finish_one(self) -> None:
        self.daemon.time_passes()
        work = self.running.pop(self.plan.random.randrange(len(self.running)))
        outcome = self._outcome(work)
        self.finished.append((work, outcome))

    def _outcome(self, work: Work) -> Outcome:
        numbers = [_number(record) for record in work.records]
        if work.condition:
            if self.plan.chooses(3):
                return Outcome(OSError("the destination is down"))
            self.daemon.allowed.update(numbers)
            return HANDLED
        if self.plan.chooses(3):
            return self._failure(numbers)
        self.daemon.history += numbers
        return HANDLED

    def _failure(self, numbers: list[int]) -> Outcome:
        if len(numbers) > 1 and self.plan.chooses(2):
            return self._some_fail(numbers)
        if self.plan.chooses(5):
            return Outcome(None, frozenset(), {str(number): InProgressError("held") for number in numbers})
        kinds = [ValueError, ValueError, SkipRecordError, ParkRecordError, InProgressError]
        error = FatalError() if self.plan.chooses(12) else self.plan.random.choice(kinds)("not now")
        if isinstance(error, SkipRecordError) and len(numbers) == 1:
            self.daemon.allowed.update(numbers)
        return Outcome(error)

    def _some_fail(self, numbers: list[int]) -> Outcome:
        failed = [number for number in numbers if self.plan.chooses(2)] or numbers[:1]
        keys_behind = {self._key(number): number for number in reversed(failed)}
        self.daemon.history += [
            number for number in numbers if number < keys_behind.get(self._key(number), number + 1)
        ]
        return Outcome(BatchItemFailures([str(number) for number in failed]))

    def take_finished(self) -> list[tuple[Work, Outcome]]:
        finished, self.finished = self.finished, []
        return finished

    def cancel(self) -> None:
        self.daemon.check(self.daemon.is_lost, "it is cancelled, and the lease is ours")
        self.is_cancelled = True

    def tear_down(self, reason: TeardownReason) -> None:
        self.daemon.check(not self.running, "it is torn down while something runs")
        self.reasons.append(reason)


@contextmanager
def _clocks_of(daemon: Daemon, acknowledge_seconds: float) -> Iterator[None]:
    """Let the worker have the daemon's time."""
    with ExitStack() as stack:
        for target, name, value in (
            (ShardCheckpointer, "ACKNOWLEDGE_SECONDS", acknowledge_seconds),
            (loop, "time", SimpleNamespace(monotonic=daemon.seconds)),
            (conversation_module, "monotonic", daemon.seconds),
        ):
            stack.enter_context(patch.object(target, name, value))
        yield


def _run(
    daemon: Daemon,
    processor: type[RecordProcessor],
    acknowledge_seconds: float,
    runner_of: Callable[..., Runner] = runner_of,
    **values: Setting,
) -> bool:
    """Run a shard; return whether it came to its end."""
    conversation = Conversation(cast("Any", daemon), messages.LINES, lambda: daemon.now)
    make = partial(Pipeline, clock=daemon.seconds)
    parts = Parts(runner_of, partial(pipeline_of, make=make), daemon.seconds)
    with _clocks_of(daemon, acknowledge_seconds):
        try:
            loop.run(conversation, processor, Settings(Path(), DEFAULTS | values), parts)
        except DaemonGoneError:
            return False
    return True


def _batches(sizes: list[int]) -> list[list[int]]:
    ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
    return [list(range(end - size + 1, end + 1)) for size, end in zip(sizes, ends, strict=True)]


def _check_end(daemon: Daemon, reasons: list[TeardownReason], is_over: bool, count: int) -> None:
    assert daemon.violations == []
    if not is_over:
        assert reasons == []
    elif daemon.done[-1] == "fatal":
        assert reasons == []
        assert daemon.done == ["asked", "initialize", "fatal"]
    else:
        assert [reason.value for reason in reasons] == [daemon.ending]
        assert daemon.done == ["asked", "initialize", daemon.ending]
        if daemon.ending == "shardEnded":
            assert daemon.acknowledged == count


acknowledge_intervals = st.sampled_from([0.0, 0.02, 1000.0])


@settings(max_examples=1500, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    sizes=st.lists(st.integers(0, 5), max_size=5),
    seed=st.integers(0, 2**32),
    decisions=st.integers(0, 400),
    kind=st.sampled_from([OneByOne, Batches]),
    acknowledge_seconds=acknowledge_intervals,
)
def test_nothing_is_lost_in_any_schedule(
    sizes: list[int], seed: int, decisions: int, kind: type[OneByOne], acknowledge_seconds: float
) -> None:
    """Nothing passes a record that was not handled; order and lease are kept; there is one teardown."""
    plan = Plan(Random(seed), decisions)
    daemon = Daemon(_batches(sizes), plan)
    reasons: list[TeardownReason] = []

    class Planned(kind):  # type: ignore[misc, valid-type]
        def __init__(self) -> None:
            super().__init__(plan, daemon)
            self.reasons = reasons

    is_over = _run(daemon, Planned, acknowledge_seconds)
    _check_end(daemon, reasons, is_over, sum(sizes))


@settings(max_examples=1500, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    sizes=st.lists(st.integers(0, 6), max_size=5),
    seed=st.integers(0, 2**32),
    decisions=st.integers(0, 400),
    kind=st.sampled_from([AtOnce, BatchesAtOnce]),
    slots=st.integers(1, 4),
    values=st.fixed_dictionaries(
        {
            "batchSize": st.integers(1, 5),
            "maximumBatchingWindowInSeconds": st.sampled_from([0, 0, 3]),
            "bisectBatchOnFunctionError": st.booleans(),
        },
        optional={"onFailureDestination": st.just("discard"), "timeoutInSeconds": st.just(10**6)},
    ),
    maximum_retry_attempts=st.sampled_from([-1, 0, 2]),
    one_by_one_up_to=st.sampled_from([0, 0, 1, 5, 10**6]),
    acknowledge_seconds=acknowledge_intervals,
)
def test_nothing_is_lost_of_parallel_shards(
    *,
    sizes: list[int],
    seed: int,
    decisions: int,
    kind: type[RecordProcessor],
    slots: int,
    values: dict[str, Setting],
    maximum_retry_attempts: int,
    one_by_one_up_to: int,
    acknowledge_seconds: float,
) -> None:
    """The same when works finish in any order: each key's order, and what runs is waited for at the end."""
    plan = Plan(Random(seed), decisions)
    count = sum(sizes)
    keys = {number: plan.random.choice("abc") for number in range(1, count + 1)}
    daemon = Daemon(_batches(sizes), plan, keys, min(one_by_one_up_to, count))
    daemon.runner = runner = PlannedRunner(daemon, plan, slots)
    if "onFailureDestination" in values:
        values["maximumRetryAttempts"] = maximum_retry_attempts
    is_over = _run(
        daemon, kind, acknowledge_seconds, lambda *_: runner, parallelizationFactor=slots, **values
    )
    _check_end(daemon, runner.reasons, is_over, count)
    if is_over:
        assert runner.running == []
        assert not runner.is_cancelled or daemon.ending == "leaseLost"
        if daemon.ending == "leaseLost" and daemon.done[-1] == "leaseLost":
            assert runner.is_cancelled
