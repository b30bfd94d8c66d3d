"""How a real worker lives and dies: signals, kills, and a parent that is gone."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import msgspec
import pytest

from tests.packing import frame, packed_message
from tests.protocol.scripted_daemon import (
    IMPORTS,
    LONG_SECONDS,
    ROOT,
    WIRES,
    ScriptedDaemon,
    WireName,
    is_alive,
    record,
    wait_until,
)

IDLE = "class Processor(RecordProcessor):\n    def on_insert(self, record): pass\n"
on_both_wires = pytest.mark.parametrize("wire", WIRES)
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's own tie is Linux's")


@on_both_wires
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_are_the_launchers(number: signal.Signals, wire: WireName, tmp_path: Path) -> None:
    """Neither an idle worker nor a handler in the middle of a record notices."""
    source = """
class Processor(RecordProcessor):
    def on_insert(self, record):
        print("begin", flush=True)
        time.sleep(0.5)
        print("end", flush=True)
"""
    with ScriptedDaemon(tmp_path, source, wire=wire) as daemon:
        daemon.initialize()
        daemon.process.send_signal(number)
        daemon.send_batch(1)
        wait_until(lambda: daemon.printed() == ["begin"])
        daemon.process.send_signal(number)
        daemon.expect_acknowledge(1)
        assert daemon.printed() == ["begin", "end"]
        assert daemon.logs() == []


@on_both_wires
@pytest.mark.parametrize("way", ["subprocess", "fork"])
def test_the_users_own_processes_can_be_terminated(way: str, wire: WireName, tmp_path: Path) -> None:
    """What the worker does with signals is not passed on."""
    ways = {
        "subprocess": "child = subprocess.Popen(['sleep', '1000']); child.terminate(); print(child.wait())",
        "fork": "child = multiprocessing.get_context('fork').Process(target=time.sleep, args=(1000,))\n"
        "        child.start(); child.terminate(); child.join(); print(child.exitcode)",
    }
    source = f"class Processor(RecordProcessor):\n    def on_insert(self, record):\n        {ways[way]}\n"
    with ScriptedDaemon(tmp_path, source, wire=wire) as daemon:
        daemon.initialize()
        daemon.send_batch(1)
        daemon.expect_acknowledge(1)
        wait_until(lambda: daemon.printed() == ["-15"])


@on_both_wires
@pytest.mark.parametrize("way", ["subprocess", "fork"])
@pytest.mark.fault(2)
def test_a_grandchild_does_not_hide_a_death(way: str, wire: WireName, tmp_path: Path) -> None:
    """When the worker is killed, its end of the pipe closes, whatever it has started."""
    ways = {
        "subprocess": "child = subprocess.Popen(['sleep', '1000'])",
        "fork": "child = multiprocessing.get_context('fork').Process(target=time.sleep, args=(1000,))\n"
        "        child.start()",
    }
    source = f"""
class Processor(RecordProcessor):
    def setup(self, context):
        {ways[way]}
        print(child.pid, flush=True)
    def on_insert(self, record): pass
"""
    with ScriptedDaemon(tmp_path, source, wire=wire) as daemon:
        daemon.initialize()
        grandchild = int(daemon.printed()[0])
        try:
            daemon.process.kill()
            daemon.expect_exit(-signal.SIGKILL, timeout_seconds=3)
            assert is_alive(grandchild)
        finally:
            os.kill(grandchild, signal.SIGKILL)


@on_both_wires
@pytest.mark.fault(1)
def test_killed_in_a_batch_nothing_is_acknowledged(wire: WireName, tmp_path: Path) -> None:
    """What the worker said before its death is only what was handled."""
    source = """
class Processor(RecordProcessor):
    def on_insert(self, record):
        if record.sequence_number == "3":
            os.kill(os.getpid(), signal.SIGKILL)
"""
    with ScriptedDaemon(tmp_path, source, wire=wire) as daemon:
        daemon.initialize()
        daemon.send_batch(1)
        daemon.expect_acknowledge(1)
        daemon.send_batch(3)
        daemon.expect_exit(-signal.SIGKILL)


# --- A worker that is forked ---

NURSERY = """
import os, sys
from pathlib import Path
from app import Processor
from record_processor.settings import DEFAULTS, Settings
from record_processor.worker import output, shard
output.log_to_daemon("info")
assignment = shard.parse_assignment(sys.stdin.buffer.readline())
modules = {*sys.modules}
pid = os.fork()
if pid == 0:
    status = shard.run_shard(assignment, Processor, Settings(Path(), DEFAULTS))
    print("imported", sorted({*sys.modules} - modules), flush=True)
    os._exit(status)
print("pid", pid, flush=True)
_, status = os.waitpid(pid, 0)
print("status", os.waitstatus_to_exitcode(status), flush=True)
"""


class Nursery:
    """A process with the user's class, and its child that talks to the test over a socket."""

    def __init__(self, folder: Path, source: str) -> None:
        self.folder = tempfile.mkdtemp(prefix="rp-")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(f"{self.folder}/s")
        listener.listen()
        listener.settimeout(LONG_SECONDS)
        (folder / "app.py").write_text(IMPORTS + source, encoding="utf-8")
        self.process = subprocess.Popen(
            [sys.executable, "-c", NURSERY],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{folder}"},
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.stdout = self.process.stdout
        line = {"socket": f"{self.folder}/s", "token": "t", "worker": 5, "shard": "shardId-1"}
        self.process.stdin.write(json.dumps(line) + "\n")
        self.process.stdin.close()
        self.connection, _ = listener.accept()
        self.connection.settimeout(LONG_SECONDS)
        listener.close()

    def send(self, **message: object) -> None:
        self.connection.sendall(frame(packed_message(message)))

    def receive(self) -> object:
        length = int.from_bytes(self.connection.recv(4, socket.MSG_WAITALL), "big")
        return msgspec.msgpack.decode(self.connection.recv(length, socket.MSG_WAITALL))

    def printed(self) -> list[str]:
        return self.stdout.read().splitlines()

    def close(self) -> None:
        self.connection.close()
        self.process.kill()
        self.process.wait()
        self.stdout.close()
        shutil.rmtree(self.folder)


@pytest.mark.parametrize(("ending", "status"), [("shardEnded", 0), ("canary", 1)])
def test_a_worker_that_is_forked(ending: str, status: int, tmp_path: Path) -> None:
    """It says who it is, works like any other, and imports nothing any more."""
    nursery = Nursery(tmp_path, IDLE)
    try:
        hello = nursery.receive()
        nursery.send(action="initialize", shardId="shardId-1")
        assert nursery.receive() == {"action": "status", "responseFor": "initialize"}
        nursery.send(action="processRecords", records=[record(1), record(2)])
        assert nursery.receive() == {"action": "acknowledge", "sequenceNumber": "2"}
        nursery.send(action=ending)
        pid, *rest = sorted(nursery.printed(), key=lambda line: line.split()[0] != "pid")
        assert hello == {"action": "hello", "token": "t", "worker": 5, "pid": int(pid.split()[1])}
        assert rest == ["imported []", f"status {status}"]
    finally:
        nursery.close()


# --- The tie to the parent ---

PARENT = """
import subprocess, sys, time
child = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE)
print(child.pid, flush=True)
time.sleep(1000)
"""
BUSY = """
print("ready", flush=True)
{work}
class Processor(RecordProcessor):
    def on_insert(self, record): pass
"""


@pytest.fixture
def parents() -> Iterator[list[subprocess.Popen[str]]]:
    """Parents that a test has started, killed at its end."""
    started: list[subprocess.Popen[str]] = []
    yield started
    for parent in started:
        parent.kill()
        parent.communicate()


def _start_parent(
    parents: list[subprocess.Popen[str]], *command: str, stderr: Path
) -> tuple[subprocess.Popen[str], int]:
    """Start a process that only starts the command; return it and the command's process id."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    environ.pop("RECORD_PROCESSOR_PARENT_PID", None)
    with stderr.open("wb") as file:
        parent = subprocess.Popen(
            [sys.executable, "-c", PARENT, *command],
            stdout=subprocess.PIPE,
            stderr=file,
            env=environ,
            text=True,
        )
    parents.append(parent)
    assert parent.stdout is not None
    return parent, int(parent.stdout.readline())


@linux_only
@pytest.mark.parametrize(
    "work", ["while True: pass", "ctypes.PyDLL(None).sleep(1000)", "os.kill(os.getpid(), signal.SIGSTOP)"]
)
def test_a_worker_dies_with_its_parent(
    work: str, tmp_path: Path, parents: list[subprocess.Popen[str]]
) -> None:
    """Also while the user's code is busy, holds the interpreter's lock, or is stopped."""
    (tmp_path / "app.py").write_text(
        "from tests.protocol.scripted_daemon import IMPORTS\nexec(IMPORTS)" + BUSY.format(work=work)
    )
    stderr = tmp_path / "stderr"
    parent, pid = _start_parent(
        parents,
        *(
            sys.executable,
            "-m",
            "record_processor.worker",
            "--processor",
            "app:Processor",
            "--path",
            str(tmp_path),
        ),
        stderr=stderr,
    )
    wait_until(lambda: "ready" in stderr.read_text())
    assert is_alive(pid)
    parent.kill()
    killed_at = monotonic()
    wait_until(lambda: not is_alive(pid))
    assert monotonic() - killed_at < 2


def test_an_orphan_ends_at_once(tmp_path: Path) -> None:
    """If the parent died before the tie was made, there is nobody to work for."""
    with ScriptedDaemon(tmp_path, IDLE, environ={"RECORD_PROCESSOR_PARENT_PID": "1"}) as daemon:
        daemon.expect_exit(1)
        assert daemon.stderr() == ""


def test_the_parents_number_is_not_passed_on(tmp_path: Path) -> None:
    """It is checked if it is given, and the user's own processes do not see it."""
    source = "print(os.environ.get('RECORD_PROCESSOR_PARENT_PID'), flush=True)\n" + IDLE
    with ScriptedDaemon(
        tmp_path, source, environ={"RECORD_PROCESSOR_PARENT_PID": str(os.getpid())}
    ) as daemon:
        daemon.initialize()
        assert daemon.printed() == ["None"]


# --- tether.py as a program ---

TETHER = (sys.executable, "-I", "-S", str(ROOT / "record_processor" / "worker" / "tether.py"))


@linux_only
def test_any_program_dies_with_its_parent(tmp_path: Path, parents: list[subprocess.Popen[str]]) -> None:
    """A program that knows nothing of us is tied all the same, also in a session of its own."""
    parent, pid = _start_parent(
        parents, *TETHER, "--new-session", "--", "sleep", "1000", stderr=tmp_path / "stderr"
    )
    wait_until(lambda: "sleep" in Path(f"/proc/{pid}/comm").read_text())
    assert os.getsid(pid) == pid
    parent.kill()
    killed_at = monotonic()
    wait_until(lambda: not is_alive(pid))
    assert monotonic() - killed_at < 2


@linux_only
def test_signals_are_ignored_by_the_program(tmp_path: Path) -> None:
    """Ctrl-C and SIGTERM to the whole group do nothing to it; its streams and its status are its own."""
    script = "kill -INT $$; kill -TERM $$; cat; echo $RECORD_PROCESSOR_PARENT_PID; exit 7"
    run = subprocess.run(
        [*TETHER, "--", "sh", "-c", script],
        input="in\n",
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "RECORD_PROCESSOR_PARENT_PID": str(os.getpid())},
    )
    assert (run.returncode, run.stdout, run.stderr) == (7, "in\n\n", "")


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--", "/no/such/program"], 127, "/no/such/program cannot be started: No such file or directory"),
        (["--", "/"], 126, "/ cannot be started: Permission denied"),
        (["--"], 1, "usage: tether.py [--new-session] -- program [argument…]"),
        (["sleep"], 1, "usage: tether.py [--new-session] -- program [argument…]"),
        (["--fast", "--", "sleep"], 1, "usage: tether.py [--new-session] -- program [argument…]"),
    ],
)
def test_programs_that_cannot_be_started(arguments: list[str], status: int, message: str) -> None:
    """One line, and a shell's exit status."""
    run = subprocess.run(
        [*TETHER, *arguments],
        capture_output=True,
        encoding="utf-8",
        check=False,
        env={**os.environ, "PYTHONUTF8": "1"},
    )
    assert run.returncode == status
    assert run.stderr.strip().replace("\\u2026", "…") == message
