"""How a real worker lives and dies: signals, kills, and a parent that is gone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import pytest

from tests.protocol.scripted_daemon import ROOT, ScriptedDaemon, is_alive, wait_until

IDLE = "class Processor(RecordProcessor):\n    def on_insert(self, record): pass\n"
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's own tie is Linux's")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_are_the_launchers(number: signal.Signals, tmp_path: Path) -> None:
    """Neither an idle worker nor a handler in the middle of a record notices."""
    source = """
class Processor(RecordProcessor):
    def on_insert(self, record):
        print("begin", flush=True)
        time.sleep(0.5)
        print("end", flush=True)
"""
    with ScriptedDaemon(tmp_path, source) as daemon:
        daemon.initialize()
        daemon.process.send_signal(number)
        daemon.send_batch(1)
        wait_until(lambda: daemon.printed() == ["begin"])
        daemon.process.send_signal(number)
        daemon.expect_acknowledge(1)
        assert daemon.printed() == ["begin", "end"]
        assert daemon.logs() == []


@pytest.mark.parametrize("way", ["subprocess", "fork"])
def test_the_users_own_processes_can_be_terminated(way: str, tmp_path: Path) -> None:
    """What the worker does with signals is not passed on."""
    ways = {
        "subprocess": "child = subprocess.Popen(['sleep', '1000']); child.terminate(); print(child.wait())",
        "fork": "child = multiprocessing.get_context('fork').Process(target=time.sleep, args=(1000,))\n"
        "        child.start(); child.terminate(); child.join(); print(child.exitcode)",
    }
    source = f"class Processor(RecordProcessor):\n    def on_insert(self, record):\n        {ways[way]}\n"
    with ScriptedDaemon(tmp_path, source) as daemon:
        daemon.initialize()
        daemon.send_batch(1)
        daemon.expect_acknowledge(1)
        wait_until(lambda: daemon.printed() == ["-15"])


@pytest.mark.parametrize("way", ["subprocess", "fork"])
def test_a_grandchild_does_not_hide_a_death(way: str, tmp_path: Path) -> None:
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
    with ScriptedDaemon(tmp_path, source) as daemon:
        daemon.initialize()
        grandchild = int(daemon.printed()[0])
        try:
            daemon.process.kill()
            daemon.expect_exit(-signal.SIGKILL, timeout_seconds=3)
            assert is_alive(grandchild)
        finally:
            os.kill(grandchild, signal.SIGKILL)


def test_killed_in_a_batch_nothing_is_acknowledged(tmp_path: Path) -> None:
    """What the worker said before its death is only what was handled."""
    source = """
class Processor(RecordProcessor):
    def on_insert(self, record):
        if record.sequence_number == "3":
            os.kill(os.getpid(), signal.SIGKILL)
"""
    with ScriptedDaemon(tmp_path, source) as daemon:
        daemon.initialize()
        daemon.send_batch(1)
        daemon.expect_acknowledge(1)
        daemon.send_batch(3)
        daemon.expect_exit(-signal.SIGKILL)


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
