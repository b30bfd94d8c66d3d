"""Where works run: here, in threads, on an event loop. None of them decides anything."""

from __future__ import annotations

import asyncio
import select
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from record_processor import Record, RecordProcessor, RetryableError, ShardContext, TeardownReason
from record_processor.parking.parked import Condition
from record_processor.pipeline.entry import Entry, Portion, Task
from record_processor.pipeline.event_loop import EventLoopRunner
from record_processor.pipeline.outcome import HANDLED, Outcome
from record_processor.pipeline.pipeline import Batching, Work
from record_processor.pipeline.runner import Finished, InlineRunner, Means, Runner
from record_processor.pipeline.threads import ThreadRunner
from record_processor.settings import DEFAULTS, Setting, Settings
from record_processor.testing.waiting import wait_until
from record_processor.worker.assembly import pipeline_of, runner_of, source_of
from record_processor.worker.children import ChildRunner
from record_processor.worker.messages import Initialize


class _NoCheckpoints:
    def checkpoint(self, record: Record | None = None) -> None:
        raise AssertionError


CONTEXT = ShardContext("arn", "orders", "shardId-1", "host-1", _NoCheckpoints())


def _work(*numbers: int, condition: Condition | None = None) -> Work:
    records = [
        Record.from_dynamodb_json({"eventName": "INSERT", "dynamodb": {"SequenceNumber": str(number)}}, "s")
        for number in numbers
    ]
    portion = Portion([Entry(record, None, 0.0) for record in records], condition=condition)
    return Work(Task([portion]), portion)


class Plain(RecordProcessor):
    """Does what a record's number says."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.gate = threading.Event()
        self.threads: set[int] = set()

    def setup(self, context: ShardContext) -> None:
        assert context is CONTEXT
        self.heard.append(f"setup {threading.current_thread().name}")

    def process_record(self, record: Record) -> None:
        self.threads.add(threading.get_ident())
        match record.sequence_number:
            case "400":
                raise ValueError("no")
            case "500":
                raise SystemExit(3)
            case "600":
                self.gate.wait(20)
        self.heard.append(f"handled {record.sequence_number}")

    def teardown(self, reason: TeardownReason) -> None:
        self.heard.append(f"teardown {reason.value}")


class Async(Plain):
    """The same, on an event loop."""

    async def process_record(self, record: Record) -> None:  # type: ignore[override]
        if record.sequence_number == "600":
            self.heard.append("waits")
            await asyncio.Event().wait()
        super().process_record(record)


RUNNERS: dict[str, tuple[Callable[[Means], Runner], type[Plain]]] = {
    "inline": (InlineRunner, Plain),
    "threads": (lambda means: ThreadRunner(3, means), Plain),
    "event loop": (lambda means: EventLoopRunner(3, means), Async),
}


@pytest.fixture(params=RUNNERS)
def name(request: pytest.FixtureRequest) -> str:
    """Each of them in turn."""
    return str(request.param)


def _start(name: str, means: Means | None = None) -> tuple[Runner, Plain]:
    make, kind = RUNNERS[name]
    runner, processor = make(means or Means()), kind()
    runner.set_up(lambda: processor, CONTEXT)
    return runner, processor


def _finished(runner: Runner, count: int) -> list[tuple[Work, Outcome]]:
    """Wait for so many works, as the loop does: by the descriptor."""
    finished: list[tuple[Work, Outcome]] = []
    while len(finished) < count:
        if runner.fd is not None:
            assert select.select([runner.fd], [], [], 20)[0], "nothing has finished"
        finished += runner.take_finished()
    return finished


def test_works_and_what_came_of_them(name: str) -> None:
    """Each comes back, once, with its outcome; setup before, teardown behind, of one instance."""
    runner, processor = _start(name)
    works = [_work(1), _work(400), _work(2)]
    for work in works:
        runner.run(work)
    outcomes = dict(_finished(runner, 3))
    assert outcomes[works[0]] is outcomes[works[2]] is HANDLED
    assert isinstance(outcomes[works[1]].error, ValueError)
    assert runner.take_finished() == []
    runner.tear_down(TeardownReason.SHARD_ENDED)
    assert sorted(processor.heard[1:-1]) == ["handled 1", "handled 2"]
    assert processor.heard[0].startswith("setup ")
    assert processor.heard[-1] == "teardown shardEnded"


def test_parking(name: str) -> None:
    """The handler does not hear of it; what the destination raises is the outcome."""
    errors: list[Exception] = [OSError("down")]
    parked: list[Work] = []

    def park(work: Work) -> None:
        if errors:
            raise errors.pop()
        parked.append(work)

    runner, processor = _start(name, Means(park))
    work = _work(1, condition=Condition.PARK_REQUESTED)
    outcomes = []
    for _ in range(2):
        runner.run(work)
        outcomes += [outcome for _, outcome in _finished(runner, 1)]
    assert isinstance(outcomes[0].error, OSError)
    assert outcomes[1] is HANDLED
    assert parked == [work]
    assert processor.threads == set()


def test_sys_exit_comes_to_who_asks(name: str) -> None:
    """It must end the process, whichever thread it was called in."""
    runner, _ = _start(name)

    def run_and_take() -> None:
        runner.run(_work(500))
        _finished(runner, 1)

    with pytest.raises(SystemExit) as caught:
        run_and_take()
    assert caught.value.code == 3


@pytest.mark.parametrize("method", ["__init__", "setup", "teardown"])
def test_what_setup_and_teardown_raise_comes_to_who_asks(name: str, method: str) -> None:
    """Wherever they run."""
    make, kind = RUNNERS[name]

    def fail(*_: Any) -> None:
        raise ValueError("no database")

    failing = type("Failing", (kind,), {method: fail})
    runner = make(Means())

    def all_of_it() -> None:
        runner.set_up(failing, CONTEXT)
        assert method == "teardown"
        runner.tear_down(TeardownReason.LEASE_LOST)

    with pytest.raises(ValueError, match="no database"):
        all_of_it()


# --- Threads ---


def test_as_many_threads_as_are_needed() -> None:
    """None is started before there is something for it; no more than there are slots."""
    runner, processor = _start("threads")
    before = threading.active_count()
    for number in range(1, 6):
        runner.run(_work(number))
        _finished(runner, 1)
    assert len(processor.threads) == 1
    for number in (600, 600, 600):
        runner.run(_work(number))
    wait_until(lambda: len(processor.threads) == 3)
    assert threading.active_count() <= before + 3
    processor.gate.set()
    _finished(runner, 3)
    assert threading.get_ident() not in processor.threads


def test_setup_and_teardown_are_in_the_main_thread() -> None:
    """Where signal handlers and the like must be installed."""
    runner, processor = _start("threads")
    assert processor.heard == [f"setup {threading.current_thread().name}"]
    runner.tear_down(TeardownReason.LEASE_LOST)


# --- Event loop ---


def test_cancelled() -> None:
    """What waits on the loop ends at once, with an outcome that says so."""
    runner, processor = _start("event loop")
    runner.run(_work(600))
    wait_until(lambda: processor.heard[-1] == "waits")
    runner.run(_work(600))  # this one has not begun
    runner.cancel()
    for _, outcome in _finished(runner, 2):
        assert type(outcome.error) is RetryableError
        assert str(outcome.error) == "the handler was cancelled"
    runner.run(_work(1))
    assert _finished(runner, 1)[0][1] is HANDLED


def test_setup_is_on_the_loop() -> None:
    """So that clients belong to it; plain or async."""

    class Own(RecordProcessor):
        def __init__(self) -> None:
            self.loops = [asyncio.get_running_loop()]

        async def setup(self, context: ShardContext) -> None:
            self.loops.append(asyncio.get_running_loop())

        async def process_batch(self, records: Sequence[Record]) -> None:
            self.loops.append(asyncio.get_running_loop())

        async def teardown(self, reason: TeardownReason) -> None:
            self.loops.append(asyncio.get_running_loop())

    processors: list[Own] = []

    def make() -> Own:
        processors.append(Own())
        return processors[0]

    runner = EventLoopRunner(2, Means())
    runner.set_up(make, CONTEXT)
    runner.run(_work(1, 2))
    _finished(runner, 1)
    runner.tear_down(TeardownReason.LEASE_LOST)
    assert len(processors[0].loops) == 4
    assert len({*processors[0].loops}) == 1


def test_sys_exit_in_a_task_that_nobody_awaits() -> None:
    """It does not just end the loop's thread, after which nothing would ever finish."""

    class Leaving(RecordProcessor):
        async def process_record(self, record: Record) -> None:
            self.task = asyncio.ensure_future(self.leave())
            await asyncio.Event().wait()

        async def leave(self) -> None:
            raise SystemExit(3)

    runner = EventLoopRunner(1, Means())
    runner.set_up(Leaving, CONTEXT)
    runner.run(_work(1))
    with pytest.raises(SystemExit):
        _finished(runner, 1)


def test_sys_exit_in_a_task_of_setup() -> None:
    """The same for one that setup awaits: it is raised, and does not hang."""

    class Leaving(RecordProcessor):
        async def setup(self, context: ShardContext) -> None:
            await asyncio.gather(self.leave())

        async def leave(self) -> None:
            raise SystemExit(3)

        async def on_insert(self, record: Record) -> None: ...

    with pytest.raises(SystemExit):
        EventLoopRunner(1, Means()).set_up(Leaving, CONTEXT)


# --- What has finished ---


def test_many_finish_before_anybody_looks() -> None:
    """More than a pipe holds: none is lost, and nobody waits to say so."""
    finished = Finished()
    work = _work(1)
    for _ in range(100_000):
        finished.put(work, HANDLED)
    assert select.select([finished.fd], [], [], 0)[0]
    assert len(finished.take()) == 100_000
    while select.select([finished.fd], [], [], 0)[0]:
        assert finished.take() == []


# --- Which of them, as the settings say ---


class Computes(Plain):
    """A handler that computes."""

    cpu_bound = True


class Batches(RecordProcessor):
    """A handler of batches."""

    def process_batch(self, records: Sequence[Record]) -> None: ...


SHARD = Initialize("shardId-1", worker_id="host-1")


def _settings(**values: Setting) -> Settings:
    return Settings(Path(), DEFAULTS | {"applicationName": "app", **values})


@pytest.mark.parametrize(
    ("processor", "factor", "kind"),
    [
        (Plain, 1, InlineRunner),
        (Plain, 2, ThreadRunner),
        (Async, 1, EventLoopRunner),
        (Async, 2, EventLoopRunner),
        (Computes, 1, InlineRunner),
        (Computes, 2, ChildRunner),
    ],
)
def test_which_runner(processor: type[RecordProcessor], factor: int, kind: type[Runner]) -> None:
    """By what handlers are; without parallelism a plain one needs nothing but the worker's own thread."""
    settings = _settings(parallelizationFactor=factor)
    runner = runner_of(SHARD, processor, settings, source_of(SHARD, processor, settings))
    assert type(runner) is kind
    assert runner.means == Means()


def test_what_a_runner_is_given(tmp_path: Path) -> None:
    """The destination, the store, and the limit of a call."""
    settings = _settings(onFailureDestination=f"file://{tmp_path}", idempotency="memory", timeoutInSeconds=7)
    means = runner_of(SHARD, Plain, settings, source_of(SHARD, Plain, settings)).means
    assert means.timeout_seconds == 7
    assert means.park is not None
    assert means.idempotency is not None


@pytest.mark.parametrize(
    ("processor", "values", "batching"),
    [
        (Plain, {"batchSize": 50, "maximumBatchingWindowInSeconds": 5}, Batching(series=32)),
        (Batches, {}, Batching(100)),
        (Batches, {"batchSize": 50}, Batching(50)),
        (
            Batches,
            {"maximumBatchingWindowInSeconds": 5, "maximumUnacknowledgedBytesPerShard": 1000},
            Batching(100, 5, 500),
        ),
    ],
)
def test_which_batches(
    processor: type[RecordProcessor], values: dict[str, Setting], batching: Batching
) -> None:
    """A window closes at half of what the daemon keeps: it reads no more when its limit is near."""
    assert (
        pipeline_of(processor, _settings(**values), InlineRunner(Means()), lambda _: False)._batching
        == batching
    )


def test_which_policy() -> None:
    """As the properties of the same names say; nothing is given up without a destination."""
    defaults = pipeline_of(Plain, _settings(), InlineRunner(Means()), lambda _: False)._policy
    assert (defaults.maximum_retry_attempts, defaults.maximum_record_age_seconds) == (-1, -1)
    assert not defaults.can_park
    assert not defaults.bisect_batch
    assert (defaults.backoff.first_seconds, defaults.backoff.maximum_seconds) == (0.1, 30)
    given = _settings(
        maximumRetryAttempts=3,
        maximumRecordAgeInSeconds=60,
        bisectBatchOnFunctionError=True,
        onFailureDestination="discard",
        retryBackoffMillis=5,
        maximumRetryBackoffMillis=10,
        parallelizationFactor=4,
    )
    pipeline = pipeline_of(Plain, given, ThreadRunner(4, Means()), lambda _: False)
    policy = pipeline._policy
    assert (policy.maximum_retry_attempts, policy.maximum_record_age_seconds) == (3, 60)
    assert policy.can_park
    assert policy.bisect_batch
    assert (policy.backoff.first_seconds, policy.backoff.maximum_seconds) == (0.005, 0.01)
    assert pipeline._slots == 4
