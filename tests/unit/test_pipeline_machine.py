"""The pipeline's promise, as a state machine: whatever raises, hangs, dies or is throttled, in whatever order.

A daemon in memory keeps what is not acknowledged, and gives it to the next worker when one dies. Handlers are
this machine's choice of what comes of each call. Time passes only when it says so. MACHINE_HISTORIES sets how
many histories are tried.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from record_processor import (
    BatchItemFailures,
    FatalError,
    InProgressError,
    ParkRecordError,
    Record,
    SkipRecordError,
)
from record_processor.parking.parked import Condition
from record_processor.pipeline.outcome import HANDLED, Outcome
from record_processor.pipeline.pipeline import Batching, Pipeline, Work
from record_processor.pipeline.policy import Policy
from record_processor.pipeline.retry import Backoff

HISTORIES = int(os.environ.get("MACHINE_HISTORIES", "2000"))
BORN = 1_764_000_000
"""When the records were made, in Unix seconds."""

kinds_of_failure = st.sampled_from([ValueError, ParkRecordError, SkipRecordError, InProgressError])


def _record(number: int, key: int) -> Record:
    return Record.from_dynamodb_json(
        {
            "eventName": "MODIFY",
            "dynamodb": {
                "SequenceNumber": str(number),
                "ApproximateCreationDateTime": BORN,
                "SizeBytes": 100,
                "Keys": {"pk": {"N": str(key)}},
            },
        },
        "shardId-1",
    )


@dataclass
class World:
    """What is true whichever worker lives: the daemon's side, and the effects."""

    keys: list[int] = field(default_factory=list)
    """The key of each record that was written; its number is its place here, from 1."""
    sent: int = 0
    acknowledged: int = 0
    handled: set[int] = field(default_factory=set)
    skipped: set[int] = field(default_factory=set)
    parked: dict[int, Condition] = field(default_factory=dict)
    raised: dict[int, list[type[Exception]]] = field(default_factory=dict)
    """For each record, what its handler raised that was surely about it."""
    deaths: list[tuple[int, int, bool]] = field(default_factory=list)
    """Of each worker that died with records: the first of them, the last one sent, and if it was careful."""

    @property
    def settled(self) -> set[int]:
        return self.handled | self.skipped | self.parked.keys()


def _number(record: Record) -> int:
    return int(record.sequence_number)


class PipelineMachine(RuleBasedStateMachine):
    """Sends, runs, fails, kills."""

    @initialize(
        slots=st.sampled_from([1, 1, 2, 3, 10]),
        batching=st.sampled_from(
            [
                Batching(),
                Batching(series=4),
                Batching(3),
                Batching(4, window_seconds=5.0, full_bytes=700),
                Batching(100),
                Batching(2, window_seconds=1.0, full_bytes=1000),
            ]
        ),
        maximum_retry_attempts=st.sampled_from([-1, 0, 1, 3]),
        maximum_age=st.sampled_from([-1, -1, 60]),
        bisect=st.booleans(),
        can_park=st.booleans(),
    )
    def begin(
        self,
        *,
        slots: int,
        batching: Batching,
        maximum_retry_attempts: int,
        maximum_age: int,
        bisect: bool,
        can_park: bool,
    ) -> None:
        self.world = World()
        self.slots = 1 if batching.series > 1 else slots
        self.batching = batching
        limits = (maximum_retry_attempts, maximum_age) if can_park else (-1, -1)
        backoff = Backoff(0.1, 30.0, uniform=lambda _, most: most)
        self.policy = Policy(backoff, *limits, bisect_batch=bisect, can_park=can_park)
        self.now = 1000.0
        self.in_flight: list[Work] = []
        self._start_worker()

    def _start_worker(self) -> None:
        self.in_flight = []
        self.world.sent = self.world.acknowledged
        self.calls: dict[int, int] = {}
        self.pipeline = Pipeline(
            self.policy,
            self.batching,
            self.slots,
            clock=lambda: self.now,
            wall_clock=lambda: BORN + self.now - 1000.0,
        )
        if len(self.world.deaths) >= 2:
            first = self.world.acknowledged + 1
            attempts = sum(careful and begun == first for begun, _, careful in self.world.deaths)
            self.pipeline.be_careful(str(max(last for _, last, _ in self.world.deaths)), attempts)

    # --- What happens ---

    @rule(keys=st.lists(st.integers(1, 4), min_size=1, max_size=8))
    def records_arrive(self, keys: list[int]) -> None:
        """The table changes; the daemon sends that, and what a dead worker left."""
        self.world.keys += keys
        self._send()

    def _send(self) -> None:
        numbers = range(self.world.sent + 1, len(self.world.keys) + 1)
        self.pipeline.add([_record(number, self.world.keys[number - 1]) for number in numbers])
        self.world.sent = len(self.world.keys)

    @rule()
    def something_is_run(self) -> None:
        """A runner asks what it may run."""
        work = self.pipeline.next()
        if work:
            self._check_may_run(work)
            self.in_flight.append(work)

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data())
    def it_succeeds(self, data: st.DataObject) -> None:
        """A handler returns, or a record is durable in its destination."""
        work = self._one_in_flight(data)
        if work.is_series:
            self._go_on(work, data.draw(st.integers(1, len(work.records))))
        else:
            self._note_success(work)
        self._finish(work, HANDLED)

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data(), kind=kinds_of_failure)
    def it_raises(self, data: st.DataObject, kind: type[Exception]) -> None:
        """A handler raises, which says nothing of which record; or the destination is down."""
        work = self._one_in_flight(data)
        if work.is_series:
            self._fail_in_series(work, data.draw(st.integers(0, len(work.records) - 1)), kind)
            return
        if not work.condition and len(work.records) == 1:
            self._note_failure(_number(work.records[0]), kind)
        self._finish(work, Outcome(kind("not now")))

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data())
    def some_fail(self, data: st.DataObject) -> None:
        """A batch handler names those that failed; a store holds back some, and knows others."""
        work = self._one_in_flight(data)
        if work.condition or work.is_series:
            self.in_flight.append(work)
            return
        numbers = [_number(record) for record in work.records]
        fates = [data.draw(st.sampled_from(["ok", "ok", "failed", "held", "done"])) for _ in numbers]
        # Nothing is called behind a record of the same key that is held: so says the store's side.
        if not self._is_consistent(numbers, fates):
            self._finish(work, Outcome(ValueError("whole")))
            return
        failures: dict[Any, Exception | None] = {}
        behind: set[int] = set()
        for number, fate in zip(numbers, fates, strict=True):
            key = self.world.keys[number - 1]
            if fate == "failed":
                failures[str(number)] = error = self._own_failure(data, number)
                behind |= set() if self.policy.settles(error) else {key}
            elif fate == "done" or (fate == "ok" and key not in behind):
                self.world.handled.add(number)
        held = {
            str(number): InProgressError("another one is at it")
            for number, fate in zip(numbers, fates, strict=True)
            if fate == "held"
        }
        done = frozenset(str(n) for n, fate in zip(numbers, fates, strict=True) if fate == "done")
        self._finish(work, Outcome(BatchItemFailures(failures) if failures else None, done, held))

    def _is_consistent(self, numbers: Sequence[int], fates: Sequence[str]) -> bool:
        held: set[int] = set()
        for number, fate in zip(numbers, fates, strict=True):
            key = self.world.keys[number - 1]
            if key in held and fate != "held":
                return False
            if fate == "held":
                held.add(key)
        return True

    def _own_failure(self, data: st.DataObject, number: int) -> Exception | None:
        kind = data.draw(st.one_of(st.none(), kinds_of_failure))
        self._note_failure(number, kind or ValueError)
        return kind("this one") if kind else None

    @rule(seconds=st.sampled_from([0.05, 0.5, 5.0, 40.0]))
    def time_passes(self, seconds: float) -> None:
        """Pauses end, windows close, records age."""
        self.now += seconds

    @precondition(lambda self: self.pipeline.settled)
    @rule()
    def the_daemon_hears(self) -> None:
        """What is settled is acknowledged."""
        self._acknowledge()

    @rule()
    def the_worker_dies(self) -> None:
        """Killed, or hung and killed: what it had in hand may or may not have had its effect."""
        if self.world.sent > self.world.acknowledged:
            self.world.deaths.append((self.world.acknowledged + 1, self.world.sent, self.pipeline.is_careful))
        self._start_worker()
        self._send()

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data())
    def it_is_fatal(self, data: st.DataObject) -> None:
        """The shard stops: nothing more is run; somebody mends it and starts again."""
        work = self._one_in_flight(data)
        self._finish(work, Outcome(FatalError("stop") if not work.condition else ValueError()))
        if self.pipeline.fatal:
            assert self.pipeline.next() is None
            self._acknowledge()
            self.world.deaths.clear()
            self._start_worker()
            self._send()

    def _go_on(self, work: Work, count: int) -> bool:
        """Handle so many of a series; return whether the next one may be handed out."""
        for record in work.records[:count]:
            self.world.handled.add(_number(record))
            if self.pipeline.goes_on(work) is None:
                return False
        return True

    def _fail_in_series(self, work: Work, count: int, kind: type[Exception]) -> None:
        if not self._go_on(work, count):
            self._finish(work, HANDLED)
            return
        self._note_failure(_number(work.records[count]), kind)
        self._finish(work, Outcome(kind("not now")))

    def _one_in_flight(self, data: st.DataObject) -> Work:
        return self.in_flight.pop(data.draw(st.integers(0, len(self.in_flight) - 1)))

    def _finish(self, work: Work, outcome: Outcome) -> None:
        self.pipeline.finished(work, outcome)
        if self.pipeline.is_careful:
            self._acknowledge()

    def _note_success(self, work: Work) -> None:
        numbers = [_number(record) for record in work.records]
        if work.condition:
            self.world.parked.setdefault(numbers[0], work.condition)
        else:
            self.world.handled.update(numbers)

    def _note_failure(self, number: int, kind: type[Exception]) -> None:
        self.world.raised.setdefault(number, []).append(kind)
        if kind is SkipRecordError:
            self.world.skipped.add(number)

    def _acknowledge(self) -> None:
        number = int(self.pipeline.settled or 0)
        unsettled = {*range(1, number + 1)} - self.world.settled
        assert not unsettled, f"the acknowledgement of {number} passes {unsettled}"
        self.world.acknowledged = max(number, self.world.acknowledged)
        if self.world.deaths and number >= max(last for _, last, _ in self.world.deaths):
            self.world.deaths.clear()

    # --- What must hold ---

    def _check_may_run(self, work: Work) -> None:
        numbers = [_number(record) for record in work.records]
        assert numbers == sorted(numbers)
        assert len(numbers) <= max(self.batching.size, self.batching.series)
        assert len(self.in_flight) < self.slots
        keys = {self.world.keys[number - 1] for number in numbers}
        if self.slots > 1:
            for other in self.in_flight:
                overlap = keys & {self.world.keys[_number(record) - 1] for record in other.records}
                assert not overlap, f"keys {overlap} are handled twice at once"
        if self.pipeline.is_careful:
            assert numbers == [self.world.acknowledged + 1]
        if work.condition:
            self._check_may_park(numbers, work.condition)
        else:
            self._check_order(numbers)
            self._check_may_call(numbers)

    def _check_order(self, numbers: list[int]) -> None:
        """Whatever of the same key was written before is settled, or handed out before it in this call.

        With one slot that goes for all keys, until a record was handed out once.
        """
        for number in numbers:
            is_new = number not in self.calls
            for before in range(1, number):
                is_same_key = self.world.keys[before - 1] == self.world.keys[number - 1]
                if before not in numbers and (is_same_key or (is_new and self.slots == 1)):
                    assert before in self.world.settled, f"{number} runs ahead of {before}"

    def _check_may_park(self, numbers: list[int], condition: Condition) -> None:
        assert self.policy.can_park
        (number,) = numbers
        raised = self.world.raised.get(number, [])
        match condition:
            case Condition.PARK_REQUESTED:
                assert ParkRecordError in raised
            case Condition.RETRY_ATTEMPTS_EXHAUSTED:
                assert self.policy.maximum_retry_attempts >= 0
            case Condition.RECORD_AGE_EXCEEDED:
                assert self.now - 1000.0 > self.policy.maximum_record_age_seconds > 0

    def _check_may_call(self, numbers: list[int]) -> None:
        if self.policy.maximum_record_age_seconds > 0:
            assert self.now - 1000.0 <= self.policy.maximum_record_age_seconds
        for number in numbers:
            self.calls[number] = self.calls.get(number, 0) + 1

    @invariant()
    def nothing_unsettled_is_passed(self) -> None:
        """The prefix that would be acknowledged is settled."""
        if hasattr(self, "pipeline"):
            number = int(self.pipeline.settled or 0)
            assert {*range(1, number + 1)} <= self.world.settled

    def teardown(self) -> None:
        """From now on all goes well: every record ends handled, skipped or parked."""
        if not hasattr(self, "pipeline"):
            return
        for _ in range(20 * len(self.world.keys) + 20):
            while work := self.pipeline.next():
                self._check_may_run(work)
                self.in_flight.append(work)
            if not self.in_flight and self.pipeline.is_empty:
                break
            for work in self.in_flight:
                if work.is_series:
                    self._go_on(work, len(work.records))
                else:
                    self._note_success(work)
                self._finish(work, HANDLED)
            self.in_flight = []
            self.now += self.pipeline.due_in_seconds() or 0
        assert self.pipeline.is_empty
        assert self.world.settled >= {*range(1, len(self.world.keys) + 1)}
        assert int(self.pipeline.settled or len(self.world.keys)) == len(self.world.keys)


@pytest.mark.timeout(0)
def test_the_promise_in_random_histories(caplog: pytest.LogCaptureFixture) -> None:
    """No acknowledgement passes an unsettled record, keys keep their order, and every record is settled."""
    caplog.set_level(logging.CRITICAL, "record_processor")
    run_state_machine_as_test(
        PipelineMachine,
        settings=settings(
            max_examples=HISTORIES,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )
