"""The simulator's model of streams, asked as over the wire, on a clock that stands until it is moved."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from record_processor.testing.aws_errors import AwsError
from record_processor.testing.request import Request
from record_processor.testing.simulator import (
    TTL_SERVICE,
    SimulatedShard,
    SimulatedStream,
    StreamSimulator,
    VirtualClock,
)
from record_processor.testing.simulator.service import StreamService

NOW: Final = 1_796_000_000.0
RECORD_BYTES: Final = 1024 * 1024


class Asked:
    """A stream, and its service, asked without a network."""

    def __init__(self, **settings: Any) -> None:
        """Make a stream with these settings."""
        self.clock = VirtualClock(lambda: NOW)
        self.service = StreamService("eu-west-1", self.clock)
        self.stream = SimulatedStream("orders", region="eu-west-1", clock=self.clock, **settings)
        self.service.add(self.stream)

    def ask(self, operation: str, **content: Any) -> dict[str, Any]:
        """Return the JSON of the answer. Raises AwsError."""
        answer = self.service.answer(Request(operation, (), "", "", content))
        assert answer is not None
        parsed: dict[str, Any] = json.loads(answer.body)
        return parsed

    def code(self, operation: str, **content: Any) -> str:
        """Return the code of the error that the call must cause."""
        with pytest.raises(AwsError) as raised:
            self.ask(operation, **content)
        return raised.value.code

    def iterator(self, shard_id: str, kind: str = "TRIM_HORIZON", number: int | str | None = None) -> str:
        """Return a new iterator. Raises AwsError."""
        more = {} if number is None else {"SequenceNumber": str(number)}
        answer = self.ask(
            "GetShardIterator",
            StreamArn=self.stream.arn,
            ShardId=shard_id,
            ShardIteratorType=kind,
            **more,
        )
        return str(answer["ShardIterator"])

    def described(self, limit: int = 100, **content: Any) -> Iterator[dict[str, Any]]:
        """Yield the shards that DescribeStream lists, page by page."""
        while True:
            answer = self.ask("DescribeStream", StreamArn=self.stream.arn, Limit=limit, **content)
            description = answer["StreamDescription"]
            assert len(description["Shards"]) <= limit
            assert description["Shards"] or "ExclusiveStartShardId" not in content
            yield from description["Shards"]
            if "LastEvaluatedShardId" not in description:
                return
            assert content.get("ExclusiveStartShardId", "") < description["LastEvaluatedShardId"]
            content["ExclusiveStartShardId"] = description["LastEvaluatedShardId"]

    def read(self, iterator: str | None, limit: int = 1000) -> Iterator[dict[str, Any]]:
        """Yield records until the shard ends, or nothing more comes from an open one."""
        empty = 0
        while iterator is not None and empty <= self.stream.empty_pages:
            answer = self.ask("GetRecords", ShardIterator=iterator, Limit=limit)
            assert len(answer["Records"]) <= limit
            empty = 0 if answer["Records"] else empty + 1
            yield from answer["Records"]
            iterator = answer.get("NextShardIterator")

    def read_all(self, limit: int = 1000) -> Iterator[tuple[str, int]]:
        """Yield key and n of every record, a shard's before its children's."""
        waiting = list(self.described(limit=min(limit, 100)))
        read: set[str] = set()
        while waiting:
            listed = {shard["ShardId"] for shard in waiting}
            shard = next(one for one in waiting if one.get("ParentShardId") not in listed)
            waiting.remove(shard)
            read.add(shard["ShardId"])
            for record in self.read(self.iterator(shard["ShardId"]), limit):
                image = record["dynamodb"]["NewImage"]
                yield image["pk"]["S"], int(image["n"]["N"])


ACTIONS: Final = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, 30)),
        st.tuples(st.just("split"), st.integers(0, 10)),
        st.tuples(st.just("roll"), st.integers(0, 10)),
        st.tuples(st.just("roll_all"), st.just(0)),
        st.tuples(st.just("trim"), st.integers(0, 60)),
        st.tuples(st.just("minutes"), st.integers(0, 600)),
    ),
    max_size=60,
)


class Play:
    """Does things to a stream, and knows what was written and is not trimmed: key, n, time, sequence number."""

    def __init__(self, asked: Asked, *, trims: bool) -> None:
        """Take the stream, and whether time passes and records go."""
        self.stream, self.clock, self.trims = asked.stream, asked.clock, trims
        self.written: list[tuple[str, int, float, int]] = []
        self._count = 0

    def run(self, actions: list[tuple[str, int]]) -> list[tuple[str, int]]:
        """Do all, and return key and n of the records that are still there, oldest first."""
        for action, number in actions:
            getattr(self, action)(number)
        day_ago = self.clock.now_seconds() - 24 * 3600
        return [(key, n) for key, n, seconds, _ in self.written if seconds > day_ago]

    def put(self, number: int) -> None:
        """Write a record of one of a few keys."""
        self._count += 1
        sequence_number = self.stream.put({"pk": f"key-{number}"}, {"n": self._count})
        seconds = self.clock.now_seconds()
        self.written.append((f"key-{number}", self._count, seconds, int(sequence_number)))

    def split(self, number: int) -> None:
        """Split one of the open shards."""
        self.stream.split(self._open(number))

    def roll(self, number: int) -> None:
        """Roll one of them over."""
        self.stream.roll(self._open(number))

    def roll_all(self, _: int) -> None:
        """Roll all of them over."""
        self.stream.roll()

    def minutes(self, number: int) -> None:
        """Let time pass."""
        self.clock.advance(minutes=number * self.trims)

    def trim(self, number: int) -> None:
        """Trim one shard through one of its records."""
        shards = [shard for shard in self.stream.shards if shard.records]
        if self.trims and shards:
            shard = shards[number % len(shards)]
            numbers = numbers_of(shard)
            through = numbers[number % len(numbers)]
            self.stream.trim(shard, through=str(through))
            gone = {one for one in numbers if one <= through}
            self.written = [change for change in self.written if change[3] not in gone]

    def _open(self, number: int) -> SimulatedShard:
        shards = self.stream.open_shards
        return shards[number % len(shards)]


def play(asked: Asked, actions: list[tuple[str, int]], *, trims: bool) -> list[tuple[str, int]]:
    """Do this to the stream; return key and n of what was written and is still there, oldest first."""
    return Play(asked, trims=trims).run(actions)


def numbers_of(shard: SimulatedShard) -> list[int]:
    """Return the sequence numbers of the records that are there."""
    return [record.number for record in shard.records]


@given(actions=ACTIONS, shards=st.integers(1, 5), limit=st.integers(1, 7), empty_pages=st.integers(0, 2))
def test_a_reader_finds_every_record_once_and_each_keys_in_order(
    actions: list[tuple[str, int]], shards: int, limit: int, empty_pages: int
) -> None:
    """Whatever the shards do, parents before children from the trim horizon is enough."""
    asked = Asked(shards=shards, empty_pages=empty_pages)
    written = play(asked, actions, trims=False)
    found = list(asked.read_all(limit))
    assert sorted(found) == sorted(written)
    for key, _ in written:
        assert [n for name, n in found if name == key] == [n for name, n in written if name == key]


@given(actions=ACTIONS, shards=st.integers(1, 3), roll=st.sampled_from([None, 1.0, 4.0]))
def test_what_is_trimmed_is_gone_and_nothing_else(
    actions: list[tuple[str, int]], shards: int, roll: float | None
) -> None:
    """By hand or after 24 hours; shards that are listed no more held nothing that is still there."""
    asked = Asked(shards=shards, roll_every_hours=roll)
    kept = play(asked, actions, trims=True)
    assert sorted(asked.read_all()) == sorted(kept)


@given(actions=ACTIONS, limit=st.integers(1, 5))
def test_describe_stream_gives_each_shard_once(actions: list[tuple[str, int]], limit: int) -> None:
    """In pages of any size; each child's numbers follow its parent's, and its ids are like DynamoDB's."""
    asked = Asked(shards=2)
    play(asked, actions, trims=False)
    listed = list(asked.described(limit))
    assert [shard["ShardId"] for shard in listed] == [shard.id for shard in asked.stream.shards]
    by_id = {shard["ShardId"]: shard["SequenceNumberRange"] for shard in listed}
    assert len(by_id) == len(listed)
    for shard in listed:
        numbers = shard["SequenceNumberRange"]
        assert len(numbers["StartingSequenceNumber"]) >= 21
        prefix, millis, unique = shard["ShardId"].split("-")
        assert (prefix, len(millis), len(unique)) == ("shardId", 20, 8)
        if parent := shard.get("ParentShardId"):
            assert int(numbers["StartingSequenceNumber"]) > int(by_id[parent]["EndingSequenceNumber"])


@given(st.lists(st.sampled_from([10, 300_000, 400_000, 2 * RECORD_BYTES]), max_size=8))
def test_a_page_has_a_megabyte_but_always_a_record(sizes: list[int]) -> None:
    """As much as fits, by the records' own sizes; one that is larger comes alone."""
    asked = Asked(view_type="NEW_IMAGE")
    for n, size in enumerate(sizes):
        asked.stream.put({"pk": "a"}, {"n": n, "payload": "x" * size})
    (shard,) = asked.stream.shards
    left = [record.size_bytes for record in shard.records]
    iterator = asked.iterator(shard.id)
    while left:
        answer = asked.ask("GetRecords", ShardIterator=iterator)
        page = [record["dynamodb"]["SizeBytes"] for record in answer["Records"]]
        assert page
        assert page == left[: len(page)]
        assert len(page) == 1 or sum(page) <= RECORD_BYTES
        left = left[len(page) :]
        assert not left or sum(page) + left[0] > RECORD_BYTES
        iterator = answer["NextShardIterator"]


def test_a_page_may_have_a_megabyte_to_the_byte() -> None:
    """Two records that fill it exactly come together, and with a byte more one after the other."""
    asked = Asked(view_type="NEW_IMAGE")
    asked.stream.put({"pk": "a"}, {"payload": ""})
    (shard,) = asked.stream.shards
    envelope = shard.records[0].size_bytes
    for size in (RECORD_BYTES // 2, RECORD_BYTES // 2, RECORD_BYTES // 2 + 1):
        asked.stream.put({"pk": "a"}, {"payload": "x" * (size - envelope)})
    following, counts = asked.iterator(shard.id, "AFTER_SEQUENCE_NUMBER", shard.records[0].number), []
    for _ in range(2):
        answer = asked.ask("GetRecords", ShardIterator=following)
        following = answer["NextShardIterator"]
        counts.append(len(answer["Records"]))
    assert counts == [2, 1]
    later = asked.iterator(shard.id, "AT_SEQUENCE_NUMBER", shard.records[2].number)
    assert len(asked.ask("GetRecords", ShardIterator=later)["Records"]) == 1


def test_a_page_has_a_thousand_records() -> None:
    """Without a limit, too; a larger one is refused, as is one of nothing."""
    asked = Asked()
    asked.stream.write_changes(1001)
    iterator = asked.iterator(asked.stream.shards[0].id)
    assert len(asked.ask("GetRecords", ShardIterator=iterator)["Records"]) == 1000
    for limit in (0, 1001, "ten", True):
        assert asked.code("GetRecords", ShardIterator=iterator, Limit=limit) == "ValidationException"
    for limit in (0, 101):
        assert asked.code("DescribeStream", StreamArn=asked.stream.arn, Limit=limit) == "ValidationException"


def test_an_iterator_lives_for_15_minutes() -> None:
    """By the virtual clock, counted from its making, whether it is used or not."""
    asked = Asked()
    (shard,) = asked.stream.shards
    iterator = asked.iterator(shard.id, "LATEST")
    asked.clock.advance(minutes=14, seconds=59)
    following = asked.ask("GetRecords", ShardIterator=iterator)["NextShardIterator"]
    asked.clock.advance(seconds=1)
    assert asked.code("GetRecords", ShardIterator=iterator) == "ExpiredIteratorException"
    asked.ask("GetRecords", ShardIterator=following)


def test_iterators_begin_where_they_say() -> None:
    """All four types, on an open shard and on a closed one."""
    asked = Asked()
    (shard,) = asked.stream.shards
    for n in range(5):
        asked.stream.put({"pk": "a"}, {"n": n})
    numbers = numbers_of(shard)

    def found(kind: str, number: int | None = None) -> list[int]:
        records = asked.read(asked.iterator(shard.id, kind, number))
        return [int(record["dynamodb"]["SequenceNumber"]) for record in records]

    def check_all() -> None:
        assert found("TRIM_HORIZON") == numbers
        assert found("LATEST") == []
        assert found("AT_SEQUENCE_NUMBER", numbers[2]) == numbers[2:]
        assert found("AFTER_SEQUENCE_NUMBER", numbers[2]) == numbers[3:]
        assert found("AFTER_SEQUENCE_NUMBER", numbers[-1]) == []

    check_all()
    latest = asked.iterator(shard.id, "LATEST")
    numbers.append(int(asked.stream.put({"pk": "a"}, {"n": 5})))
    assert [int(record["dynamodb"]["SequenceNumber"]) for record in asked.read(latest)] == numbers[-1:]
    asked.stream.roll()
    check_all()
    assert found("AT_SEQUENCE_NUMBER", shard.first_number) == numbers
    assert found("AFTER_SEQUENCE_NUMBER", shard.last_number) == []


def test_a_key_stays_in_its_lineage() -> None:
    """Keys are spread over all shards, and a key's next record is in its shard, or in a child of that."""
    asked = Asked(shards=3)
    stream = asked.stream

    def write() -> dict[str, SimulatedShard]:
        found = {}
        for key in (f"key-{n}" for n in range(100)):
            number = int(stream.put({"pk": key}, {}))
            (found[key],) = (shard for shard in stream.shards if number in numbers_of(shard))
        assert {shard.id for shard in found.values()} == {shard.id for shard in stream.open_shards}
        return found

    homes = write()
    assert write() == homes
    stream.split(stream.open_shards[1])
    stream.roll(stream.open_shards[0])
    for key, shard in write().items():
        assert homes[key] in {shard, *(one for one in stream.shards if one.id == shard.parent_id)}


def test_empty_pages_precede_records() -> None:
    """As many as told, each time, and each with an iterator that goes on at the same place."""
    asked = Asked(empty_pages=2)
    asked.stream.write_changes(2)
    iterator = asked.iterator(asked.stream.shards[0].id)
    counts = []
    for _ in range(7):
        answer = asked.ask("GetRecords", ShardIterator=iterator, Limit=1)
        counts.append(len(answer["Records"]))
        iterator = answer["NextShardIterator"]
    assert counts == [0, 0, 1, 0, 0, 1, 0]


def test_a_closed_shard_ends_with_its_last_record() -> None:
    """Then there is no next iterator; before, and for an open shard, there is one."""
    asked = Asked()
    (shard,) = asked.stream.shards
    asked.stream.put({"pk": "a"}, {"n": 1})
    iterator = asked.iterator(shard.id)
    assert "NextShardIterator" in asked.ask("GetRecords", ShardIterator=iterator)
    asked.stream.put({"pk": "a"}, {"n": 2})
    (child,) = asked.stream.roll()
    assert "NextShardIterator" in asked.ask("GetRecords", ShardIterator=iterator, Limit=1)
    assert "NextShardIterator" not in asked.ask("GetRecords", ShardIterator=iterator, Limit=2)
    answer = asked.ask("GetRecords", ShardIterator=asked.iterator(child.id))
    assert answer["Records"] == []
    assert "NextShardIterator" in answer


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ({"ShardIteratorType": "NEWEST"}, "ValidationException"),
        ({"ShardIteratorType": "LATEST", "SequenceNumber": "1" * 21}, "ValidationException"),
        ({"ShardIteratorType": "AT_SEQUENCE_NUMBER"}, "ValidationException"),
        ({"ShardIteratorType": "AT_SEQUENCE_NUMBER", "SequenceNumber": "a" * 21}, "ValidationException"),
        ({"ShardIteratorType": "AT_SEQUENCE_NUMBER", "SequenceNumber": "0" * 21}, "ValidationException"),
        ({"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": "9" * 40}, "ValidationException"),
        ({"ShardIteratorType": "LATEST", "ShardId": "shardId-x"}, "ResourceNotFoundException"),
        ({"ShardIteratorType": "LATEST", "StreamArn": "arn:x"}, "ResourceNotFoundException"),
        ({"ShardIteratorType": "LATEST", "StreamArn": ""}, "ValidationException"),
    ],
)
def test_wrong_iterators_are_refused(content: dict[str, str], code: str) -> None:
    """With the error that DynamoDB has for it."""
    asked = Asked()
    right = {"StreamArn": asked.stream.arn, "ShardId": asked.stream.shards[0].id}
    assert asked.code("GetShardIterator", **{**right, **content}) == code
    assert asked.code("GetRecords", ShardIterator="nonsense") == "ValidationException"
    assert asked.code("GetRecords", ShardIterator=f"{asked.stream.arn}|1|AAAA") == "ValidationException"
    good = asked.iterator(asked.stream.shards[0].id)
    assert asked.code("GetRecords", ShardIterator=f"{good}!") == "ValidationException"


def test_a_position_that_was_trimmed_is_an_error() -> None:
    """A number that is gone cannot be named; an iterator fails only if a record it would give is gone."""
    asked = Asked()
    (shard,) = asked.stream.shards
    for n in range(4):
        asked.stream.put({"pk": "a"}, {"n": n})
    numbers = numbers_of(shard)
    at_first = asked.iterator(shard.id, "AT_SEQUENCE_NUMBER", numbers[0])
    after_second = asked.iterator(shard.id, "AFTER_SEQUENCE_NUMBER", numbers[1])
    asked.stream.trim(shard, through=str(numbers[1]))
    assert (shard.trimmed_count, shard.written_count) == (2, 4)
    assert asked.code("GetRecords", ShardIterator=at_first) == "TrimmedDataAccessException"
    assert len(list(asked.read(after_second))) == 2
    for kind in ("AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER"):
        for number in numbers[:2]:
            with pytest.raises(AwsError, match="TrimmedDataAccessException"):
                asked.iterator(shard.id, kind, number)
        asked.iterator(shard.id, kind, numbers[2])
    assert len(list(asked.read(asked.iterator(shard.id)))) == 2
    asked.stream.trim_all()
    assert list(asked.read(asked.iterator(shard.id))) == []


def test_a_closed_shard_vanishes_a_day_after_its_end() -> None:
    """Its child still names it; an open shard stays, however old."""
    asked = Asked()
    (parent,) = asked.stream.shards
    asked.stream.put({"pk": "a"}, {"n": 1})
    asked.clock.advance(hours=20)
    (child,) = asked.stream.roll()
    asked.stream.trim_all()
    asked.clock.advance(hours=23, minutes=59)
    assert [shard["ShardId"] for shard in asked.described()] == [parent.id, child.id]
    asked.clock.advance(minutes=1)
    (listed,) = asked.described()
    assert (listed["ShardId"], listed["ParentShardId"]) == (child.id, parent.id)
    with pytest.raises(AwsError, match=r"Shard: .* not found"):
        asked.iterator(parent.id)
    asked.clock.advance(hours=100)
    assert len(list(asked.described())) == 1


def test_a_shard_filter_gives_children() -> None:
    """Only those of the shard that it names; paging works in it, too."""
    asked = Asked(shards=2)
    first, second = asked.stream.shards
    children = asked.stream.split(first)
    asked.stream.roll(second)

    def filtered(shard_id: str) -> list[str]:
        shard_filter = {"Type": "CHILD_SHARDS", "ShardId": shard_id}
        return [shard["ShardId"] for shard in asked.described(1, ShardFilter=shard_filter)]

    assert filtered(first.id) == [child.id for child in children]
    assert filtered(children[0].id) == []
    arn = asked.stream.arn
    for wrong in ({"Type": "PARENTS", "ShardId": first.id}, {"Type": "CHILD_SHARDS"}):
        assert asked.code("DescribeStream", StreamArn=arn, ShardFilter=wrong) == "ValidationException"


def test_shards_roll_over_by_themselves() -> None:
    """Each at its own time, so that a day makes six generations, and a child of a later split waits as long."""
    asked = Asked(roll_every_hours=4)
    asked.clock.advance(hours=2)
    asked.stream.split(asked.stream.open_shards[0])
    asked.clock.advance(hours=9)
    opened = [(shard.created_seconds - NOW) / 3600 for shard in asked.stream.shards]
    assert opened == [0, 2, 2, 6, 6, 10, 10]
    assert len(asked.stream.open_shards) == 2
    assert int(asked.stream.shards[3].id.split("-")[1]) == 1000 * (NOW + 6 * 3600)


def test_a_disabled_stream_can_be_read_for_a_day() -> None:
    """Its shards are closed; then it is not found."""
    asked = Asked(shards=2, roll_every_hours=4)
    asked.stream.put({"pk": "a"}, {"n": 1})
    asked.stream.disable()
    arn = asked.stream.arn
    description = asked.ask("DescribeStream", StreamArn=arn)["StreamDescription"]
    assert description["StreamStatus"] == "DISABLED"
    assert all("EndingSequenceNumber" in shard["SequenceNumberRange"] for shard in description["Shards"])
    assert list(asked.read_all()) == [("a", 1)]
    with pytest.raises(ValueError, match="no open shard"):
        asked.stream.put({"pk": "a"}, {"n": 2})
    assert "StreamSpecification" not in asked.service._describe_table(asked.stream)
    asked.clock.advance(hours=24)
    assert asked.code("DescribeStream", StreamArn=arn) == "ResourceNotFoundException"
    assert asked.ask("ListStreams") == {"Streams": []}


IMAGES: Final = {
    "KEYS_ONLY": set[str](),
    "NEW_IMAGE": {"NewImage"},
    "OLD_IMAGE": {"OldImage"},
    "NEW_AND_OLD_IMAGES": {"NewImage", "OldImage"},
}


@pytest.mark.parametrize("view_type", IMAGES)
def test_a_record_carries_what_the_view_type_says(view_type: str) -> None:
    """Event names come from the images that are given; a deletion by Time to Live says whose it was."""
    asked = Asked(view_type=view_type, key_schema={"pk": "S", "sk": "N"})
    keys = {"pk": "a", "sk": 1}
    asked.stream.put(keys, {"x": 1})
    asked.stream.put(keys, {"x": 2}, {"x": 1})
    asked.stream.put(keys, old_image={"x": 2}, user_identity=TTL_SERVICE)
    (shard,) = asked.stream.shards
    insert, modify, remove = asked.read(asked.iterator(shard.id))
    assert [one["eventName"] for one in (insert, modify, remove)] == ["INSERT", "MODIFY", "REMOVE"]
    assert remove["userIdentity"] == {"PrincipalId": "dynamodb.amazonaws.com", "Type": "Service"}
    assert "userIdentity" not in modify
    for record, possible in (
        (insert, {"NewImage"}),
        (modify, {"NewImage", "OldImage"}),
        (remove, {"OldImage"}),
    ):
        body = record["dynamodb"]
        assert {name for name in body if name.endswith("Image")} == possible & IMAGES[view_type]
        assert body["Keys"] == {"pk": {"S": "a"}, "sk": {"N": "1"}}
        assert body["StreamViewType"] == view_type
        assert body["ApproximateCreationDateTime"] == NOW
    if "NewImage" in IMAGES[view_type]:
        assert modify["dynamodb"]["NewImage"] == {"pk": {"S": "a"}, "sk": {"N": "1"}, "x": {"N": "2"}}


@pytest.mark.parametrize(
    ("put", "error", "message"),
    [
        (lambda stream: stream.put({"pk": "a"}), ValueError, "a new image, an old image, or both"),
        (lambda stream: stream.put({"id": "a"}, {}), ValueError, "has the key 'pk', which is missing"),
        (lambda stream: stream.put({"pk": "a"}, {"x": 1.5}), TypeError, "has no type for a value in"),
        (lambda stream: stream.put({"pk": "a"}, {"x": {1, "a"}}), TypeError, "has no type for a value in"),
    ],
)
def test_what_no_stream_has_is_refused(
    put: Callable[[SimulatedStream], object], error: type[Exception], message: str
) -> None:
    """In words that say what is wrong."""
    with pytest.raises(error, match=message):
        put(Asked().stream)


def test_a_shard_closes_once() -> None:
    """Neither a closed shard nor another stream's can be split, rolled over or closed."""
    stream, other = Asked().stream, Asked().stream
    (shard,) = stream.shards
    stream.close(shard)
    for act in (stream.split, stream.roll, stream.close, other.close):
        with pytest.raises(ValueError, match="is not an open shard"):
            act(shard)
    for wrong in ({"shards": 0}, {"view_type": "ALL"}, {"roll_every_hours": 0}):
        with pytest.raises(ValueError, match=r"no stream has|must be more than 0"):
            Asked(**wrong)
    with pytest.raises(ValueError, match="backwards"):
        VirtualClock().advance(hours=-1)


def test_written_changes_are_what_a_reader_finds() -> None:
    """The summary is the truth that handlers are held against."""
    asked = Asked(shards=3)
    written = asked.stream.write_changes(300, seed=5, keys=20, payload_bytes=10)
    found: dict[str, list[int]] = {}
    events = []
    for shard in asked.stream.shards:
        for record in asked.read(asked.iterator(shard.id)):
            body = record["dynamodb"]
            n = body["NewImage"]["n"]["N"] if "NewImage" in body else int(body["OldImage"]["n"]["N"]) + 1
            found.setdefault(body["Keys"]["pk"]["S"], []).append(int(n))
            events.append(record["eventName"])
    assert found == written.per_key
    assert [events.count(name) for name in ("INSERT", "MODIFY", "REMOVE")] == [
        written.inserted,
        written.modified,
        written.removed,
    ]


def test_the_simulator_answers_boto3_without_dynamodb_local() -> None:
    """Streams of several tables, one of them made anew, one deleted; other calls say that nobody is there."""
    with StreamSimulator() as simulator:
        first = simulator.create_stream("orders", shards=3)
        kept = simulator.create_stream("items")
        with pytest.raises(ValueError, match="exists already"):
            simulator.create_stream("items")
        second = simulator.recreate_stream("orders")
        assert simulator.stream("orders") is second
        assert len(second.open_shards) == 3
        streams, tables = simulator.client("dynamodbstreams", 1), simulator.client("dynamodb", 1)
        assert tables.describe_table(TableName="orders")["Table"]["LatestStreamArn"] == second.arn
        listed: list[str] = []
        start: dict[str, str] = {}
        while True:
            answer = streams.list_streams(Limit=1, **start)
            listed += [stream["StreamArn"] for stream in answer["Streams"]]
            if "LastEvaluatedStreamArn" not in answer:
                break
            start = {"ExclusiveStartStreamArn": answer["LastEvaluatedStreamArn"]}
        assert listed == [kept.arn, first.arn, second.arn]
        assert len(streams.list_streams(TableName="orders")["Streams"]) == 2
        simulator.delete_table("items")
        with pytest.raises(KeyError):
            simulator.stream("items")
        with pytest.raises(tables.exceptions.ClientError, match="no DynamoDB is here to ask: DescribeTable"):
            tables.describe_table(TableName="items")
        description = streams.describe_stream(StreamArn=kept.arn)["StreamDescription"]
        assert description["StreamStatus"] == "DISABLED"
        assert simulator.create_stream("items").arn != kept.arn


def test_faults_and_counts_work_on_simulated_streams() -> None:
    """A shard's calls can be made to fail, and are counted by shard."""
    with StreamSimulator() as simulator:
        stream = simulator.create_stream("orders", shards=2)
        streams = simulator.client("dynamodbstreams", 1)
        first, second = stream.shards
        iterators = [
            streams.get_shard_iterator(
                StreamArn=stream.arn, ShardId=shard.id, ShardIteratorType="TRIM_HORIZON"
            )["ShardIterator"]
            for shard in (first, second)
        ]
        fault = simulator.fail("GetRecords", "LimitExceededException", shard=second.id)
        following = streams.get_records(ShardIterator=iterators[0])["NextShardIterator"]
        with pytest.raises(streams.exceptions.LimitExceededException):
            streams.get_records(ShardIterator=iterators[1])
        streams.get_records(ShardIterator=following)
        assert fault.hits == 1
        assert simulator.calls.count("GetRecords", "orders", first.id) == 2
        fault.remove()
        simulator.respond("GetRecords", lambda _, forward: {**forward(), "Records": []})
        stream.write_changes(10)
        assert streams.get_records(ShardIterator=following)["Records"] == []
