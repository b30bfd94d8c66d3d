"""The pipeline: order, attempts, pauses, giving up, batches, and the log lines; without a process or a pause."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from record_processor import (
    BatchItemFailures,
    FatalError,
    InProgressError,
    ParkRecordError,
    Record,
    SkipRecordError,
)
from record_processor.pipeline.outcome import HANDLED, Outcome
from record_processor.pipeline.pipeline import Batching, Pipeline, Work
from record_processor.pipeline.policy import Policy
from record_processor.pipeline.retry import Backoff

BACKOFF = Backoff(0.1, 1.0, uniform=lambda _, most: most)
POLICY = Policy(BACKOFF)
PARKING = Policy(BACKOFF, maximum_retry_attempts=1, can_park=True)
BORN = 1_764_000_000


def _record(number: int, key: str = "", size_bytes: int = 10) -> Record:
    return Record.from_dynamodb_json(
        {
            "eventName": "INSERT",
            "dynamodb": {
                "SequenceNumber": str(number),
                "ApproximateCreationDateTime": BORN,
                "SizeBytes": size_bytes,
                "Keys": {"pk": {"S": key or f"item-{number}"}},
                "NewImage": {"pk": {"S": "canary"}},
            },
        },
        "shardId-1",
    )


def _numbers(records: Iterable[Record]) -> list[int]:
    return [int(record.sequence_number) for record in records]


class Run:
    """A pipeline, on clocks that stand still, and what was run."""

    def __init__(
        self, policy: Policy = POLICY, batching: Batching | None = None, slots: int = 1, stored: int = 0
    ) -> None:
        self.now = 1000.0
        self.wall = float(BORN)
        self.log: list[list[int]] = []
        self.pipeline = Pipeline(
            policy,
            batching or Batching(),
            slots,
            is_stored=lambda record: int(record.sequence_number) <= stored,
            clock=lambda: self.now,
            wall_clock=lambda: self.wall,
        )

    def add(self, *numbers: int, key: str = "") -> Run:
        self.pipeline.add([_record(number, key) for number in numbers])
        return self

    def next(self) -> Work:
        """Take what may be run now."""
        work = self.pipeline.next()
        assert work
        self.log.append(_numbers(work.records))
        return work

    def next_in_time(self) -> Work | None:
        """Take what may be run next, however long that takes; None if all is settled."""
        if self.pipeline.is_empty:
            return None
        work = self.pipeline.next()
        if work is None:
            self.wait()
            return self.next()
        self.log.append(_numbers(work.records))
        return work

    def all_next(self) -> list[Work]:
        """Take everything that may be run now."""
        works = []
        while work := self.pipeline.next():
            self.log.append(_numbers(work.records))
            works.append(work)
        return works

    def settled(self) -> str | None:
        return self.pipeline.settled

    def is_careful(self) -> bool:
        return self.pipeline.is_careful

    def fail(self, work: Work, error: Exception) -> None:
        self.pipeline.finished(work, Outcome(error))

    def handle(self, work: Work) -> None:
        self.pipeline.finished(work, HANDLED)

    def wait(self) -> float:
        """Let the time pass until there is something to run."""
        seconds = self.pipeline.due_in_seconds()
        assert seconds is not None
        self.now += seconds
        return seconds

    def handle_all(self) -> None:
        """From now on all goes well."""
        for _ in range(1000):
            for work in self.all_next():
                self.handle(work)
            if self.pipeline.is_empty:
                return
            self.wait()
        raise AssertionError("it never ends")


def _fail_until(run: Run, failures: dict[int, int]) -> None:
    """Let each record fail as often as it is told."""
    while work := run.next_in_time():
        number = max(_numbers(work.records), key=lambda each: failures.get(each, 0))
        if failures.get(number, 0) > 0:
            failures[number] -= 1
            run.fail(work, ValueError(f"no {number},\nnot now"))
        else:
            run.handle(work)


# --- One after the other ---


def test_one_by_one() -> None:
    """Records are handed out one after the other, each after the one before was handled."""
    run = Run().add(1, 2)
    first = run.next()
    assert run.pipeline.next() is None
    assert run.settled() is None
    run.handle(first)
    assert run.settled() == "1"
    run.handle(run.next())
    assert (run.settled(), run.pipeline.is_empty, run.log) == ("2", True, [[1], [2]])


def test_all_at_once() -> None:
    """A batch handler is given what is there, up to so many; also what came in several messages."""
    run = Run(batching=Batching(3)).add(1, 2).add(3, 4)
    run.handle_all()
    assert run.log == [[1, 2, 3], [4]]


def test_nothing_arrived() -> None:
    """There is nothing to do, for ever."""
    run = Run().add()
    assert (run.pipeline.next(), run.pipeline.due_in_seconds(), run.pipeline.is_empty) == (None, None, True)


def test_a_failing_record_is_handed_out_until_it_is_handled() -> None:
    """Those behind it wait; those before it are not repeated."""
    run = Run().add(1, 2, 3)
    _fail_until(run, {2: 3})
    assert run.log == [[1], [2], [2], [2], [2], [3]]


def test_pauses_before_each_other_attempt() -> None:
    """Each is longer, up to the maximum; until it is over nothing may run."""
    run = Run().add(1, 2)
    pauses = []
    for _ in range(5):
        run.fail(run.next(), ValueError())
        assert run.pipeline.next() is None
        pauses.append(round(run.wait(), 3))
    assert pauses == [0.1, 0.2, 0.4, 0.8, 1.0]


def test_another_record_begins_with_the_first_pause() -> None:
    """What failed before it does not count for it."""
    run = Run().add(1, 2)
    for pause in (0.1, 0.2):
        run.fail(run.next(), ValueError())
        assert run.wait() == pytest.approx(pause)
    run.handle(run.next())
    run.fail(run.next(), ValueError())
    assert run.wait() == pytest.approx(0.1)


def test_a_failing_batch_is_handed_out_again_as_a_whole() -> None:
    """Nobody knows which of its records were handled."""
    run = Run(batching=Batching(3)).add(1, 2, 3, 4)
    _fail_until(run, {2: 1})
    assert run.log == [[1, 2, 3], [1, 2, 3], [4]]


@pytest.mark.parametrize(("stored", "again"), [(0, [1, 2, 3]), (1, [2, 3]), (2, [3]), (3, [3])])
def test_what_was_checkpointed_by_hand_is_not_repeated(stored: int, again: list[int]) -> None:
    """But the last record is, if everything was checkpointed: an exception is never a success."""
    run = Run(batching=Batching(3), stored=stored).add(1, 2, 3)
    run.fail(run.next(), ValueError())
    assert run.settled() == (str(again[0] - 1) if again[0] > 1 else None)
    run.handle_all()
    assert run.log == [[1, 2, 3], again]


def test_a_retried_record_is_as_it_came() -> None:
    """What the failed attempt did to the image is gone."""
    run = Run().add(1)
    work = run.next()
    (work.records[0].new_image or {}).clear()
    run.fail(work, ValueError())
    run.wait()
    assert run.next().records[0].new_image == {"pk": "canary"}


def test_a_record_that_cannot_be_decoded_is_alone() -> None:
    """Its key is not known: it fails like any other, by its number, and holds up nobody else."""
    broken = Record.from_dynamodb_json(
        {"eventName": "INSERT", "dynamodb": {"SequenceNumber": "7", "Keys": {"pk": 1}}}
    )
    run = Run(slots=2)
    run.pipeline.add([broken])
    run.add(8)
    works = run.all_next()
    run.fail(works[0], ValueError())
    run.handle(works[1])
    assert (run.log, run.settled()) == ([[7], [8]], None)


def test_records_that_were_settled_early_are_not_kept_decoded() -> None:
    """Far ahead of a record that fails there may be thousands."""
    run = Run(slots=2).add(1, 2)
    _, second = run.all_next()
    image = second.records[0].new_image
    run.handle(second)
    assert second.records[0].new_image is not image


# --- At once ---


def test_so_many_at_once() -> None:
    """No more than there are slots, and each as soon as one is free."""
    run = Run(slots=2).add(1, 2, 3, 4)
    first, second = run.all_next()
    assert run.pipeline.due_in_seconds() is None
    run.handle(second)
    assert run.settled() is None
    (third,) = run.all_next()
    run.handle(first)
    assert run.settled() == "2"
    run.handle(third)
    run.handle_all()
    assert (run.log, run.settled()) == ([[1], [2], [3], [4]], "4")


def test_never_two_of_one_key() -> None:
    """The second waits for the first, whoever else is free."""
    run = Run(slots=4).add(1, 2, key="a").add(3, key="b")
    works = run.all_next()
    assert run.log == [[1], [3]]
    run.handle(works[0])
    run.all_next()
    assert run.log == [[1], [3], [2]]


def test_a_failing_key_frees_its_slot_and_keeps_its_place() -> None:
    """Other keys run during the pause; its own next record waits for it."""
    run = Run(slots=2).add(1, 2, key="bad").add(3, 4, 5)
    bad, good = run.all_next()
    run.fail(bad, ValueError())
    run.handle(good)
    for work in run.all_next():
        run.handle(work)
    assert run.log == [[1], [3], [4], [5]]
    assert run.wait() == pytest.approx(0.1)
    run.handle_all()
    assert run.log[4:] == [[1], [2]]


def test_what_is_tried_again_comes_before_what_is_new() -> None:
    """A pause that is over is not made longer by those that arrive."""
    run = Run(slots=2).add(1, 2)
    first, _ = run.all_next()
    run.fail(first, ValueError())
    run.now += 0.1
    run.add(3)
    assert _numbers(run.next().records) == [1]


def test_a_batch_is_in_the_shards_order() -> None:
    """Taken key after key, and put in order."""
    run = Run(batching=Batching(4), slots=2).add(1, key="a").add(2, key="b").add(3, key="a").add(4, key="b")
    run.pipeline.in_flight = 1  # so that one gets all
    assert _numbers(run.next().records) == [1, 2, 3, 4]


def test_without_a_window_records_are_shared_out() -> None:
    """So that all slots have something to do; the last takes the rest."""
    run = Run(batching=Batching(100), slots=3).add(*range(1, 8))
    assert [len(work.records) for work in run.all_next()] == [3, 2, 2]


def test_a_part_of_a_batch_holds_only_its_own_keys() -> None:
    """What was handled frees its key, although the batch is not over."""
    run = Run(batching=Batching(2), slots=2).add(1, key="a").add(2, key="b")
    run.pipeline.in_flight = 1
    work = run.next()
    run.pipeline.in_flight = 1
    run.fail(work, BatchItemFailures(["2"]))
    run.pipeline.in_flight = 0
    run.add(3, key="a").add(4, key="b")
    assert _numbers(run.next().records) == [3]
    assert run.pipeline.next() is None


# --- Batches and windows ---


def test_a_window_waits_for_more() -> None:
    """Until its time is over, counted from its first record; and then takes what there is."""
    run = Run(batching=Batching(3, window_seconds=5)).add(1)
    assert run.pipeline.next() is None
    assert run.pipeline.due_in_seconds() == 5
    run.now += 4
    run.add(2)
    assert run.pipeline.due_in_seconds() == 1
    run.now += 1
    assert _numbers(run.next().records) == [1, 2]


def test_a_window_closes_when_its_batch_is_full() -> None:
    """Whatever came in whichever message; the next one waits anew."""
    run = Run(batching=Batching(2, window_seconds=5)).add(1).add(2, 3)
    run.handle(run.next())
    assert (run.log, run.pipeline.next()) == ([[1, 2]], None)
    assert run.pipeline.due_in_seconds() == 5


def test_a_full_batch_is_due_at_once() -> None:
    """Also when another one was just handled: whoever asks how long to wait is not told of the window."""
    run = Run(batching=Batching(2, window_seconds=300)).add(1, 2, 3, 4, 5)
    run.handle(run.next())
    assert run.pipeline.due_in_seconds() == 0
    run.handle(run.next())
    assert run.pipeline.due_in_seconds() == 300


def test_a_window_closes_when_the_daemon_sends_no_more() -> None:
    """Half of what it keeps unacknowledged is as good as a full batch."""
    run = Run(batching=Batching(100, window_seconds=300, full_bytes=100))
    run.pipeline.add([_record(number, size_bytes=33) for number in (1, 2, 3)])
    assert run.pipeline.next() is None
    run.pipeline.add([_record(4, size_bytes=1)])
    run.handle(run.next())
    assert run.log == [[1, 2, 3, 4]]
    run.pipeline.add([_record(5, size_bytes=99)])
    assert run.pipeline.next() is None


def test_a_failed_batch_waits_for_its_pause_and_no_window() -> None:
    """It is not filled up with what came later."""
    run = Run(batching=Batching(3, window_seconds=5)).add(1)
    run.wait()
    run.fail(run.next(), ValueError())
    run.add(2, 3, 4)
    assert run.wait() == pytest.approx(0.1)
    assert _numbers(run.next().records) == [1]


# --- Some of a batch ---


def test_only_what_failed_is_handed_out_again() -> None:
    """The others are handled; nothing is acknowledged past the one that failed."""
    run = Run(batching=Batching(4), slots=2).add(1, 2, 3, 4)
    run.pipeline.in_flight = 1
    work = run.next()
    run.pipeline.in_flight = 1
    run.fail(work, BatchItemFailures(["2"]))
    assert run.settled() == "1"
    run.pipeline.in_flight = 0
    run.wait()
    run.handle(run.next())
    assert (run.log, run.settled()) == ([[1, 2, 3, 4], [2]], "4")


def test_what_is_behind_it_of_the_same_key_is_too() -> None:
    """No record overtakes another of its item."""
    run = Run(batching=Batching(4)).add(1, key="a").add(2, key="b").add(3, key="a").add(4, key="b")
    run.fail(run.next(), BatchItemFailures(["1"]))
    run.handle_all()
    assert run.log == [[1, 2, 3, 4], [1, 3]]


@pytest.mark.parametrize("poison", range(1, 8))
def test_bisecting_finds_the_poison(poison: int) -> None:
    """In halves, without a pause and without counting attempts, until it is alone; then it is given up."""
    policy = Policy(BACKOFF, maximum_retry_attempts=0, bisect_batch=True, can_park=True)
    run = Run(policy, Batching(7)).add(*range(1, 8))
    parked = []
    while not run.pipeline.is_empty:
        work = run.next()
        if work.condition:
            parked += _numbers(work.records)
            run.handle(work)
        elif poison in _numbers(work.records):
            run.fail(work, ValueError())
        else:
            run.handle(work)
    assert parked == [poison]
    assert run.now == 1000.0
    assert len([handed for handed in run.log if poison in handed]) <= 1 + 3 + 1


@pytest.mark.parametrize("kind", [SkipRecordError, ParkRecordError])
def test_a_batch_that_does_not_say_which_is_handed_out_one_by_one(kind: type[Exception]) -> None:
    """To skip or park all of them would be too many."""
    run = Run(PARKING, Batching(3)).add(1, 2, 3)
    run.fail(run.next(), kind("one of them"))
    assert run.settled() is None
    run.handle_all()
    assert run.log == [[1, 2, 3], [1], [2], [3]]


def test_skipped() -> None:
    """It counts as handled."""
    run = Run().add(1, 2)
    run.fail(run.next(), SkipRecordError("a test order"))
    assert run.settled() == "1"
    assert _numbers(run.next().records) == [2]


# --- Given up ---


def test_given_up_is_parked_and_only_then_settled() -> None:
    """After so many retries; what comes behind it waits for that."""
    run = Run(PARKING).add(1, 2)
    run.fail(run.next(), ValueError())
    run.wait()
    run.fail(run.next(), ValueError("the last"))
    parking = run.next()
    assert (parking.condition, run.settled()) == ("RetryAttemptsExhausted", None)
    assert str(parking.portion.entries[0].error) == "the last"
    assert parking.portion.entries[0].attempts == 2
    run.handle(parking)
    assert run.settled() == "1"
    assert run.next().condition is None
    assert run.log == [[1], [1], [1], [2]]


def test_parking_makes_no_pause_first() -> None:
    """What is given up need not wait for another attempt that never comes."""
    run = Run(Policy(BACKOFF, maximum_retry_attempts=0, can_park=True)).add(1)
    run.fail(run.next(), ValueError())
    assert run.next().condition == "RetryAttemptsExhausted"
    assert run.now == 1000.0


def test_a_destination_that_is_down_blocks_its_key_only() -> None:
    """It is asked again and again, with growing pauses; nothing is acknowledged past the record."""
    run = Run(Policy(BACKOFF, maximum_retry_attempts=0, can_park=True), slots=2).add(1, 2, key="bad")
    run.fail(run.next(), ValueError())
    pauses = []
    for number in range(3, 6):
        parking = run.next()
        assert parking.condition
        run.fail(parking, OSError("down"))
        run.add(number)
        run.handle(run.next())
        pauses.append(round(run.wait(), 3))
    assert pauses == [0.1, 0.2, 0.4]
    assert run.settled() is None
    assert [2] not in run.log
    run.handle_all()
    assert run.settled() == "5"


def test_too_old_is_given_up_without_a_call() -> None:
    """On the wall clock, by the record's own time."""
    run = Run(Policy(BACKOFF, maximum_record_age_seconds=60, can_park=True)).add(1, 2)
    run.wall += 60
    assert run.next().condition is None
    run = Run(Policy(BACKOFF, maximum_record_age_seconds=60, can_park=True)).add(1, 2)
    run.wall += 60.1
    work = run.next()
    assert (work.condition, work.portion.entries[0].error) == ("RecordAgeExceeded", None)


def test_of_a_batch_each_given_up_is_parked_alone() -> None:
    """And the others are handed out together."""
    run = Run(PARKING, Batching(4)).add(1, 2, 3, 4)
    run.fail(run.next(), BatchItemFailures({"2": ParkRecordError("bad"), "3": None}))
    assert run.settled() == "1"
    works = []
    while work := run.next_in_time():
        works.append((_numbers(work.records), work.condition))
        run.handle(work)
    assert works == [([2], "ParkRequested"), ([3], None)]


def test_a_record_behind_a_parked_one_is_not_handed_out_again() -> None:
    """The parked one never comes again, so that nothing overtook it."""
    run = Run(PARKING, Batching(2)).add(1, 2, key="a")
    run.fail(run.next(), BatchItemFailures({"1": ParkRecordError("bad")}))
    run.handle_all()
    assert run.log == [[1, 2], [1]]


def test_a_record_is_not_parked_ahead_of_those_before_it() -> None:
    """It is not given up before they are handled, or given up themselves."""
    policy = Policy(BACKOFF, maximum_retry_attempts=0, can_park=True)
    run = Run(policy, Batching(4)).add(1, 2, 3, 4, key="a")
    run.fail(run.next(), BatchItemFailures(["1", "3"]))
    works = []
    while work := run.next_in_time():
        works.append((_numbers(work.records), bool(work.condition)))
        run.handle(work)
    assert works == [([1], True), ([2], False), ([3], True), ([4], False)]


def test_without_a_destination_nothing_is_given_up() -> None:
    """ParkRecordError is then one more failure: nothing is lost quietly."""
    run = Run(Policy(BACKOFF)).add(1, 2)
    for _ in range(50):
        run.fail(run.next(), ParkRecordError("bad"))
        assert run.wait() > 0
    assert run.settled() is None
    assert {*map(tuple, run.log)} == {(1,)}


# --- Fatal ---


def test_fatal_stops_the_shard() -> None:
    """Nothing more is run; what runs is waited for and counts."""
    run = Run(slots=3).add(1, 2, 3, 4)
    first, second, third = run.all_next()
    error = FatalError("the table is gone")
    run.fail(second, error)
    assert run.pipeline.fatal is error
    run.handle(first)
    run.handle(third)
    assert (run.pipeline.next(), run.pipeline.due_in_seconds()) == (None, None)
    assert (run.settled(), run.pipeline.in_flight, run.pipeline.is_empty) == ("1", 0, False)


def test_fatal_by_one_of_a_batch() -> None:
    """What is handled before it is settled all the same; the first fatal error is the reason."""
    run = Run(batching=Batching(3)).add(1, 2, 3)
    first = FatalError("first")
    run.fail(run.next(), BatchItemFailures({"2": first, "3": FatalError("second")}))
    assert (run.pipeline.fatal, run.settled()) == (first, "1")


# --- One by one, after processes died ---


def test_careful_up_to_a_record() -> None:
    """Each alone, in the shard's order, whatever the slots and the batch size; then as ever."""
    run = Run(batching=Batching(2, window_seconds=5), slots=2)
    run.pipeline.be_careful("3", 0)
    run.add(1, 2, 3, 4, 5)
    for number in (1, 2, 3):
        assert run.is_careful()
        work = run.next()
        assert (_numbers(work.records), run.pipeline.next()) == ([number], None)
        run.handle(work)
    assert not run.is_careful()
    run.handle_all()
    assert run.log == [[1], [2], [3], [4, 5]]


def test_careful_waits_for_a_record_that_fails() -> None:
    """None is handed out before the one before it is settled."""
    run = Run(slots=4)
    run.pipeline.be_careful("2", 0)
    run.add(1, 2, 3)
    run.fail(run.next(), ValueError())
    assert run.pipeline.next() is None
    run.handle_all()
    assert run.log == [[1], [1], [2], [3]]


def test_careful_when_its_last_record_never_comes() -> None:
    """The first one behind it ends that, as soon as those before it are settled: no shard waits for ever."""
    run = Run(slots=2)
    run.pipeline.be_careful("30", 0)
    run.add(10, 20)
    run.handle(run.next())
    run.add(40)
    assert run.is_careful()
    run.handle(run.next())
    assert not run.is_careful()
    run.handle_all()
    run.pipeline.be_careful("60", 0)
    run.add(70)
    assert not run.is_careful()
    run.handle_all()
    assert run.log == [[10], [20], [40], [70]]


def test_a_record_that_ended_its_processes_is_given_up() -> None:
    """Each process that died of it counts as an attempt; it is not tried again, and the reason is said."""
    run = Run(PARKING)
    run.pipeline.be_careful("2", 2)
    run.add(1, 2)
    parking = run.next()
    assert parking.condition == "RetryAttemptsExhausted"
    assert parking.portion.entries[0].attempts == 2
    assert str(parking.portion.entries[0].error) == "it ended its process 2 times, the last without a word"
    run.handle(parking)
    assert run.next().condition is None


def test_a_record_that_ended_its_processes_seldom_is_tried() -> None:
    """Its attempts go on from there."""
    run = Run(PARKING)
    run.pipeline.be_careful("1", 1)
    run.add(1)
    run.fail(run.next(), ValueError())
    assert run.next().condition == "RetryAttemptsExhausted"


# --- The idempotency store ---


def test_what_another_call_is_at_waits_and_is_no_attempt() -> None:
    """Only that record is handed out again; it is not given up, however often."""
    run = Run(PARKING, Batching(3)).add(1, 2, 3)
    work = run.next()
    for _ in range(10):
        run.pipeline.finished(
            work, Outcome(None, frozenset(), {"2": InProgressError("another one is at it")})
        )
        assert run.settled() == "1"
        run.wait()
        work = run.next()
        assert work.condition is None
    run.handle(work)
    assert run.log == [[1, 2, 3], *[[2]] * 10]
    assert run.settled() == "3"


def test_what_is_held_keeps_its_place_among_what_failed() -> None:
    """Both come again together, in the shard's order."""
    run = Run(batching=Batching(3)).add(1, 2, 3)
    held = {"1": InProgressError("another one is at it")}
    run.pipeline.finished(run.next(), Outcome(BatchItemFailures(["3"]), frozenset(), held))
    run.handle_all()
    assert run.log == [[1, 2, 3], [1, 3]]


# --- Laws ---


@given(
    st.lists(st.sampled_from("abc"), min_size=1, max_size=12),
    st.integers(1, 4),
    st.integers(1, 4),
    st.randoms(use_true_random=False),
)
def test_each_keys_records_are_handled_in_order(keys: list[str], slots: int, size: int, random: Any) -> None:
    """Whatever finishes when, and fails how often."""
    run = Run(batching=Batching(size), slots=slots)
    run.pipeline.add([_record(number, key) for number, key in enumerate(keys, 1)])
    in_flight: list[Work] = []
    handled: list[int] = []
    failures = 20
    while not run.pipeline.is_empty:
        in_flight += run.all_next()
        if not in_flight:
            run.wait()
            continue
        work = in_flight.pop(random.randrange(len(in_flight)))
        failures -= 1
        if failures > 0 and random.random() < 0.5:
            run.fail(work, ValueError())
        else:
            handled += _numbers(work.records)
            run.handle(work)
    assert sorted(handled) == [*range(1, len(keys) + 1)]
    for key in "abc":
        of_key = [number for number in handled if keys[number - 1] == key]
        assert of_key == sorted(of_key)


# --- Log lines ---


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Callable[[], list[tuple[str, str, bool]]]:
    """What was logged: the level, the line, and whether with a traceback."""
    caplog.set_level(logging.DEBUG)
    return lambda: [(each.levelname, each.getMessage(), bool(each.exc_info)) for each in caplog.records]


Lines = Callable[[], Sequence[tuple[str, str, bool]]]


def test_the_log_names_the_record_and_nothing_of_it(lines: Lines, caplog: pytest.LogCaptureFixture) -> None:
    """One line for each attempt, a traceback with the first, and one line when it is over."""
    _fail_until(Run().add(1), {1: 2})
    no = "shardId-1: record 1: ValueError: no 1, not now;"
    assert lines() == [
        ("ERROR", f"{no} attempt 1 failed, next one in 0.1 s", True),
        ("ERROR", f"{no} attempt 2 failed, next one in 0.2 s", False),
        ("DEBUG", "shardId-1: record 1: attempt 2", True),
        ("INFO", "shardId-1: record 1: handled at attempt 3", False),
    ]
    assert "canary" not in caplog.text


def test_the_log_names_the_ends_of_a_batch(lines: Lines) -> None:
    """Of a batch, it is not known which record failed."""
    _fail_until(Run(batching=Batching(3)).add(1, 2, 3), {1: 1})
    assert [line for _, line, _ in lines()] == [
        "shardId-1: records 1 to 3: ValueError: no 1, not now; attempt 1 failed, next one in 0.1 s",
        "shardId-1: records 1 to 3: handled at attempt 2",
    ]


def test_the_log_names_what_failed_of_a_batch(lines: Lines) -> None:
    """The one record, and its own reason."""
    run = Run(batching=Batching(3)).add(1, 2, 3)
    run.fail(run.next(), BatchItemFailures({"2": KeyError("total")}))
    assert lines() == [
        ("ERROR", "shardId-1: record 2: KeyError: 'total'; attempt 1 failed, next one in 0.1 s", True)
    ]


def test_the_log_of_a_batch_that_is_split(lines: Lines) -> None:
    """There is no pause, and no attempt is over."""
    run = Run(Policy(BACKOFF, bisect_batch=True), Batching(3)).add(1, 2, 3)
    run.fail(run.next(), ValueError("no"))
    assert lines() == [
        ("ERROR", "shardId-1: records 1 to 3: ValueError: no; handed out again in 2 parts", True)
    ]


def test_the_log_of_a_record_that_is_skipped(lines: Lines) -> None:
    """The user's rule is named."""
    run = Run().add(1)
    run.fail(run.next(), SkipRecordError("a test order"))
    (line,) = lines()
    assert line == (
        "WARNING",
        "shardId-1: record 1: skipped: record_processor.errors.SkipRecordError: a test order",
        False,
    )


def test_the_log_of_a_record_that_is_parked(lines: Lines) -> None:
    """The last failure, a destination that is down, and in the end where it went and why."""
    run = Run(Policy(BACKOFF, maximum_retry_attempts=0, can_park=True)).add(1)
    run.fail(run.next(), ValueError("no"))
    for _ in range(2):
        run.fail(run.next(), OSError("down"))
        run.wait()
    run.handle(run.next())
    down = "shardId-1: record 1: onFailureDestination did not take it: OSError: down; next attempt in"
    assert lines() == [
        ("ERROR", "shardId-1: record 1: ValueError: no; attempt 1 failed, and it was the last", True),
        ("ERROR", f"{down} 0.1 s", True),
        ("ERROR", f"{down} 0.2 s", False),
        (
            "WARNING",
            "shardId-1: record 1: given up after 1 attempts, RetryAttemptsExhausted: ValueError: no",
            False,
        ),
    ]


def test_the_log_of_a_record_that_was_never_tried(lines: Lines) -> None:
    """It was too old when it came."""
    run = Run(Policy(BACKOFF, maximum_record_age_seconds=60, can_park=True)).add(1)
    run.wall += 61
    run.handle(run.next())
    assert lines() == [
        (
            "WARNING",
            "shardId-1: record 1: given up after 0 attempts, RecordAgeExceeded: never tried",
            False,
        )
    ]


def test_the_log_of_a_record_that_another_call_is_at(lines: Lines) -> None:
    """It is no attempt."""
    run = Run().add(1)
    run.pipeline.finished(run.next(), Outcome(None, frozenset(), {"1": InProgressError("host-2 is at it")}))
    ((level, line, _),) = lines()
    assert level == "ERROR"
    assert line == (
        "shardId-1: record 1: record_processor.errors.InProgressError: host-2 is at it; no attempt, "
        "next one in 0.1 s"
    )


def test_a_hostile_exception_is_logged_all_the_same(lines: Lines) -> None:
    """An exception whose str() raises, or whose message is a book, is one line of bounded length."""

    class HostileError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    run = Run().add(1)
    for error in (HostileError(), ValueError("x" * 10_000)):
        run.fail(run.next(), error)
        run.wait()
    assert [len(line) < 700 and "\n" not in line for _, line, _ in lines()] == [True] * 3
