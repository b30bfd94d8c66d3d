"""A real worker under each setting: what runs at once, what is waited for, given up, cancelled, and said when."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from tests.protocol.scripted_daemon import ScriptedDaemon, is_alive, record, wait_until

Start: TypeAlias = Callable[..., ScriptedDaemon]


def _settings(**values: Any) -> tuple[str, str]:
    """Write the option that says so; pauses are short."""
    return "--settings", json.dumps({"retryBackoffMillis": 1, "maximumRetryBackoffMillis": 5, **values})


def _of(number: int, key: str, **change: Any) -> dict[str, Any]:
    """Make the record of a key."""
    return record(number, Keys={"pk": {"S": key}}, **change)


def _receive(daemon: ScriptedDaemon) -> dict[str, Any]:
    """Return the worker's next word but `progress`."""
    while (message := daemon.receive())["action"] == "progress":
        pass
    return message


def _expect_acknowledge(daemon: ScriptedDaemon, number: int) -> list[int]:
    """Expect acknowledgements up to a record; return them."""
    acknowledged = [0]
    while acknowledged[-1] < number:
        message = _receive(daemon)
        assert message["action"] == "acknowledge", message
        assert int(message["sequenceNumber"]) > acknowledged[-1]
        acknowledged.append(int(message["sequenceNumber"]))
    assert acknowledged[-1] == number
    return acknowledged[1:]


def _end(daemon: ScriptedDaemon, action: str = "shardEnded") -> None:
    daemon.send({"action": action})
    assert _receive(daemon) == {"action": "status", "responseFor": action}
    daemon.expect_exit(0)


def _messages(daemon: ScriptedDaemon, level: str = "ERROR") -> list[str]:
    return [log["message"] for log in daemon.logs(level)]


# --- At once ---

MEETS = """
meeting = threading.Barrier(3, timeout=20)
class Processor(RecordProcessor):
    def on_insert(self, record):
        meeting.wait()
        print("met", threading.current_thread().name, flush=True)
    def teardown(self, reason):
        print("teardown", threading.current_thread() is threading.main_thread(), flush=True)
"""


def test_threads_really_run_at_once(start: Start) -> None:
    """Three calls wait for each other, so that no two of them come one after the other."""
    with start(MEETS, *_settings(parallelizationFactor=3)) as daemon:
        daemon.initialize()
        daemon.send_batch(1, 2, 3, 4, 5, 6)
        _expect_acknowledge(daemon, 6)
        _end(daemon)
        assert daemon.printed() == [*["met handler"] * 6, "teardown True"]


AWAITS = """
import asyncio
class Processor(RecordProcessor):
    async def setup(self, context):
        self.here, self.meeting = 0, asyncio.Event()
    async def on_insert(self, record):
        self.here += 1
        if self.here == 3:
            self.meeting.set()
        await self.meeting.wait()
        print("met", threading.current_thread().name, flush=True)
    async def teardown(self, reason):
        print("teardown", threading.current_thread().name, flush=True)
"""


def test_async_handlers_run_at_once(start: Start) -> None:
    """On one event loop, on which setup and teardown run, too."""
    with start(AWAITS, *_settings(parallelizationFactor=3)) as daemon:
        daemon.initialize()
        daemon.send_batch(1, 2, 3)
        _expect_acknowledge(daemon, 3)
        _end(daemon)
        assert daemon.printed() == [*["met event-loop"] * 3, "teardown event-loop"]


COMPUTES = """
class Processor(RecordProcessor):
    cpu_bound = True
    def setup(self, context):
        print("setup", os.getpid(), os.getppid(), flush=True)
    def on_insert(self, record):
        folder = {folder!r}
        open(f"{{folder}}/{{os.getpid()}}", "w").close()
        while len(os.listdir(folder)) < 3:
            time.sleep(0.001)
        print("handled", os.getpid(), record.sequence_number, record.keys["pk"], flush=True)
    def teardown(self, reason):
        print("teardown", os.getpid(), reason.value, flush=True)
"""


def test_cpu_bound_handlers_run_in_processes(start: Start, tmp_path: Path) -> None:
    """As many as there are slots, at once: each is a child of the worker's, with an instance of its own."""
    (tmp_path / "met").mkdir()
    source = COMPUTES.format(folder=str(tmp_path / "met"))
    with start(source, *_settings(parallelizationFactor=3)) as daemon:
        daemon.initialize()
        worker = daemon.process.pid
        daemon.send_batch(1, 2, 3)
        _expect_acknowledge(daemon, 3)
        _end(daemon)
        words = [line.split() for line in daemon.printed()]
    pids = {word[1] for word in words if word[0] == "setup"}
    assert len(pids) == 3
    assert str(worker) not in pids
    assert {word[2] for word in words if word[0] == "setup"} == {str(worker)}
    assert {word[1] for word in words if word[0] == "handled"} == pids
    assert sorted(word[2:] for word in words if word[0] == "handled") == [
        [str(number), f"item-{number}"] for number in (1, 2, 3)
    ]
    assert {(word[1], word[2]) for word in words if word[0] == "teardown"} == {
        (pid, "shardEnded") for pid in pids
    }
    assert not [pid for pid in pids if is_alive(int(pid))]


ORDER = """
lock, running = threading.Lock(), set()
class Processor(RecordProcessor):
    {how}
    {define} on_insert(self, record):
        key = record.keys["pk"]
        with lock:
            if key in running:
                print("TWICE", key, flush=True)
            running.add(key)
        {pause}
        with lock:
            running.remove(key)
        print(key, record.sequence_number, flush=True)
"""
KINDS = {
    "threads": {"how": "", "define": "def", "pause": "time.sleep(0.001)"},
    "async": {"how": "import asyncio", "define": "async def", "pause": "await self.asyncio.sleep(0.001)"},
    "processes": {"how": "cpu_bound = True", "define": "def", "pause": "time.sleep(0.001)"},
}


@pytest.mark.parametrize("kind", KINDS)
def test_one_keys_records_are_never_at_once_and_in_order(kind: str, start: Start) -> None:
    """Whatever runs beside them; and each acknowledgement is a prefix."""
    with start(ORDER.format(**KINDS[kind]), *_settings(parallelizationFactor=4)) as daemon:
        daemon.initialize()
        keys = {number: "abcde"[number * number % 5] for number in range(1, 61)}
        daemon.send_batch(*(_of(number, keys[number]) for number in range(1, 31)))
        daemon.send_batch(*(_of(number, keys[number]) for number in range(31, 61)))
        _expect_acknowledge(daemon, 60)
        _end(daemon)
        words = [line.split() for line in daemon.printed()]
    assert len(words) == 60
    for key in {*keys.values()}:
        numbers = [int(number) for of, number in words if of == key]
        assert numbers == [number for number in keys if keys[number] == key]


GATE = """
def opened(name):
    while not os.path.exists(name):
        time.sleep(0.002)
class Processor(RecordProcessor):
    {how}
    {define} on_insert(self, record):
        print("begins", record.sequence_number, flush=True)
        if record.sequence_number == "2":
            {wait}
        print("ends", record.sequence_number, flush=True)
    {define} teardown(self, reason):
        print("teardown", reason.value, flush=True)
"""
WAITS = {
    "threads": {"how": "", "define": "def", "wait": "opened('gate')"},
    "async": {
        "how": "import asyncio",
        "define": "async def",
        "wait": "await self.asyncio.to_thread(opened, 'gate')",
    },
    "processes": {"how": "cpu_bound = True", "define": "def", "wait": "opened('gate')"},
}


@pytest.mark.parametrize("kind", WAITS)
def test_what_is_acknowledged_is_all_handled(kind: str, start: Start, tmp_path: Path) -> None:
    """The others run ahead of a slow record, the acknowledgement does not."""
    with start(GATE.format(**WAITS[kind]), *_settings(parallelizationFactor=3)) as daemon:
        daemon.initialize()
        daemon.send_batch(1, 2, 3, 4, 5)
        _expect_acknowledge(daemon, 1)
        wait_until(lambda: "ends 5" in daemon.printed())
        daemon.expect_silence()
        (tmp_path / "gate").touch()
        _expect_acknowledge(daemon, 5)


@pytest.mark.parametrize("kind", WAITS)
def test_a_drain_waits_for_what_runs(kind: str, start: Start, tmp_path: Path) -> None:
    """It counts, and nothing else is begun with."""
    with start(GATE.format(**WAITS[kind]), *_settings(parallelizationFactor=2)) as daemon:
        daemon.initialize()
        daemon.send_batch(1, 2)
        _expect_acknowledge(daemon, 1)
        daemon.send({"action": "shutdownRequested"})
        daemon.send_batch(3)
        daemon.expect_silence()
        (tmp_path / "gate").touch()
        _expect_acknowledge(daemon, 2)
        assert _receive(daemon) == {"action": "status", "responseFor": "shutdownRequested"}
        daemon.expect_exit(0)
        assert "begins 3" not in daemon.printed()
        assert "teardown shutdownRequested" in daemon.printed()


# --- Async ---

SLEEPS = """
import asyncio
class Processor(RecordProcessor):
    async def on_insert(self, record):
        try:
            print("begins", record.sequence_number, flush=True)
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            print("cancelled", record.sequence_number, flush=True)
            raise
    async def teardown(self, reason):
        print("teardown", reason.value, flush=True)
"""


def test_async_handlers_are_cancelled_when_the_lease_is_lost(start: Start) -> None:
    """Another host handles their records now; nothing is acknowledged."""
    with start(SLEEPS, *_settings(parallelizationFactor=2)) as daemon:
        daemon.initialize()
        daemon.send_batch(1, 2)
        wait_until(lambda: len(daemon.printed()) == 2)
        _end(daemon, "leaseLost")
        assert sorted(daemon.printed()[2:4]) == ["cancelled 1", "cancelled 2"]
        assert daemon.printed()[4:] == ["teardown leaseLost"]


def test_an_async_handler_that_takes_too_long_has_failed(start: Start, tmp_path: Path) -> None:
    """It is cancelled, and that is an attempt: after the last one its record is given up."""
    folder = tmp_path / "parked"
    folder.mkdir(mode=0o700)
    values = {
        "timeoutInSeconds": 1,
        "maximumRetryAttempts": 1,
        "onFailureDestination": f"file://{folder}",
        "applicationName": "app",
    }
    with start(SLEEPS, *_settings(**values)) as daemon:
        daemon.initialize()
        daemon.send_batch(1)
        _expect_acknowledge(daemon, 1)
        assert daemon.printed() == ["begins 1", "cancelled 1"] * 2
        late = "RetryableError: no answer within timeoutInSeconds = 1: cancelled"
        assert [late in message for message in _messages(daemon)] == [True, True]
        assert "given up after 2 attempts, RetryAttemptsExhausted" in _messages(daemon, "WARNING")[0]
        _end(daemon)


def test_an_async_handler_that_does_not_let_itself_be_cancelled(start: Start) -> None:
    """It hangs, and ends the worker, as any other."""
    source = """
import asyncio
class Processor(RecordProcessor):
    async def on_insert(self, record):
        while True:
            try:
                await asyncio.sleep(1000)
            except asyncio.CancelledError:
                print("never", flush=True)
"""
    with start(source, *_settings(timeoutInSeconds=1)) as daemon:
        daemon.initialize()
        daemon.send_batch(1)
        wait_until(lambda: daemon.process.poll() is not None)
        assert daemon.process.returncode == 1
        assert "never" in daemon.printed()
        assert _messages(daemon)[-1] == (
            "shardId-1: record 1: no answer within timeoutInSeconds = 1; the worker is replaced"
        )


# --- Ends of the worker ---

EXITS = {
    "threads": "class Processor(RecordProcessor):\n    def on_insert(self, record): sys.exit(3)",
    "async": "class Processor(RecordProcessor):\n    async def on_insert(self, record): sys.exit(3)",
    "a task of an async handler's": """
import asyncio
class Processor(RecordProcessor):
    async def on_insert(self, record):
        async def leave():
            sys.exit(3)
        task = asyncio.create_task(leave())
        await asyncio.sleep(1000)
""",
}


@pytest.mark.parametrize("timeout", [{}, {"timeoutInSeconds": 20}])
@pytest.mark.parametrize("kind", EXITS)
def test_sys_exit_ends_the_worker(kind: str, timeout: dict[str, int], start: Start) -> None:
    """In whichever thread or task: it never looks like success, and does not only end its thread."""
    with start(EXITS[kind], *_settings(parallelizationFactor=2, **timeout)) as daemon:
        daemon.initialize()
        daemon.send_batch(1)
        assert daemon.process.wait(15) == 1
        assert _messages(daemon)[0] == "a handler called sys.exit(3); the worker is replaced"
        assert "acknowledge" not in json.dumps(daemon.transcript)


@pytest.mark.parametrize("moment", ["idle", "busy", "sys.exit"])
def test_a_child_that_dies_ends_the_worker(moment: str, start: Start) -> None:
    """Nobody knows of which record; its siblings die, too."""
    handler = (
        "sys.exit(3)" if moment == "sys.exit" else "print('busy', os.getpid(), flush=True); time.sleep(1000)"
    )
    source = f"""
class Processor(RecordProcessor):
    cpu_bound = True
    def setup(self, context):
        print("setup", os.getpid(), flush=True)
    def on_insert(self, record):
        {handler}
"""
    with start(source, *_settings(parallelizationFactor=2)) as daemon:
        daemon.initialize()
        pids = [int(line.split()[1]) for line in daemon.printed()]
        if moment == "idle":
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
        daemon.send_batch(1)
        if moment == "busy":
            wait_until(lambda: len(daemon.printed()) == 3)
            os.kill(int(daemon.printed()[2].split()[1]), signal.SIGKILL)
        assert daemon.process.wait(15) == 1
        (message,) = _messages(daemon)
        died = re.fullmatch(r"process (\d+) of a parallel handler died; the worker is replaced", message)
        assert died
        assert int(died[1]) in pids
        wait_until(lambda: not any(map(is_alive, pids)))


@pytest.mark.parametrize("how", ["", "cpu_bound = True"])
def test_a_call_that_hangs_ends_the_worker(how: str, start: Start) -> None:
    """Once it has taken timeoutInSeconds: Python cannot end a thread. What was handled is acknowledged."""
    source = f"""
class Processor(RecordProcessor):
    {how}
    def on_insert(self, record):
        if record.sequence_number == "2":
            time.sleep(1000)
"""
    with start(source, *_settings(parallelizationFactor=2, timeoutInSeconds=1)) as daemon:
        daemon.initialize()
        daemon.send_batch(1, 2, 3)
        _expect_acknowledge(daemon, 1)
        assert daemon.process.wait(15) == 1
        assert _messages(daemon) == [
            "shardId-1: record 2: no answer within timeoutInSeconds = 1; the worker is replaced"
        ]


# --- Progress ---


def _count_progress(daemon: ScriptedDaemon, number: int) -> int:
    """Return how often the worker says `progress` until it has acknowledged a record."""
    count = 0
    while (message := daemon.receive()).get("sequenceNumber") != str(number):
        count += message["action"] == "progress"
    return count


def test_progress_while_calls_follow_each_other(start: Start) -> None:
    """The daemon's patience is for one call: a series may take longer than timeoutInSeconds."""
    source = """
class Processor(RecordProcessor):
    def on_insert(self, record):
        time.sleep(0.06)
"""
    with start(source, *_settings(timeoutInSeconds=1)) as daemon:
        daemon.initialize()
        daemon.send_batch(*range(1, 21))
        assert _count_progress(daemon, 20) >= 15


def test_progress_while_a_record_fails(start: Start) -> None:
    """Each attempt is a call; nothing hangs."""
    source = """
class Processor(RecordProcessor):
    attempts = 0
    def on_insert(self, record):
        self.attempts += 1
        if self.attempts < 8:
            raise ValueError
"""
    values = {"timeoutInSeconds": 1, "retryBackoffMillis": 60, "maximumRetryBackoffMillis": 60}
    with start(source, *_settings(**values)) as daemon:
        daemon.initialize()
        daemon.send_batch(1)
        assert _count_progress(daemon, 1) >= 8


WAITING = {
    "a window": ({"maximumBatchingWindowInSeconds": 300}, ""),
    "a pause": (
        {"retryBackoffMillis": 60_000, "maximumRetryBackoffMillis": 60_000},
        "raise ValueError",
    ),
}


@pytest.mark.parametrize("why", WAITING)
def test_progress_while_nothing_runs(why: str, start: Start) -> None:
    """A window or a pause may be longer than timeoutInSeconds: nothing hangs, and the worker is not killed."""
    values, body = WAITING[why]
    source = f"""
class Processor(RecordProcessor):
    def process_batch(self, records):
        {body or "pass"}
"""
    with start(source, *_settings(**values, timeoutInSeconds=1)) as daemon:
        daemon.initialize()
        daemon.send_batch(1)
        assert [daemon.receive(1)["action"] for _ in range(25)] == ["progress"] * 25


def test_no_progress_without_a_limit(start: Start) -> None:
    """Nobody counts the time."""
    with start(MEETS, *_settings(parallelizationFactor=3)) as daemon:
        daemon.initialize()
        daemon.send_batch(1, 2, 3)
        assert _count_progress(daemon, 3) == 0


def test_no_progress_while_the_only_call_hangs(start: Start) -> None:
    """So that the daemon can end the worker: in its own thread the worker cannot speak meanwhile."""
    source = """
class Processor(RecordProcessor):
    def on_insert(self, record):
        print("hangs", flush=True)
        while not os.path.exists("gate"):
            time.sleep(0.002)
"""
    with start(source, *_settings(timeoutInSeconds=1)) as daemon:
        daemon.initialize()
        daemon.send_batch(1)
        assert daemon.receive() == {"action": "progress"}
        wait_until(lambda: daemon.printed() == ["hangs"])
        daemon.send_batch(2)
        daemon.expect_silence()


# --- Fatal ---

STOPS = """
class Processor(RecordProcessor):
    {how}
    {define} on_insert(self, record):
        if record.sequence_number == "2":
            raise FatalError("the table\\norders_copy is gone")
    {define} teardown(self, reason):
        print("teardown", flush=True)
"""


@pytest.mark.parametrize("kind", ["inline", *KINDS])
def test_a_fatal_error_is_said_in_one_line(kind: str, start: Start) -> None:
    """What was handled is acknowledged before; then the worker ends, and tears nothing down."""
    source = STOPS.format(**(KINDS["threads"] if kind == "inline" else KINDS[kind]))
    with start(source, *_settings(parallelizationFactor=1 if kind == "inline" else 2)) as daemon:
        daemon.initialize()
        daemon.send_batch(1)
        _expect_acknowledge(daemon, 1)
        daemon.send_batch(2, _of(3, "item-2"))
        message = _receive(daemon)
        assert message["action"] == "fatal"
        assert message["reason"].endswith("FatalError: the table orders_copy is gone")
        assert "\n" not in message["reason"]
        daemon.expect_exit(0)
        assert daemon.printed() == []
        (error,) = _messages(daemon)
        assert error == f"shardId-1: the shard is stopped: {message['reason']}"


def test_a_fatal_error_as_the_shard_ends(start: Start) -> None:
    """The end waits for the records before it, and is not reached."""
    with start(STOPS.format(**KINDS["threads"]), *_settings(timeoutInSeconds=20)) as daemon:
        daemon.initialize()
        daemon.send_batch(1, 2, 3)
        daemon.send({"action": "shardEnded"})
        _expect_acknowledge(daemon, 1)
        assert _receive(daemon)["action"] == "fatal"
        daemon.expect_exit(0)


# --- Batches ---

BATCHES = """
class Processor(RecordProcessor):
    def process_batch(self, records):
        print([int(record.sequence_number) for record in records], flush=True)
        if any(record.sequence_number == "{poison}" for record in records):
            raise ValueError("no")
"""


def _printed(daemon: ScriptedDaemon) -> list[list[int]]:
    return [json.loads(line) for line in daemon.printed()]


def test_batch_size(start: Start) -> None:
    """At most so many, in order, and what is there at once."""
    with start(BATCHES.format(poison=0), *_settings(batchSize=4)) as daemon:
        daemon.initialize()
        daemon.send_batch(*range(1, 11))
        _expect_acknowledge(daemon, 10)
        assert _printed(daemon) == [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10]]


def test_a_window_closes_early_when_the_batch_is_full(start: Start) -> None:
    """Records of several messages are one batch; two full ones at once are not held up by the window."""
    with start(
        BATCHES.format(poison=0), *_settings(batchSize=4, maximumBatchingWindowInSeconds=300)
    ) as daemon:
        daemon.initialize()
        daemon.send_batch(1, 2)
        daemon.send_batch(3)
        daemon.send_batch(*range(4, 14))
        _expect_acknowledge(daemon, 12)
        assert _printed(daemon) == [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]]
        daemon.expect_silence()


def test_a_window_ends(start: Start) -> None:
    """With what there is."""
    with start(BATCHES.format(poison=0), *_settings(maximumBatchingWindowInSeconds=1)) as daemon:
        daemon.initialize()
        daemon.send_batch(1)
        daemon.send_batch(2, 3)
        _expect_acknowledge(daemon, 3)
        assert _printed(daemon) == [[1, 2, 3]]


def test_the_end_of_a_shard_waits_for_its_window(start: Start) -> None:
    """No record is left behind."""
    with start(BATCHES.format(poison=0), *_settings(maximumBatchingWindowInSeconds=1)) as daemon:
        daemon.initialize()
        daemon.send_batch(1)
        daemon.send({"action": "shardEnded"})
        _expect_acknowledge(daemon, 1)
        assert _receive(daemon) == {"action": "status", "responseFor": "shardEnded"}


def test_a_drain_does_not_wait_for_a_window(start: Start) -> None:
    """The next worker gets the records."""
    with start(BATCHES.format(poison=0), *_settings(maximumBatchingWindowInSeconds=300)) as daemon:
        daemon.initialize()
        daemon.send_batch(1)
        _end(daemon, "shutdownRequested")
        assert daemon.printed() == []


@pytest.mark.parametrize("poison", [1, 5, 8])
def test_bisect_finds_the_poison(poison: int, start: Start, tmp_path: Path) -> None:
    """The other records are handled; it is parked, whole, before its number is acknowledged."""
    folder = tmp_path / "parked"
    folder.mkdir(mode=0o700)
    values = {
        "bisectBatchOnFunctionError": True,
        "maximumRetryAttempts": 0,
        "onFailureDestination": f"file://{folder}",
        "applicationName": "app",
    }
    with start(BATCHES.format(poison=poison), *_settings(**values)) as daemon:
        daemon.initialize()
        daemon.send_batch(*(_of(n, f"item-{n}", NewImage={"secret": {"S": "canary"}}) for n in range(1, 9)))
        _expect_acknowledge(daemon, 8)
        calls = _printed(daemon)
        assert "canary" not in daemon.stderr()
    handled = sorted(number for call in calls if poison not in call for number in call)
    assert handled == [number for number in range(1, 9) if number != poison]
    assert [len(call) for call in calls if poison in call] == [8, 4, 2, 1]
    (document,) = _parked(folder)
    assert document["record"]["dynamodb"]["NewImage"] == {"secret": {"S": "canary"}}
    assert document["record"]["dynamodb"]["SequenceNumber"] == str(poison)


def _parked(folder: Path) -> list[dict[str, Any]]:
    """Return what is in a destination."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.rglob("*.json"))]


@pytest.mark.parametrize("kind", ["inline", *KINDS])
def test_parked_before_it_is_acknowledged(kind: str, start: Start, tmp_path: Path) -> None:
    """A destination that is down holds up the record's key, loudly, and no other."""
    folder = tmp_path / "parked"
    source = f"""
class Processor(RecordProcessor):
    {KINDS["threads" if kind == "inline" else kind]["how"]}
    {KINDS["threads" if kind == "inline" else kind]["define"]} on_insert(self, record):
        print("called", record.sequence_number, flush=True)
        if record.sequence_number == "2":
            raise ParkRecordError("a bad total")
"""
    factor = 1 if kind == "inline" else 2
    values = {"onFailureDestination": f"file://{folder}", "applicationName": "app"}
    folder.write_text("this is no folder", encoding="utf-8")
    with start(source, *_settings(parallelizationFactor=factor, **values)) as daemon:
        daemon.initialize()
        daemon.send_batch(1, 2, _of(3, "item-2"), 4)
        _expect_acknowledge(daemon, 1)
        down = "record 2: onFailureDestination did not take it: "
        wait_until(lambda: sum(down in message for message in _messages(daemon)) >= 2)
        if factor == 2:
            wait_until(lambda: "called 4" in daemon.printed())
        assert "called 3" not in daemon.printed()
        folder.unlink()
        _expect_acknowledge(daemon, 4)
        (document,) = _parked(folder)
        assert document["record"]["dynamodb"]["SequenceNumber"] == "2"
        assert daemon.printed().count("called 2") == 1
        (warning,) = _messages(daemon, "WARNING")
        assert warning.startswith("shardId-1: record 2: given up after 1 attempts, ParkRequested: ")
        assert warning.endswith("ParkRecordError: a bad total")


def test_lambdas_response_says_what_failed(start: Start) -> None:
    """Only those are handed out again, and what is behind them of the same key."""
    source = """
class Processor(RecordProcessor):
    calls = 0
    def process_batch(self, records):
        print([int(record.sequence_number) for record in records], flush=True)
        self.calls += 1
        if self.calls == 1:
            return {"batchItemFailures": [{"itemIdentifier": "2"}]}
"""
    with start(source, *_settings()) as daemon:
        daemon.initialize()
        daemon.send_batch(_of(1, "a"), _of(2, "b"), _of(3, "a"), _of(4, "b"))
        _expect_acknowledge(daemon, 4)
        assert _printed(daemon) == [[1, 2, 3, 4], [2, 4]]


# --- One by one ---


def _initialize(daemon: ScriptedDaemon, up_to: int, attempts: int) -> None:
    daemon.send(
        {
            "action": "initialize",
            "shardId": "shardId-1",
            "sequenceNumber": "TRIM_HORIZON",
            "oneByOneUpTo": str(up_to),
            "attempts": attempts,
        }
    )
    daemon.expect_status("initialize")


@pytest.mark.parametrize("factor", [1, 4])
def test_one_by_one(factor: int, start: Start) -> None:
    """Each record is alone, and acknowledged before the next; then it goes on as ever."""
    with start(BATCHES.format(poison=0), *_settings(parallelizationFactor=factor)) as daemon:
        _initialize(daemon, 3, 0)
        daemon.send_batch(*range(1, 9))
        assert _expect_acknowledge(daemon, 8)[:3] == [1, 2, 3]
        assert _printed(daemon)[:3] == [[1], [2], [3]]
        assert sorted(number for call in _printed(daemon)[3:] for number in call) == [4, 5, 6, 7, 8]


def test_a_record_that_ended_its_processes_is_given_up(start: Start, tmp_path: Path) -> None:
    """Without another call, once that was often enough; those behind it are handled."""
    folder = tmp_path / "parked"
    folder.mkdir(mode=0o700)
    values = {
        "maximumRetryAttempts": 1,
        "onFailureDestination": f"file://{folder}",
        "applicationName": "app",
    }
    with start(BATCHES.format(poison=0), *_settings(**values)) as daemon:
        _initialize(daemon, 2, 2)
        daemon.send_batch(1, 2, 3)
        _expect_acknowledge(daemon, 3)
        assert _printed(daemon) == [[2], [3]]
        (document,) = _parked(folder)
        assert document["record"]["dynamodb"]["SequenceNumber"] == "1"
        assert "it ended its process 2 times, the last without a word" in json.dumps(document)


# --- Setup ---

SETUPS = {
    "threads": "    def setup(self, context): raise ValueError('no database')\n    def on_insert(self, r): ...",
    "async": (
        "    async def setup(self, context): raise ValueError('no database')\n"
        "    async def on_insert(self, r): ..."
    ),
    "plain setup, async handlers": (
        "    def setup(self, context): raise ValueError('no database')\n    async def on_insert(self, r): ..."
    ),
    "processes": (
        "    cpu_bound = True\n    def setup(self, context): raise ValueError('no database')\n"
        "    def on_insert(self, r): ..."
    ),
    "__init__ in processes": (
        "    cpu_bound = True\n    def __init__(self): raise ValueError('no database')\n"
        "    def on_insert(self, r): ..."
    ),
}


@pytest.mark.parametrize("kind", SETUPS)
def test_a_setup_that_raises(kind: str, start: Start) -> None:
    """Wherever it runs: the reason is logged, and the worker ends before any record."""
    with start(
        f"class Processor(RecordProcessor):\n{SETUPS[kind]}", *_settings(parallelizationFactor=2)
    ) as daemon:
        daemon.send({"action": "initialize", "shardId": "shardId-1", "sequenceNumber": "TRIM_HORIZON"})
        daemon.expect_exit(1)
        (error,) = daemon.logs()
        assert daemon.printed() == []
    assert error["message"] == "shardId-1: setup failed; the worker is replaced"
    assert "ValueError: no database" in error["exception"]
    assert "app.py" in error["exception"]


@pytest.mark.parametrize("kind", ["threads", "async", "processes"])
def test_a_teardown_that_raises(kind: str, start: Start) -> None:
    """It is logged, and the shard ends all the same."""
    form = KINDS[kind]
    source = f"""
class Processor(RecordProcessor):
    {form["how"]}
    {form["define"]} on_insert(self, record): pass
    {form["define"]} teardown(self, reason): raise ValueError("no")
"""
    with start(source, *_settings(parallelizationFactor=2)) as daemon:
        daemon.initialize()
        daemon.send_batch(1)
        _expect_acknowledge(daemon, 1)
        _end(daemon)
        assert _messages(daemon) == ["shardId-1: teardown failed"]


# --- Checkpoints by hand ---


@pytest.mark.parametrize("kind", KINDS)
def test_a_checkpoint_by_hand_is_refused(kind: str, start: Start) -> None:
    """What runs at once cannot say that all before it is done; the message says for whom it is."""
    form = KINDS[kind]
    source = f"""
class Processor(RecordProcessor):
    {form["how"]}
    def setup(self, context):
        self.checkpointer = context.checkpointer
    {form["define"]} on_insert(self, record):
        try:
            self.checkpointer.checkpoint(record)
        except CheckpointError as error:
            print(type(error).__name__, error, flush=True)
"""
    with start(source, *_settings(parallelizationFactor=2)) as daemon:
        daemon.initialize()
        daemon.send_batch(1)
        _expect_acknowledge(daemon, 1)
        assert daemon.printed() == [
            (
                "CheckpointError a checkpoint by hand is only for plain handlers that run one after the other: "
                "not for another thread or process, an async def, or parallelizationFactor > 1"
            )
        ]


# --- What handlers must not do ---


def test_a_handler_that_returns_an_awaitable_has_failed(start: Start) -> None:
    """A wrapper that is no async def itself would be taken as done, and nothing would have run."""
    source = """
class Processor(RecordProcessor):
    def on_insert(self, record):
        return self.write(record)
    async def write(self, record):
        print("written", flush=True)
"""
    with start(source, *_settings()) as daemon:
        daemon.initialize()
        daemon.send_batch(1)
        wait_until(lambda: len(daemon.logs("ERROR")) >= 2)
        assert (
            "TypeError: the handler returned an awaitable, which nobody awaits: make it an async def"
            in (_messages(daemon)[0])
        )
        daemon.expect_silence()
        assert daemon.printed() == []


@pytest.mark.parametrize("kind", ["inline", *KINDS])
def test_hostile_exceptions(kind: str, start: Start, tmp_path: Path) -> None:
    """Whatever a handler raises is a failure of its record, and no end of anything; it is logged, and parked."""
    form = KINDS["threads" if kind == "inline" else kind]
    folder = tmp_path / "parked"
    folder.mkdir(mode=0o700)
    source = f"""
class Hostile(Exception):
    def __str__(self): raise RuntimeError
class Processor(RecordProcessor):
    {form["how"]}
    {form["define"]} on_insert(self, record):
        raise {{
            "1": Hostile(),
            "2": ValueError("half \\udcff"),
            "3": ValueError("x" * 10**6),
            "4": ExceptionGroup("many", [Hostile()]) if sys.version_info >= (3, 11) else Hostile(),
            "5": ParkRecordError("no \\udcff"),
            "6": StopIteration(6),
            "7": TimeoutError("mine"),
        }}[record.sequence_number]
"""
    values = {
        "maximumRetryAttempts": 1,
        "onFailureDestination": f"file://{folder}",
        "applicationName": "app",
        "timeoutInSeconds": 20,
    }
    factor = 1 if kind == "inline" else 2
    with start(source, *_settings(parallelizationFactor=factor, **values)) as daemon:
        daemon.initialize()
        daemon.send_batch(*range(1, 8))
        _expect_acknowledge(daemon, 7)
        _end(daemon)
        assert all(len(message) < 1000 for message in _messages(daemon))
    assert sorted(int(each["record"]["dynamodb"]["SequenceNumber"]) for each in _parked(folder)) == [
        *range(1, 8)
    ]


@pytest.mark.parametrize("kind", ["inline", *KINDS])
def test_the_log_says_whose_exception_it_is(kind: str, start: Start) -> None:
    """In whichever process it was raised: its class, its message, and the user's own line."""
    form = KINDS["threads" if kind == "inline" else kind]
    source = f"""
class BadTotal(ParkRecordError): pass
class Processor(RecordProcessor):
    {form["how"]}
    failed = 0
    {form["define"]} on_insert(self, record):
        Processor.failed += 1
        if Processor.failed == 1:
            raise ValueError("no")
        if Processor.failed == 2:
            raise BadTotal("-7")
        if Processor.failed == 3:
            raise SkipRecordError("a test order")
"""
    with start(source, *_settings(parallelizationFactor=1 if kind == "inline" else 2)) as daemon:
        daemon.initialize()
        daemon.send_batch(1)
        _expect_acknowledge(daemon, 1)
        first, second = daemon.logs("ERROR")
    assert re.match(
        r"shardId-1: record 1: .*ValueError: no; attempt 1 failed, next one in ", first["message"]
    )
    assert "app.py" in first["exception"]
    assert "in on_insert" in first["exception"]
    assert re.match(
        r"shardId-1: record 1: .*app\.BadTotal: -7; attempt 2 failed, and there is no onFailureDestination .*, next one in ",
        second["message"],
    )


def test_idempotency_keeps_a_repeat_from_the_handler(start: Start, tmp_path: Path) -> None:
    """A second worker is given what the first has handled and not acknowledged: it only acknowledges."""
    source = """
class Processor(RecordProcessor):
    def on_insert(self, record):
        print("handled", record.sequence_number, flush=True)
"""
    options: Sequence[str] = _settings(
        idempotency=f"sqlite://{tmp_path}/keys", applicationName="app", parallelizationFactor=2
    )
    printed = []
    for numbers in ((1, 2), (1, 2, 3)):
        with start(source, *options) as daemon:
            daemon.initialize()
            daemon.send_batch(*numbers)
            _expect_acknowledge(daemon, numbers[-1])
            printed.append(sorted(daemon.printed()))
    assert printed == [["handled 1", "handled 2"], ["handled 3"]]
