"""`run`: a processor in memory does what it does in production, without Java and without waiting."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from record_processor import (
    BatchItemFailures,
    ConfigurationError,
    FatalError,
    LeaseLostError,
    ParkRecordError,
    Record,
    RecordProcessor,
    ShardContext,
    SkipRecordError,
    TeardownReason,
)
from record_processor.parking.files import FileDestination
from record_processor.stores import claim_of_this_process
from record_processor.testing import RunResult, records, run


def orders(count: int, keys: int = 3) -> list[Record[Any]]:
    """Make records that change some items in turn."""
    return [records.insert({"pk": str(number % keys)}, {"n": number}) for number in range(count)]


class Orders(RecordProcessor):
    """Writes down what it is given; a record's `raises` says what then happens."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.life: list[str] = []

    def setup(self, context: ShardContext) -> None:
        self.context = context
        self.life.append("setup")

    def teardown(self, reason: TeardownReason) -> None:
        self.life.append(reason.value)

    def process_record(self, record: Record) -> None:
        self.seen.append(record.item.get("n"))
        raising(record)


class AsyncOrders(Orders):
    """The same on an event loop."""

    async def process_record(self, record: Record) -> None:  # type: ignore[override]
        await asyncio.sleep(0)
        self.seen.append(record.item.get("n"))
        raising(record)


class Batches(Orders):
    """The same for many at once."""

    def process_batch(self, given: Sequence[Record]) -> None:
        self.seen.append([record.item.get("n") for record in given])
        for record in given:
            raising(record)


def one_by_one(seen: Sequence[Any]) -> list[int]:
    """Return what was seen, that of batches too."""
    return [n for each in seen for n in (each if isinstance(each, list) else [each])]


ERRORS: dict[str, type[BaseException]] = {
    "skip": SkipRecordError,
    "park": ParkRecordError,
    "fatal": FatalError,
    "error": ValueError,
    "exit": SystemExit,
}


def raising(record: Record) -> None:
    """Raise what a record says."""
    if "raises" in record.item:
        raise ERRORS[record.item["raises"]](record.item["raises"])


def bad(word: str) -> Record[Any]:
    """Make a record whose handler raises."""
    return records.insert({"pk": word}, {"n": word, "raises": word})


KINDS = [Orders, AsyncOrders, Batches]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("factor", [1, 3])
def test_what_becomes_of_records(kind: type[Orders], factor: int) -> None:
    """Each kind of error, with the policy's own rules; the pauses take no time."""
    given = [*orders(1), bad("skip"), bad("park"), bad("error"), *orders(1)]
    began = time.monotonic()
    result = run(
        kind,
        given,
        maximumRetryAttempts=3,
        retryBackoffMillis=20_000,
        batchSize=1,
        parallelizationFactor=factor,
    )
    assert time.monotonic() - began < 20 < result.seconds
    assert result.handled == [given[0], given[-1]]
    assert result.skipped == given[1:2]
    assert sorted((each.sequence_number, each.condition, each.attempts) for each in result.parked) == [
        (given[2].sequence_number, "ParkRequested", 1),
        (given[3].sequence_number, "RetryAttemptsExhausted", 4),
    ]
    assert {each.error.message for each in result.parked if each.error} == {"park", "error"}
    assert result.calls == 1 + 1 + 1 + 4 + 1
    assert (result.not_handled, result.error) == ([], None)
    assert result.acknowledged == given[-1].sequence_number
    assert any("attempt 3 failed" in line for line in result.log)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("factor", [1, 3])
def test_a_fatal_error_stops_the_shard(kind: type[Orders], factor: int) -> None:
    """What is behind it is not handled, nor acknowledged."""
    given = [*orders(1), bad("fatal"), *orders(3)]
    result = run(kind, given, batchSize=1, parallelizationFactor=factor)
    assert isinstance(result.error, FatalError)
    assert given[1] in result.not_handled
    assert result.acknowledged == given[0].sequence_number
    assert set(result.handled) | set(result.not_handled) == set(given)


def test_bisecting_finds_the_bad_record() -> None:
    """A batch is halved as in production."""
    given = [*orders(3), bad("error"), *orders(3)]
    result = run(Batches, given, bisectBatchOnFunctionError=True, maximumRetryAttempts=0)
    assert result.handled == [each for each in given if each is not given[3]]
    assert [each.sequence_number for each in result.parked] == [given[3].sequence_number]
    assert result.processor.seen[0] == [0, 1, 2, "error", 0, 1, 2]


def test_batches_are_as_the_properties_say() -> None:
    """Also their windows, which take no time."""
    result = run(Batches, orders(5), batchSize=2, maximumBatchingWindowInSeconds=300)
    assert result.processor.seen == [[0, 1], [2, 3], [4]]
    assert result.seconds == 300


def test_failures_in_a_batch() -> None:
    """Only what failed comes again."""

    class Once(Batches):
        def process_batch(self, given: Sequence[Record]) -> Any:
            self.seen.append(len(given))
            return BatchItemFailures(given[1:2]) if len(given) > 1 else None

    result = run(Once, orders(3))
    assert result.processor.seen == [3, 1]
    assert len(result.handled) == 3


def test_what_never_gets_on_is_not_handled() -> None:
    """The host drains, instead of trying for ever."""
    given = [bad("error"), *orders(1)]
    result = run(Orders, given)
    assert result.not_handled == given
    assert result.acknowledged is None
    assert result.processor.life == ["setup", "shutdownRequested"]


def test_what_gets_on_now_and_then_is_not_stuck() -> None:
    """However often all of it together fails."""

    class FailsOnce(Orders):
        def process_record(self, record: Record) -> None:
            self.seen.append(record.sequence_number)
            if self.seen.count(record.sequence_number) < 2:
                raise ValueError("the first time")

    given = orders(150)
    assert run(FailsOnce, given).handled == given


def test_a_limit_on_attempts_is_always_reached() -> None:
    """However high it is."""
    result = run(Orders, [bad("error")], maximumRetryAttempts=300)
    assert [each.attempts for each in result.parked] == [301]


def test_without_a_destination_nothing_is_parked() -> None:
    """The default is for tests; production has none unless the file says so."""
    assert run(Orders, [bad("park")], onFailureDestination=None).not_handled
    assert run(Orders, [bad("park")]).parked
    with pytest.raises(ConfigurationError, match="add onFailureDestination"):
        run(Orders, [], maximumRetryAttempts=1, onFailureDestination=None)


def test_a_destination_gets_what_is_parked(tmp_path: Path) -> None:
    """One that is named is used."""
    result = run(Orders, [bad("park")], onFailureDestination=f"file://{tmp_path}")
    (entry,) = FileDestination(tmp_path).entries()
    assert getattr(entry, "parked") == result.parked[0]  # noqa: B009  # or it could not be read


def test_life_of_a_processor() -> None:
    """It is set up for the shard and torn down at its end; an instance can be given."""
    mine = Orders()
    (record,) = orders(1)
    assert run(mine, [record]).processor is mine
    assert mine.life == ["setup", "shardEnded"]
    assert mine.context.shard_id == record.shard_id
    assert (mine.context.table_name, mine.context.stream_arn) == ("orders", record.stream_arn)


def test_what_setup_raises_is_raised() -> None:
    """A test wants to see it."""

    class Broken(Orders):
        def setup(self, context: ShardContext) -> None:
            raise ConnectionError("no search index")

    with pytest.raises(ConnectionError, match="no search index"):
        run(Broken, orders(1))


def test_a_checkpoint_by_hand() -> None:
    """It counts as acknowledged, and after it the record is not given again."""

    class ByHand(Orders):
        def process_record(self, record: Record) -> None:
            super().process_record(record)
            self.context.checkpointer.checkpoint(record)
            if record.item["n"] == 1:
                raise FatalError("enough")

    given = orders(3)
    assert run(ByHand, given).acknowledged == given[1].sequence_number


@dataclass
class Order:
    """An item."""

    pk: str
    n: int


def test_a_model_and_decimals() -> None:
    """Items are made as in production."""

    class Modelled(RecordProcessor[Order]):
        model = Order

        def on_insert(self, record: Record[Order]) -> None:
            assert record.item == Order("0", 0)

    class Decimals(Orders):
        def process_record(self, record: Record) -> None:
            self.seen.append(type(record.item["n"]).__name__)

    assert len(run(Modelled, orders(1)).handled) == 1
    assert run(Decimals, orders(1), numbers="decimal").processor.seen == ["Decimal"]


def test_filters_are_applied() -> None:
    """What the daemon keeps back is not seen, and is acknowledged."""
    given = [*orders(1), *(records.remove({"pk": "1"}) for _ in range(2))]
    criteria = {"Filters": [{"Pattern": '{"eventName": ["INSERT"]}'}]}
    result = run(Orders, given, filterCriteria=criteria)
    assert (result.handled, result.filtered) == (given[:1], given[1:])
    assert result.acknowledged == given[-1].sequence_number


def test_old_records_are_given_up() -> None:
    """`delay_seconds` is how late the worker reads them."""
    properties: dict[str, Any] = {"maximumRecordAgeInSeconds": 3600}
    assert len(run(Orders, orders(2), **properties).handled) == 2
    result = run(Orders, orders(2), delay_seconds=3700, **properties)
    assert [each.condition for each in result.parked] == ["RecordAgeExceeded"] * 2
    assert result.calls == 0


# --- Crashes ---


@pytest.mark.parametrize("kind", KINDS)
def test_a_crash_repeats_what_was_not_acknowledged(kind: type[Orders]) -> None:
    """Another instance goes on; nothing is missing, in order for each item."""
    effects: list[int] = []

    class Counting(kind):  # type: ignore[valid-type,misc]
        def setup(self, context: ShardContext) -> None:
            self.seen = effects

    result = run(Counting, orders(6), crash_after=3, batchSize=2)
    flat = one_by_one(effects)
    assert set(flat) == set(range(6))
    assert len(flat) > 6
    assert result.not_handled == []
    assert sum("the worker ended" in line for line in result.log) == 1


@given(
    st.lists(st.integers(1, 12), max_size=4),
    st.booleans(),
    st.integers(1, 3),
    st.sampled_from(KINDS),
    st.integers(1, 4),
)
def test_at_least_once_in_order_whatever_happens(
    crashes: list[int], duplicate: bool, factor: int, kind: type[Orders], batch: int
) -> None:
    """The promise, for each plan of faults: each record, and each item's first effects in order."""
    effects: list[int] = []

    class Counting(kind):  # type: ignore[valid-type,misc]
        def setup(self, context: ShardContext) -> None:
            self.seen = effects

    given = orders(8)
    result = run(
        Counting,
        given,
        crash_after=crashes,
        duplicate=duplicate,
        parallelizationFactor=factor,
        batchSize=batch,
    )
    flat = one_by_one(effects)
    assert set(flat) == set(range(8))
    assert min(Counter(flat).values()) >= 1 + duplicate
    for key in range(3):
        firsts = list(dict.fromkeys(n for n in flat if n % 3 == key))
        assert firsts == sorted(firsts)
    assert result.acknowledged == given[-1].sequence_number


@pytest.mark.parametrize("kind", [Orders, AsyncOrders])
def test_idempotency_holds_against_a_crash(kind: type[Orders], tmp_path: Path) -> None:
    """A store outside the worker narrows repeats to the call that was cut off; its memory does not."""

    def repeats(idempotency: str | None) -> int:
        effects: list[int] = []

        class Counting(kind):  # type: ignore[valid-type,misc]
            def setup(self, context: ShardContext) -> None:
                self.seen = effects

        result = run(Counting, orders(5), crash_after=4, duplicate=True, idempotency=idempotency)
        assert set(effects) == set(range(5))
        assert result.not_handled == []
        return len(effects) - 5

    assert repeats(f"sqlite://{tmp_path}/handled.db") == 1
    assert repeats("memory") > 1
    assert repeats(None) > 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_deadly_record_is_given_up_as_in_production(kind: type[Orders]) -> None:
    """Two processes in doubt, and then one for each attempt: docs/error-handling.md, Crashes."""
    given = [*orders(2), bad("exit"), *orders(2)]
    result = run(kind, given, maximumRetryAttempts=3)
    assert [(each.sequence_number, each.attempts) for each in result.parked] == [
        (given[2].sequence_number, 4)
    ]
    assert sum("the worker ended" in line for line in result.log) == 2 + 4
    assert set(result.handled) == {*given[:2], *given[3:]}
    assert len(run(kind, given).not_handled) == 3


def test_each_deadly_record_has_its_own_attempts() -> None:
    """The second one is not blamed for the first one's."""
    result = run(Orders, [bad("exit"), bad("exit")], maximumRetryAttempts=1)
    assert [each.attempts for each in result.parked] == [2, 2]
    assert sum("the worker ended" in line for line in result.log) == 2 + 2 + 2


def test_a_duplicate_comes_from_another_host() -> None:
    """The first one hears that its lease is lost; the second has a newer token."""
    tokens: list[int] = []
    lives: list[str] = []

    class Fenced(Orders):
        def process_record(self, record: Record) -> None:
            tokens.append(record.fencing_token)

        def teardown(self, reason: TeardownReason) -> None:
            lives.append(f"{self.context.worker_id} {reason.value}")
            if reason is TeardownReason.LEASE_LOST:
                with pytest.raises(LeaseLostError):
                    self.context.checkpointer.checkpoint()

    result = run(Fenced, orders(2), duplicate=True)
    assert tokens == [1, 1, 2, 2]
    assert lives == ["host-1 leaseLost", "host-2 shardEnded"]
    assert len(result.handled) == 4


# --- What it is given ---


def test_mistakes_are_those_of_a_start() -> None:
    """In the words of the command."""
    with pytest.raises(ConfigurationError, match="did you mean batchSize"):
        run(Orders, [], batchsize=3)
    with pytest.raises(ConfigurationError, match="batchSize must be a whole number"):
        run(Orders, [], batchSize="many")
    with pytest.raises(ConfigurationError, match="handles nothing"):
        run(RecordProcessor, [])
    with pytest.raises(ConfigurationError, match="filterCriteria: "):
        run(Orders, [], filterCriteria={"Filters": [{"Pattern": "{"}]})
    first, second = orders(2)
    for wrong in ([second, first], [first, first]):
        with pytest.raises(ValueError, match="comes behind"):
            run(Orders, wrong)


def test_nothing_is_fine() -> None:
    """A shard may be empty."""
    result = run(Orders, [])
    assert (result.handled, result.acknowledged, result.calls) == ([], None, 0)
    assert result.processor.life == ["setup", "shardEnded"]


@pytest.fixture
def left_open() -> Callable[[], tuple[int, int]]:
    """Count this process's threads and open files."""
    folder = Path("/proc/self/fd" if sys.platform == "linux" else "/dev/fd")

    def counts() -> tuple[int, int]:
        gc.collect()  # what other tests left, too
        return threading.active_count(), len(list(folder.iterdir()))

    return counts


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("factor", [1, 4])
def test_nothing_is_left_behind(
    kind: type[Orders], factor: int, left_open: Callable[[], tuple[int, int]]
) -> None:
    """Neither threads nor files, after crashes either."""
    before = left_open()
    for crashes in ([], [2]):
        run(kind, [*orders(4), bad("park")], parallelizationFactor=factor, crash_after=crashes)
    assert left_open() == before


def test_this_process_is_no_worker_afterwards() -> None:
    """What it claims in a store is not taken for the shard's."""
    run(Orders, orders(1))
    assert claim_of_this_process().shard_id == ""


def test_a_result_begins_empty() -> None:
    """For those who make one."""
    assert RunResult().handled == []
