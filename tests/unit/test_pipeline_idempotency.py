"""What is kept from the handler because it was handled before, or another call is at it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from record_processor import (
    BatchItemFailures,
    FencedError,
    InProgressError,
    ParkRecordError,
    Record,
    RetryableError,
    SkipRecordError,
)
from record_processor.pipeline.idempotency import Idempotency
from record_processor.pipeline.outcome import HANDLED
from record_processor.pipeline.pipeline import Batching, Pipeline
from record_processor.pipeline.policy import Policy
from record_processor.pipeline.retry import Backoff
from record_processor.stores import Begun, Claim
from record_processor.stores.memory import MemoryStore
from record_processor.stores.row import Row


def _record(number: int, key: str = "") -> Record:
    keys = {"pk": {"S": key or f"item-{number}"}}
    return Record.from_dynamodb_json({"dynamodb": {"SequenceNumber": str(number), "Keys": keys}}, "shardId-1")


def _numbers(records: Sequence[Record]) -> list[str]:
    return [record.sequence_number for record in records]


class Flaky(MemoryStore):
    """A store that does not answer while it is down."""

    is_down = False

    def swap(self, key: str, expected: Row | None, new: Row | None) -> Row | None:
        if self.is_down:
            raise OSError("no route to host")
        return super().swap(key, expected, new)


@pytest.fixture
def store() -> Flaky:
    """A store of each test's own."""
    return Flaky()


def _of(
    store: MemoryStore, host: str = "host-1", process: str = "", *, can_park: bool = False
) -> Idempotency:
    return Idempotency(
        store,
        lambda record: record.sequence_number,
        can_park=can_park,
        claim=partial(Claim, f"{host}/shardId-1", process or host),
    )


def _is_done(store: MemoryStore, number: int) -> bool:
    """Whether a repeat would be recognized, by whoever asks."""
    claim = Claim("elsewhere/shardId-2", "elsewhere")
    try:
        if store.begin(str(number), claim) is Begun.DONE:
            return True
    except InProgressError:
        return False
    store.release(str(number), claim)
    return False


def test_handled_once(store: Flaky) -> None:
    """The second time it is done, also for another owner of the shard."""
    records = [_record(1), _record(2)]
    claimed = _of(store).begin(records)
    assert (claimed.records, claimed.done, claimed.held) == (records, set(), {})
    assert _of(store).end(claimed, None) is HANDLED
    again = _of(store, "host-2").begin([*records, _record(3)])
    assert (_numbers(again.records), again.done, again.held) == (["3"], {"1", "2"}, {})


def test_what_raised_is_given_back(store: Flaky) -> None:
    """It is handed out again, and is not done."""
    idempotency, error = _of(store), ValueError()
    outcome = idempotency.end(idempotency.begin([_record(1), _record(2)]), error)
    assert (outcome.error, outcome.done, outcome.held) == (error, frozenset(), {})
    assert not _is_done(store, 1)
    assert _numbers(idempotency.begin([_record(1), _record(2)]).records) == ["1", "2"]


def test_of_a_batch_what_was_handled_is_noted(store: Flaky) -> None:
    """What failed is not, nor what is behind it of the same key: that comes again, too."""
    idempotency = _of(store)
    records = [_record(n, key) for n, key in enumerate("abab", 1)]
    idempotency.end(idempotency.begin(records), BatchItemFailures(["2"]))
    assert [_is_done(store, number) for number in (1, 2, 3, 4)] == [True, False, True, False]


@pytest.mark.parametrize(
    ("error", "can_park", "is_done"),
    [
        (SkipRecordError(), False, True),
        (ParkRecordError(), True, True),
        (ParkRecordError(), False, False),
        (ValueError(), True, False),
    ],
)
def test_behind_one_that_never_comes_again(
    error: Exception, can_park: bool, is_done: bool, store: Flaky
) -> None:
    """What is behind it of the same key was handled, and must not be handled twice after a crash."""
    idempotency = _of(store, can_park=can_park)
    records = [_record(1, "a"), _record(2, "a")]
    idempotency.end(idempotency.begin(records), BatchItemFailures({"1": error}))
    assert not _is_done(store, 1)
    assert _is_done(store, 2) == is_done


def test_what_another_worker_is_handling_is_held(store: Flaky) -> None:
    """And so is what is behind it of the same key; the rest is handled."""
    _of(store, "host-2").begin([_record(2, "b")])
    claimed = _of(store, "host-1").begin([_record(n, key) for n, key in enumerate("abab", 1)])
    assert _numbers(claimed.records) == ["1", "3"]
    assert claimed.held.keys() == {"2", "4"}
    assert all(isinstance(error, InProgressError) for error in claimed.held.values())
    assert "it waits for the record before it, of the same key" in str(claimed.held["4"])
    outcome = _of(store, "host-1").end(claimed, None)
    assert (outcome.error, outcome.held) == (None, claimed.held)


def test_a_dead_process_of_the_same_worker_is_taken_over(store: Flaky) -> None:
    """At once: there are never two of a shard on one host."""
    _of(store, "host-1", "dead").begin([_record(1)])
    assert _numbers(_of(store, "host-1", "new").begin([_record(1)]).records) == ["1"]


def test_a_record_without_a_key_has_failed(store: Flaky) -> None:
    """By its own fault: that counts as an attempt, so it is no InProgressError."""

    def key_of(record: Record) -> str:
        if record.sequence_number == "1":
            raise RetryableError("its item has none of idempotencyKey = orderId")
        return record.sequence_number

    idempotency = Idempotency(store, key_of)
    claimed = idempotency.begin([_record(1), _record(2)])
    assert _numbers(claimed.records) == ["2"]
    assert type(claimed.held["1"]) is RetryableError


def test_a_store_that_is_down_holds_all(store: Flaky) -> None:
    """The handler is not called, and no record is at fault."""
    store.is_down = True
    claimed = _of(store).begin([_record(1)])
    assert claimed.records == []
    assert type(claimed.held["1"]) is InProgressError
    assert str(claimed.held["1"]) == "the idempotency store does not answer: OSError: no route to host"
    store.is_down = False
    assert _numbers(_of(store).begin([_record(1)]).records) == ["1"]


def test_what_was_handled_and_could_not_be_noted_is_not_handled_again(store: Flaky) -> None:
    """It is held, and noted when it is begun again."""
    idempotency = _of(store)
    claimed = idempotency.begin([_record(1)])
    store.is_down = True
    outcome = idempotency.end(claimed, None)
    assert outcome.error is None
    assert type(outcome.held["1"]) is InProgressError
    again = idempotency.begin([_record(1)])
    assert again.held.keys() == {"1"}
    store.is_down = False
    assert (idempotency.begin([_record(1)]).done, _is_done(store, 1)) == ({"1"}, True)


def test_what_could_not_be_given_back_is_begun_again(store: Flaky) -> None:
    """By this process; its error is the handler's."""
    idempotency, error = _of(store), ValueError()
    claimed = idempotency.begin([_record(1)])
    store.is_down = True
    assert idempotency.end(claimed, error).error is error
    store.is_down = False
    assert _numbers(idempotency.begin([_record(1)]).records) == ["1"]


def test_an_owner_whose_lock_has_expired_is_told() -> None:
    """Another one has it now: this one has not handled it, as far as anybody counts."""
    now = 1000.0
    store = MemoryStore(lock_seconds=10, now=lambda: now)
    slow = _of(store, "host-1")
    claimed = slow.begin([_record(1)])
    now += 11
    other = _of(store, "host-2")
    assert _numbers(other.begin([_record(1)]).records) == ["1"]
    outcome = slow.end(claimed, None)
    assert isinstance(outcome.held["1"], FencedError)


def test_two_records_of_one_idempotency_key(store: Flaky) -> None:
    """The second waits for the first, and is then a repeat."""
    idempotency = Idempotency(store, lambda _: "order-7")
    records = [_record(1), _record(2)]
    claimed = idempotency.begin(records)
    assert (_numbers(claimed.records), {*claimed.held}) == (["1"], {"2"})
    idempotency.end(claimed, None)
    assert idempotency.begin(records[1:]).done == {"2"}


@given(st.text("abc", min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_each_record_is_handled_once(keys: str, random: st.random.Random) -> None:  # type: ignore[name-defined]
    """Whatever fails: the handler has handled each one, once, and in its key's order."""
    store = Flaky()
    idempotency = _of(store)
    now = 1000.0
    pipeline = Pipeline(Policy(Backoff(0.1, 1.0)), Batching(3), clock=lambda: now)
    pipeline.add([_record(number, key) for number, key in enumerate(keys, 1)])
    handled: list[int] = []
    for step in range(1000):
        work = pipeline.next()
        if work is None:
            if pipeline.is_empty:
                break
            now += pipeline.due_in_seconds() or 0
            continue
        store.is_down = step < 20 and random.random() < 0.3
        claimed = idempotency.begin(work.records)
        failed = [r for r in claimed.records if step < 20 and random.random() < 0.3]
        behind = {key for record in failed for key in [record.keys["pk"]]}
        first = {key: min(int(r.sequence_number) for r in failed if r.keys["pk"] == key) for key in behind}
        handled += [
            int(record.sequence_number)
            for record in claimed.records
            if int(record.sequence_number) < first.get(record.keys["pk"], 10**9)
        ]
        store.is_down = step < 20 and random.random() < 0.3
        error = BatchItemFailures(failed) if failed else None
        pipeline.finished(work, idempotency.end(claimed, error))
    assert sorted(handled) == [*range(1, len(keys) + 1)]
    for key in {*keys}:
        of_key = [number for number in handled if keys[number - 1] == key]
        assert of_key == sorted(of_key)
