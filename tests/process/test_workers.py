"""How workers are started, by fork and by spawn, and how each one's end is seen, whoever dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from record_processor.launcher import nursery, workers
from record_processor.launcher.preflight import ImportFailedError
from tests.process.host import TOKEN, Host, kill
from tests.protocol.scripted_daemon import is_alive

IDLE = "class Processor(RecordProcessor):\n    def on_insert(self, record): pass\n"
BOTH = pytest.mark.parametrize("spawn", [False, True], ids=["fork", "spawn"])


@BOTH
def test_a_worker_says_who_it_is_and_is_this_processs_child(spawn: bool, tmp_path: Path) -> None:
    """It has the token and its number, a session of its own, and nothing on standard input."""
    source = """
class Processor(RecordProcessor):
    def setup(self, context):
        print(os.getppid(), os.getsid(0) == os.getpid(), sys.stdin.read(), os.getcwd())
        logging.getLogger("mine").warning("ready: %s", context.shard_id)
    def on_insert(self, record): pass
"""
    with Host(tmp_path, source, spawn=spawn) as host:
        connection = host.start(worker=7, shard="shardId-x")
        assert connection.hello == {"action": "hello", "token": TOKEN, "worker": 7, "pid": connection.pid}
        connection.initialize()
        host.until(lambda: len(host.log.lines) == 2)
        printed, logged = host.log.lines
        assert printed.message == f"{os.getpid()} True  {Path.cwd()}"
        assert (logged.level.name, logged.logger, logged.message) == ("WARNING", "mine", "ready: shardId-1")
        assert {printed.shard, logged.shard} == {"shardId-x"}
        connection.end()
        host.until(lambda: host.ended == {7: "it ended with exit code 0"})


@BOTH
@pytest.mark.parametrize(
    ("end", "reason"),
    [
        ("os._exit(3)", "it ended with exit code 3"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "it ended with signal 9"),
        ("subprocess.Popen(['sleep', '1000']); os._exit(0)", "it ended with exit code 0"),
    ],
)
def test_the_daemon_hears_how_a_worker_ended(spawn: bool, end: str, reason: str, tmp_path: Path) -> None:
    """Also when a subprocess of it holds its output open."""
    source = f"class Processor(RecordProcessor):\n    def setup(self, context): {end}\n    def on_insert(self, record): pass\n"
    with Host(tmp_path, source, spawn=spawn) as host:
        host.start(worker=3).send(action="initialize", shardId="shardId-1")
        host.until(lambda: host.ended == {3: reason})


def test_fifty_workers_share_what_the_nursery_imported(tmp_path: Path) -> None:
    """Nothing of ours is imported after the fork, and the collector leaves alone what is shared."""
    source = """
import gc
at_import = None
class Processor(RecordProcessor):
    def setup(self, context):
        print(sorted(set(sys.modules) - at_import), gc.get_freeze_count() > 1000, gc.isenabled(), flush=True)
    def on_insert(self, record): pass
at_import = set(sys.modules)
"""
    with Host(tmp_path, source) as host:
        connections = [host.start(number) for number in range(1, 51)]
        assert len({connection.pid for connection in connections}) == 50
        connections[0].initialize()
        host.until(lambda: host.log.printed("shardId-1"))
        new, *rest = host.log.printed("shardId-1")[0].rsplit(" ", 2)
        assert rest == ["True", "True"]
        assert "record_processor" not in new
        for connection in connections:
            kill(connection.pid)
        host.until(lambda: len(host.ended) == 50)


def test_the_nurserys_death_disturbs_no_worker(tmp_path: Path) -> None:
    """Its workers go on, and the next nursery forks the next ones."""
    with Host(tmp_path, IDLE) as host:
        first = host.start(1)
        kill(host.nursery_pid)
        second = host.start(2)
        first.initialize()
        second.initialize()
        assert host.ended == {}
        assert host.log.warnings == [
            "the nursery ended by SIGKILL; it is started again, no worker is disturbed"
        ]
        kill(first.pid)
        host.until(lambda: host.ended == {1: "it ended with signal 9"})


def test_a_worker_ends_if_the_launcher_dies_while_it_is_forked() -> None:
    """Also if both it and the process between were gone before the worker's first line: it has another parent then."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    begin = "import sys; from record_processor.worker.nursery import begin_worker; begin_worker(2, *map(int, sys.argv[1:]))"
    worker = subprocess.Popen(
        [sys.executable, "-c", begin, str(gone.pid), str(gone.pid)], stderr=subprocess.PIPE
    )
    try:
        _, stderr = worker.communicate(timeout=30)
    finally:
        worker.kill()
    assert (worker.returncode, stderr) == (1, b"")


def test_a_nursery_that_is_stuck_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it was asked for, the next one does."""
    monkeypatch.setattr(nursery, "_FORK_SECONDS", 0.5)
    with Host(tmp_path, IDLE) as host:
        first = host.start(1)
        kill(host.nursery_pid, signal.SIGSTOP)
        second = host.start(2)
        assert is_alive(first.pid)
        assert is_alive(second.pid)
        assert "did not fork within 0.5 s" in host.log.warnings[0]


def test_a_nursery_whose_import_fails_later_says_why(tmp_path: Path) -> None:
    """Say the file was changed while workers run: the daemon hears the reason, and asks again later."""
    with Host(tmp_path, IDLE) as host:
        first = host.start(1)
        (tmp_path / "app.py").write_text("1 / 0")
        kill(host.nursery_pid)
        host.workers.ask(TOKEN, 2, "shardId-2")
        host.until(lambda: 2 in host.ended)
        assert host.ended[2] == "app cannot be imported: ZeroDivisionError: division by zero"
        (tmp_path / "app.py").write_text("from record_processor import *\n" + IDLE)
        host.start(3).initialize()
        assert is_alive(first.pid)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (
            "threading.Thread(target=time.sleep, args=(100,), name='ticker', daemon=True).start()",
            "started a thread, ticker",
        ),
        ("import _thread; _thread.start_new_thread(time.sleep, (100,))", "started a thread, in C"),
        ("import socket; s = socket.socket()", "opened a connection"),
        ("import asyncio; loop = asyncio.new_event_loop()", "opened a connection"),
    ],
)
def test_what_cannot_be_forked_is_found(source: str, reason: str, tmp_path: Path) -> None:
    """A fork would have the thread's locks without the thread, or share a connection."""
    with Host(tmp_path, f"{source}\n{IDLE}") as host:
        assert host.why_not_fork == reason


def test_a_boto3_client_on_import_can_be_forked(tmp_path: Path) -> None:
    """It opens its connections when it is used: each worker has its own."""
    source = """
import boto3
client = boto3.client("sqs", region_name="eu-west-1", aws_access_key_id="x", aws_secret_access_key="x",
                      endpoint_url="http://localhost:1")
class Processor(RecordProcessor):
    def setup(self, context):
        try:
            client.list_queues()
        except Exception as error:
            print(type(error).__name__, flush=True)
    def on_insert(self, record): pass
"""
    with Host(tmp_path, source) as host:
        assert host.why_not_fork is None
        for number in (1, 2):
            host.start(number, f"shardId-{number}").initialize()
            host.until(partial(host.log.printed, f"shardId-{number}"))
            assert host.log.printed(f"shardId-{number}") == ["EndpointConnectionError"]


def test_a_failed_import_is_one_line_and_the_users_traceback(tmp_path: Path) -> None:
    """As it is for a spawned worker."""
    with pytest.raises(
        ImportFailedError, match=r"^x.properties: processor: app cannot be imported: KeyError: 1$"
    ) as info:
        Host(tmp_path, "\n\n{}[1]").__enter__()
    assert "{}[1]" in info.value.output


@BOTH
def test_with_the_daemon_its_workers_end_and_all_they_started(spawn: bool, tmp_path: Path) -> None:
    """A busy handler too, and its subprocesses; and a worker that starts too late for its daemon."""
    source = """
class Processor(RecordProcessor):
    def setup(self, context):
        print(subprocess.Popen(["sleep", "1000"]).pid, flush=True)
        while True: pass
    def on_insert(self, record): pass
"""
    with Host(tmp_path, source, spawn=spawn) as host:
        connection = host.start(1)
        connection.send(action="initialize", shardId="shardId-1")
        host.until(lambda: host.log.printed("shardId-1"))
        subprocess = int(host.log.printed("shardId-1")[0])
        host.workers.ask(TOKEN, 2, "shardId-2")
        host.workers.tend()
        host.workers.end_all()
        host.until(lambda: not is_alive(connection.pid) and not is_alive(subprocess))
        host.until(lambda: not host.workers.pids())
        assert host.ended == {}


@BOTH
def test_signals_do_nothing_to_a_worker_and_their_work_in_its_children(spawn: bool, tmp_path: Path) -> None:
    """As for a worker that the daemon starts."""
    source = """
class Processor(RecordProcessor):
    def setup(self, context):
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(1000,))
        child.start(); child.terminate(); child.join(); print(child.exitcode, flush=True)
    def on_insert(self, record): pass
"""
    with Host(tmp_path, source, spawn=spawn) as host:
        host.start().initialize()
        host.until(lambda: host.log.printed("shardId-1") == ["-15"])


def test_what_users_processes_leave_behind_is_reaped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A subreaper inherits orphans; they do not stay in the process table."""
    monkeypatch.setattr(workers, "_STRANGER_SECONDS", 0.0)
    source = """
class Processor(RecordProcessor):
    def setup(self, context):
        script = "import os; print(os.fork() or '', flush=True); os.setsid()"
        print(subprocess.check_output([sys.executable, "-c", script], text=True).split()[0], flush=True)
    def on_insert(self, record): pass
"""
    with Host(tmp_path, source) as host:
        host.start().initialize()
        host.until(lambda: host.log.printed("shardId-1"))
        orphan = int(host.log.printed("shardId-1")[0])
        host.until(lambda: not Path(f"/proc/{orphan}").exists())


def test_a_line_without_end_and_half_a_line_before_a_log_record(tmp_path: Path) -> None:
    """Nothing that is printed is lost, or taken for something else."""
    source = """
class Processor(RecordProcessor):
    def setup(self, context):
        os.write(1, b"x" * 1_000_000)
        os.write(1, b"half")
        logging.getLogger("mine").error("whole")
        os.write(2, b"\\x1enot json\\n\\xff\\n   \\nlast")
    def on_insert(self, record): pass
"""
    with Host(tmp_path, source) as host:
        connection = host.start()
        connection.initialize()
        connection.end()
        host.until(lambda: host.log.printed("shardId-1")[-1:] == ["last"])
        printed = "".join(host.log.printed("shardId-1"))
        assert printed == "x" * 1_000_000 + "half" + "not json" + "\N{REPLACEMENT CHARACTER}" + "last"
        (logged,) = (line for line in host.log.lines if line.logger == "mine")
        assert (logged.level.name, logged.message) == ("ERROR", "whole")


def test_a_worker_that_is_not_this_processs_child_yet_has_not_ended() -> None:
    """Its process id may be told before the process that forked it has ended."""
    ended: dict[int, str] = {}

    class Forked:
        def __init__(self) -> None:
            self.told = [workers.Started(workers.Assignment("path", TOKEN, 1, "shardId-1"), os.getppid())]

        def outcomes(self) -> Iterator[workers.Started | workers.NotStarted]:
            while self.told:
                yield self.told.pop()

        def seconds_until_due(self) -> float | None:
            return None

        def start(self, assignment: workers.Assignment) -> None: ...

        def close(self) -> None: ...

    tended = workers.Workers(Forked(), "path", None)  # type: ignore[arg-type]
    tended.serve(TOKEN, ended.__setitem__)
    for _ in range(3):
        tended.tend()
    assert ended == {}
    assert tended.pids() == [os.getppid()]
