"""A batch on its way: order, retries, their pauses and their log lines."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from record_processor import Record, RecordProcessor
from record_processor.pipeline.deliver import Delivery
from record_processor.pipeline.retry import Backoff, call_until_it_returns


def _records(count: int) -> list[Record]:
    return [
        Record.from_dynamodb_json(
            {
                "eventName": "INSERT",
                "dynamodb": {"SequenceNumber": str(n), "NewImage": {"pk": {"S": "canary"}}},
            },
            "shardId-1",
        )
        for n in range(1, count + 1)
    ]


@dataclass
class Progress:
    """Notes what it hears."""

    heard: list[str] = field(default_factory=list)
    done_by_hand: int = 0

    def handing_out(self, records: Sequence[Record]) -> None:
        self.heard.append(f"out {records[0].sequence_number}-{records[-1].sequence_number}")

    def handled(self, record: Record) -> None:
        self.heard.append(f"handled {record.sequence_number}")

    def failed(self, attempt: int) -> None:
        self.heard.append(f"failed {attempt}")

    def is_done(self, record: Record) -> bool:
        return int(record.sequence_number) <= self.done_by_hand


class OneByOne(RecordProcessor):
    """Fails as often as it is told, for each sequence number."""

    def __init__(self, failures: dict[int, int] | None = None) -> None:
        self.failures = dict(failures or {})
        self.seen: list[int] = []

    def process_record(self, record: Record) -> None:
        number = int(record.sequence_number)
        self.seen.append(number)
        if self.failures.get(number, 0) > 0:
            self.failures[number] -= 1
            raise ValueError(f"no {number},\nnot now")


class Batches(OneByOne):
    """The same, all at once."""

    def process_batch(self, records: Sequence[Record]) -> None:
        super().process_batch(records)


def _deliver(
    processor: RecordProcessor, count: int, wait: Callable[[float], bool] = lambda _: False
) -> tuple[bool, list[str]]:
    progress = Progress()
    backoff = Backoff(0.1, 1.0, uniform=lambda _, most: most)
    is_finished = Delivery(processor, progress, backoff, wait).deliver(_records(count))
    return is_finished, progress.heard


def test_one_by_one() -> None:
    """Records are handed out one after the other, each after the one before was handled."""
    processor = OneByOne()
    assert _deliver(processor, 2) == (True, ["out 1-1", "handled 1", "out 2-2", "handled 2"])
    assert processor.seen == [1, 2]


def test_all_at_once() -> None:
    """With process_batch overridden, a batch is handed out as it came."""
    assert _deliver(Batches(), 3) == (True, ["out 1-3", "handled 3"])


@pytest.mark.parametrize("processor", [OneByOne(), Batches()])
def test_an_empty_batch(processor: RecordProcessor) -> None:
    """There is nothing to do, and the handler does not hear of it."""
    assert _deliver(processor, 0) == (True, [])


def test_a_failing_record_is_handed_out_until_it_is_handled() -> None:
    """Those behind it wait; those before it are not repeated."""
    processor = OneByOne({2: 3})
    is_finished, heard = _deliver(processor, 3)
    assert is_finished
    assert processor.seen == [1, 2, 2, 2, 2, 3]
    assert heard[2:] == ["out 2-2", "failed 1", "failed 2", "failed 3", "handled 2", "out 3-3", "handled 3"]


def test_a_failing_batch_is_handed_out_again_as_a_whole() -> None:
    """Nobody knows which of its records were handled."""
    processor = Batches({2: 1})
    assert _deliver(processor, 3)[0]
    assert processor.seen == [1, 2, 1, 2, 3]


@pytest.mark.parametrize(("done_by_hand", "again"), [(0, [1, 2, 3]), (1, [2, 3]), (2, [3]), (3, [3])])
def test_what_was_checkpointed_by_hand_is_not_repeated(done_by_hand: int, again: list[int]) -> None:
    """But the last record is, if everything was checkpointed: an exception is never a success."""
    processor = Batches({3: 1})
    progress = Progress(done_by_hand=done_by_hand)
    Delivery(processor, progress, Backoff(0.1, 1.0), lambda _: False).deliver(_records(3))
    assert processor.seen == [1, 2, 3, *again]


def test_a_retried_record_is_as_it_came() -> None:
    """What the failed attempt did to the image is gone."""

    class Destroying(RecordProcessor):
        def __init__(self) -> None:
            self.images: list[dict[str, object]] = []

        def on_insert(self, record: Record) -> None:
            image = record.new_image or {}
            self.images.append(dict(image))
            image.clear()
            if len(self.images) == 1:
                raise ValueError

    processor = Destroying()
    _deliver(processor, 1)
    assert processor.images == [{"pk": "canary"}] * 2


def test_interrupted_before_a_record() -> None:
    """The rest of the batch is abandoned between two records."""
    calls = iter([False, True])
    assert _deliver(OneByOne(), 3, lambda _: next(calls)) == (False, ["out 1-1", "handled 1"])


def test_interrupted_in_a_pause() -> None:
    """A record that fails for ever does not hold up a drain."""
    processor = OneByOne({1: 10**9})
    assert _deliver(processor, 2, lambda seconds: seconds > 0.5) == (
        False,
        ["out 1-1", "failed 1", "failed 2", "failed 3", "failed 4"],
    )


def test_what_ends_the_process_is_not_caught() -> None:
    """sys.exit in a handler is no failure of a record."""

    class Exiting(RecordProcessor):
        def on_insert(self, record: Record) -> None:
            raise SystemExit(3)

    with pytest.raises(SystemExit):
        _deliver(Exiting(), 1)


def test_a_record_that_cannot_be_decoded_is_not_passed_over() -> None:
    """It fails like any other, by its number."""
    progress = Progress()
    broken = Record.from_dynamodb_json(
        {"eventName": "INSERT", "dynamodb": {"SequenceNumber": "7", "Keys": {"pk": 1}}}
    )
    pauses = iter([False, False, True])
    delivery = Delivery(LooksAtKeys(), progress, Backoff(0.1, 1.0), lambda _: next(pauses))
    assert not delivery.deliver([broken])
    assert progress.heard == ["out 7-7", "failed 1", "failed 2"]


class LooksAtKeys(RecordProcessor):
    """Does nothing but decode."""

    def on_insert(self, record: Record) -> None:
        _ = record.keys


def test_every_call_of_a_handler_is_asked_for_last() -> None:
    """Before the first attempt, and after the pause before each other: the lease may have ended meanwhile."""
    order: list[str] = []

    class Noting(OneByOne):
        def process_record(self, record: Record) -> None:
            order.append("call")
            super().process_record(record)

    def wait(seconds: float) -> bool:
        order.append("ask")
        return False

    assert _deliver(Noting({2: 2}), 3, wait)[0]
    assert order == ["ask", "call"] * 5


# --- Log lines ---


def test_the_log_names_the_record_and_nothing_of_it(caplog: pytest.LogCaptureFixture) -> None:
    """One line for each attempt, a traceback with the first, and one line when it is over."""
    caplog.set_level(logging.DEBUG)
    _deliver(OneByOne({1: 2}), 1)
    lines = [(record.levelname, record.getMessage(), bool(record.exc_info)) for record in caplog.records]
    assert lines == [
        (
            "ERROR",
            "shardId-1: record 1: ValueError: no 1, not now; attempt 1 failed, next one in 0.1 s",
            True,
        ),
        (
            "ERROR",
            "shardId-1: record 1: ValueError: no 1, not now; attempt 2 failed, next one in 0.2 s",
            False,
        ),
        ("DEBUG", "shardId-1: record 1: attempt 2", True),
        ("INFO", "shardId-1: record 1: handled at attempt 3", False),
    ]
    assert "canary" not in caplog.text


def test_the_log_names_the_ends_of_a_batch(caplog: pytest.LogCaptureFixture) -> None:
    """Of a batch, it is not known which record failed."""
    _deliver(Batches({1: 1}), 3)
    assert caplog.messages[0].startswith("shardId-1: records 1 to 3: ValueError: no 1, not now; attempt 1")


def test_a_hostile_exception_is_logged_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    """An exception whose str() raises, or whose message is a book, is one line of bounded length."""

    class HostileError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    errors = [HostileError(), ValueError("x" * 10_000)]

    class Raising(RecordProcessor):
        def on_insert(self, record: Record) -> None:
            if errors:
                raise errors.pop()

    assert _deliver(Raising(), 1)[0]
    assert [len(message) < 700 and "\n" not in message for message in caplog.messages] == [True, True]


# --- Pauses ---


@settings(deadline=None)
@given(st.integers(1, 10_000), st.floats(0.001, 10), st.floats(0.001, 1000), st.floats(0, 1))
def test_pauses_stay_within_their_limits(attempt: int, first: float, maximum: float, chance: float) -> None:
    """A pause is at least the first and at most the maximum, if that is not less; and it never overflows."""
    backoff = Backoff(first, maximum, uniform=lambda least, most: least + (most - least) * chance)
    assert first <= backoff.seconds(attempt) <= max(first, maximum) * (1 + 1e-9)


def test_pauses_grow_from_the_first_to_the_maximum() -> None:
    """The first is quick, each later one may be twice as long."""
    backoff = Backoff(0.1, 1.0, uniform=lambda _, most: most)
    assert [backoff.seconds(attempt) for attempt in range(1, 7)] == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]


def test_jitter_is_random_by_default() -> None:
    """Shards that failed together do not come back together."""
    backoff = Backoff(0.1, 30.0)
    assert len({backoff.seconds(8) for _ in range(20)}) > 1


def test_a_call_that_returns_is_made_once() -> None:
    """Without an exception there is no pause."""
    calls: list[int] = []
    assert call_until_it_returns(lambda: calls.append(1), lambda *_: None, Backoff(1, 1), lambda _: True)
    assert calls == [1]
