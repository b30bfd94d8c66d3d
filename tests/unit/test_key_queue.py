"""Records that wait: in order for each key, and none of a key that is held."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from record_processor import Record
from record_processor.pipeline.entry import Entry, item_key
from record_processor.pipeline.key_queue import KeyQueue


def _entry(number: int, key: str | None = None) -> Entry:
    record = Record.from_dynamodb_json({"dynamodb": {"SequenceNumber": str(number)}}, "shardId-1")
    return Entry(record, key, arrived_at=float(number))


def _numbers(entries: list[Entry]) -> list[int]:
    return [int(entry.record.sequence_number) for entry in entries]


def test_empty() -> None:
    """There is nothing to take."""
    queue = KeyQueue()
    assert (len(queue), queue.first, queue.take(10)) == (0, None, [])


def test_one_key_is_one_queue() -> None:
    """As for a shard without parallelism; while it is held nothing can be taken, but it still waits."""
    queue = KeyQueue()
    for number in (1, 2, 3):
        queue.add(_entry(number))
    assert _numbers(queue.take(2)) == [1, 2]
    assert (len(queue), queue.first, queue.take(1)) == (1, None, [])
    queue.release([None])
    assert _numbers(queue.take(2)) == [3]


def test_a_record_of_a_held_key_waits() -> None:
    """Also one that comes while it is held; and it comes back behind those that waited longer."""
    queue = KeyQueue()
    queue.add(_entry(1, "a"))
    assert _numbers(queue.take(1)) == [1]
    queue.add(_entry(2, "a"))
    queue.add(_entry(3, "b"))
    assert queue.first is not None
    assert queue.first.record.sequence_number == "3"
    queue.release(["a"])
    assert _numbers(queue.take(2)) == [3, 2]


def test_a_key_is_taken_whole_before_the_next() -> None:
    """So that a batch holds few keys."""
    queue = KeyQueue()
    for number, key in enumerate("abab", 1):
        queue.add(_entry(number, key))
    assert _numbers(queue.take(3)) == [1, 3, 2]


def test_what_is_over_is_forgotten() -> None:
    """There are as many keys as there are items: none is kept once it is free and has no records."""
    queue = KeyQueue()
    for number in range(1000):
        queue.add(_entry(number, f"key-{number}"))
        queue.take(1)
        queue.release([f"key-{number}"])
    assert queue._queues == {}
    assert not queue._free
    assert queue._held == set()


def test_releasing_what_is_not_held_is_a_mistake() -> None:
    """It would let two of one key run at once."""
    queue = KeyQueue()
    queue.add(_entry(1, "a"))
    with pytest.raises(KeyError):
        queue.release(["a"])


def test_a_records_key_is_its_items() -> None:
    """The order of its attributes does not count, their types do; a record without a readable one is alone."""

    def key(keys: object, number: int = 1) -> object:
        return item_key(
            Record.from_dynamodb_json({"dynamodb": {"SequenceNumber": str(number), "Keys": keys}})
        )

    both = {"pk": {"S": "a"}, "sk": {"N": "1"}}
    assert key(both) == key(dict(reversed(both.items())), 2)
    assert key(both) != key({"pk": {"S": "a"}, "sk": {"S": "1"}})
    assert key({"pk": {"B": "AA=="}}) == key({"pk": {"B": "AA=="}}, 2)
    assert key({"pk": {"S": "a"}}) != key({"pk": {"S": "b"}})
    assert key({"pk": 1}, 7) == "7"


class KeyQueueMachine(RuleBasedStateMachine):
    """Against a list."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = KeyQueue()
        self.waiting: dict[str, list[int]] = defaultdict(list)
        self.held: set[str] = set()
        self.count = 0

    @rule(key=st.sampled_from("abcd"))
    def one_is_added(self, key: str) -> None:
        """A record arrives."""
        self.count += 1
        self.waiting[key].append(self.count)
        self.queue.add(_entry(self.count, key))

    @rule(count=st.integers(1, 5))
    def some_are_taken(self, count: int) -> None:
        """As many as there are, each key's from its beginning, and none of a key that is held."""
        available = sum(len(waiting) for key, waiting in self.waiting.items() if key not in self.held)
        taken = self.queue.take(count)
        assert len(taken) == min(count, available)
        for entry in taken:
            assert entry.key not in self.held
            assert self.waiting[str(entry.key)].pop(0) == int(entry.record.sequence_number)
        self.held |= {str(entry.key) for entry in taken}

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def one_is_released(self, data: st.DataObject) -> None:
        """Its records can be taken again."""
        key = data.draw(st.sampled_from(sorted(self.held)))
        self.held.remove(key)
        self.queue.release([key])

    @invariant()
    def counts(self) -> None:
        """All that wait are counted, and the first is there if one can be taken."""
        assert len(self.queue) == sum(map(len, self.waiting.values()))
        can_be_taken = any(waiting for key, waiting in self.waiting.items() if key not in self.held)
        assert (self.queue.first is not None) == can_be_taken


TestKeyQueueMachine = KeyQueueMachine.TestCase
TestKeyQueueMachine.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
