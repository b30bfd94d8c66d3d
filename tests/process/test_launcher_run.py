"""The command `record-processor run` as a process of its own, with a program that plays the daemon's part."""

from __future__ import annotations

import hashlib
import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

import record_processor

_PACKAGE: Final = Path(record_processor.__file__).parent
_DEADLINE_SECONDS: Final = 20.0

# Plays java: `-version`, and the daemon. What it does is the name of a function in $STAND_IN.
_STAND_IN: Final = """
import json, os, pathlib, subprocess, sys, time

if sys.argv[1:] == ["-version"]:
    print('openjdk version "%s" 2025' % os.environ.get("STAND_IN_VERSION", "17.0.15"), file=sys.stderr)
    sys.exit()

notes = pathlib.Path(os.environ["STAND_IN_NOTES"])

def note(name, text=""):
    with open(notes / name, "a") as file:
        file.write(str(text) + "\\n")

def say(level, message, **more):
    line = dict(ts=1764000000123, level=level, logger="recordprocessor.Daemon", message=message, **more)
    print(json.dumps(line), flush=True)

def start():
    say("INFO", "the daemon runs", event="started")
    note("started", os.getpid())

def await_drain():
    for line in sys.stdin:
        if json.loads(line) == dict(action="drain"):
            note("drained")
            return
    note("stdin ended")
    time.sleep(600)

def drains():
    start()
    await_drain()
    say("INFO", "drained")
    sys.exit(143)

def refuses():
    say("INFO", "looking for the table")
    say("ERROR", "there is no table orders in eu-west-1", exception="SomeException: x\\n\\tat Y")
    sys.exit(3)

def refuses_silently():
    sys.exit(3)

def crashes_once():
    start()
    if len((notes / "started").read_text().split()) == 1:
        sys.exit(1)
    await_drain()

def crashes():
    note("started")
    sys.exit(1)

def is_deaf():
    child = subprocess.Popen(["sleep", "600"])
    note("child", child.pid)
    start()
    time.sleep(600)

def is_deaf_before_it_starts():
    note("started", os.getpid())
    time.sleep(600)

def fails_to_drain():
    start()
    await_drain()
    sys.exit(1)

def stops():
    start()
    say("ERROR", "the shard is stopped", shard="shardId-1")
    say("ERROR", "1 shard was stopped by a fatal error, shardId-1: no such table", event="ended")
    sys.exit(4)

def drains_with_a_stopped_shard():
    start()
    await_drain()
    say("ERROR", "1 shard was stopped by a fatal error, shardId-1: no such table", event="ended")
    say("INFO", "drained")
    sys.exit(4)

def crashes_with_a_word():
    start()
    if len((notes / "started").read_text().split()) == 1:
        say("ERROR", "KCL's scheduler ended by itself", event="ended")
        sys.exit(1)
    await_drain()

def chatters():
    start()
    for number in range(100_000):
        say("INFO", "line %d %s" % (number, "x" * 100))
    note("chattered")
    await_drain()

def complains():
    print("Picked up JAVA_TOOL_OPTIONS: -Dx=y", file=sys.stderr)
    print("OpenJDK warning \\x1b[31mred", file=sys.stderr)
    sys.stderr.flush()
    print("this is not JSON", flush=True)
    shard = "shardId-00000001700000000000-a1b2c3d4"
    say("WARNING", "two\\nlines", shard=shard, exception="Oops: x\\n\\tat Y")
    say("DEBUG", "details")
    drains()

note("first line", sys.stdin.readline())
note("command", json.dumps(sys.argv))
note("environment", json.dumps(dict(os.environ)))
globals()[os.environ["STAND_IN"]]()
"""


class Launcher:
    """A running `record-processor run`, and where its stand-in leaves notes."""

    def __init__(self, process: subprocess.Popen[bytes], notes: Path) -> None:
        self.process = process
        self.notes = notes

    def note(self, name: str) -> list[str]:
        """Return the lines of a note; empty if it is not there yet."""
        path = self.notes / name
        return path.read_text().splitlines() if path.exists() else []

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition."""
        wait_for(condition)

    def end(self) -> tuple[int, str]:
        """Wait for the end; return the exit code and what was written to standard error."""
        _, stderr = self.process.communicate(timeout=_DEADLINE_SECONDS)
        return self.process.returncode, stderr.decode()


class Runner:
    """Starts launchers in a package tree with stand-ins for what this test cannot have: Java and the jars."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen[bytes]] = []
        self.notes = folder / "notes"
        self.notes.mkdir()
        self.home = folder / "work"
        self.home.mkdir()
        self.java_home = folder / "java"
        self._make_java()
        self._make_packages()
        (self.home / "shop.py").write_text(
            "from record_processor import RecordProcessor\n"
            "class Orders(RecordProcessor):\n    def on_insert(self, record): pass\n"
        )
        self.write("processor = shop:Orders")

    def write(self, what: str, more: str = "") -> None:
        """Write the properties file, with what is always needed."""
        name = f"app-{os.getpid()}-{self.folder.name}"
        text = f"{what}\nsourceTable = orders\nregionName = eu-west-1\napplicationName = {name}\n{more}\n"
        path = self.home / "orders.properties"
        path.write_text(text)
        path.chmod(0o600)

    def environment(self, stand_in: str, **more: str) -> dict[str, str]:
        """Return the environment of a launcher."""
        return {
            **os.environ,
            "PYTHONPATH": str(self.folder / "site"),
            "JAVA_HOME": str(self.java_home),
            "STAND_IN": stand_in,
            "STAND_IN_NOTES": str(self.notes),
            **more,
        }

    def start(self, stand_in: str, *options: str, stderr: int = subprocess.PIPE, **more: str) -> Launcher:
        """Start a launcher in a process group of its own."""
        process = subprocess.Popen(
            [sys.executable, "-m", "record_processor", "run", "orders.properties", *options],
            cwd=self.home,
            env=self.environment(stand_in, **more),
            stdin=subprocess.DEVNULL,
            stderr=stderr,
            start_new_session=True,
        )
        self.processes.append(process)
        return Launcher(process, self.notes)

    def started(self, stand_in: str, *options: str, stderr: int = subprocess.PIPE, **more: str) -> Launcher:
        """Start a launcher and wait until its daemon has started."""
        launcher = self.start(stand_in, *options, stderr=stderr, **more)
        wait_for(lambda: bool(launcher.note("started")))
        return launcher

    def close(self) -> None:
        """End what a failed test left behind."""
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()
            if process.stderr:
                process.stderr.close()

    def _make_java(self) -> None:
        program = self.java_home / "bin" / "java"
        program.parent.mkdir(parents=True)
        script = program.with_name("stand_in.py")
        script.write_text(_STAND_IN)
        program.write_text(
            f'#!/bin/sh\nexec "{sys.executable}" -IS "{script}" "$@"\n'
        )  # paths may have spaces
        program.chmod(0o755)

    def _make_packages(self) -> None:
        ours = self.folder / "site" / "record_processor"
        kcl = self.folder / "site" / "amazon_kclpy"
        for package in (ours, kcl):
            (package / "jars").mkdir(parents=True)
            for jar in (
                "record-processor-daemon",
                "dynamodb-streams-kinesis-adapter-2.0.1",
                "amazon-kinesis-client",
            ):
                (package / "jars" / f"{jar}.jar").write_bytes(b"jar")
        names = [jar for folder in (ours, kcl) for jar in (folder / "jars").iterdir()]
        locked = {jar.name: hashlib.sha256(b"jar").hexdigest() for jar in names}
        (ours / "jars.lock").write_text("".join(f"{digest}  {name}\n" for name, digest in locked.items()))
        for entry in _PACKAGE.iterdir():
            if entry.name not in ("jars", "jars.lock", "__pycache__"):
                (ours / entry.name).symlink_to(entry)
        (kcl / "__init__.py").touch()


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    """A Runner in a fresh folder."""
    made = Runner(tmp_path)
    yield made
    made.close()


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds; fail after the deadline."""
    until = time.monotonic() + _DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def errors(stderr: str) -> list[str]:
    """Return the lines by which the command says why it ended."""
    return [line for line in stderr.splitlines() if line.startswith("record-processor: error: ")]


# --- The end by signals -------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_drains_and_exits_with_0(runner: Runner, number: int) -> None:
    """SIGINT, SIGTERM and SIGHUP ask the daemon to drain; its 143 is the launcher's 0."""
    launcher = runner.started("drains")
    launcher.process.send_signal(number)
    code, stderr = launcher.end()
    assert (code, launcher.note("drained")) == (0, [""])
    assert "draining" in stderr
    assert not errors(stderr)


@pytest.mark.fault(12)
def test_a_signal_to_the_whole_group_reaches_only_the_launcher(runner: Runner) -> None:
    """Ctrl-C in a terminal and systemd's SIGTERM to the group leave the daemon to drain."""
    launcher = runner.started("drains")
    os.killpg(launcher.process.pid, signal.SIGINT)
    assert launcher.end()[0] == 0
    assert launcher.note("drained") == [""]


def test_the_daemon_ignores_sigterm(runner: Runner) -> None:
    """A SIGTERM sent to every process, as when a container ends, leaves the daemon to drain."""
    launcher = runner.started("drains")
    os.kill(int(launcher.note("started")[0]), signal.SIGTERM)
    launcher.process.send_signal(signal.SIGTERM)
    assert launcher.end()[0] == 0
    assert launcher.note("drained") == [""]


def test_a_second_signal_ends_everything_at_once(runner: Runner) -> None:
    """A second signal kills the daemon and what it started, and exits with 130."""
    launcher = runner.started("is_deaf")
    launcher.process.send_signal(signal.SIGINT)
    assert launcher.process.stderr is not None
    seen = b""
    while b"draining" not in seen:
        seen += launcher.process.stderr.readline()
    time.sleep(0.6)  # what comes sooner is taken for the same signal, sent to the process and its group
    launcher.process.send_signal(signal.SIGINT)
    assert launcher.end()[0] == 130
    wait_for(lambda: not is_alive(int(launcher.note("child")[0])))


def test_a_signal_to_the_process_and_its_group_is_one_signal(runner: Runner) -> None:
    """`timeout` and service managers send both within an instant: that drains, and does not end at once."""
    launcher = runner.started("drains")
    launcher.process.send_signal(signal.SIGTERM)
    launcher.process.send_signal(signal.SIGTERM)
    assert launcher.end()[0] == 0


def test_a_daemon_that_does_not_drain_in_time_is_killed(runner: Runner) -> None:
    """After shutdownGraceMillis and two seconds the daemon and its children are killed; exit 4 says why."""
    runner.write("processor = shop:Orders", "shutdownGraceMillis = 1000")
    launcher = runner.started("is_deaf")
    launcher.process.send_signal(signal.SIGTERM)
    code, stderr = launcher.end()
    assert code == 4
    assert len(errors(stderr)) == 1
    assert "shutdownGraceMillis" in errors(stderr)[0]
    for pid in (*launcher.note("started"), *launcher.note("child")):
        wait_for(lambda pid=int(pid): not is_alive(pid))  # type: ignore[misc]


def test_a_daemon_that_crashes_while_it_drains_did_not_drain(runner: Runner) -> None:
    """Any other exit code than that of a drain is an error."""
    launcher = runner.started("fails_to_drain")
    launcher.process.send_signal(signal.SIGTERM)
    code, stderr = launcher.end()
    assert code == 4
    assert "exit code 1 while it drained" in errors(stderr)[0]


@pytest.mark.parametrize(
    ("stand_in", "is_signalled"), [("stops", False), ("drains_with_a_stopped_shard", True)]
)
def test_fatal_errors_of_handlers_are_the_commands_last_words(
    runner: Runner, stand_in: str, is_signalled: bool
) -> None:
    """The reason is said once, and the exit code is 4, whether or not a signal asked for the end."""
    launcher = runner.started(stand_in)
    if is_signalled:
        launcher.process.send_signal(signal.SIGTERM)
    code, stderr = launcher.end()
    assert code == 4
    assert errors(stderr) == [
        "record-processor: error: 1 shard was stopped by a fatal error, shardId-1: no such table"
    ]
    assert stderr.count("no such table") == 1
    assert len(launcher.note("started")) == 1


def test_why_a_daemon_crashed_is_in_the_log_before_it_is_started_again(runner: Runner) -> None:
    """Its last words are the command's only if the command ends."""
    launcher = runner.started("crashes_with_a_word")
    wait_for(lambda: len(launcher.note("started")) == 2)
    launcher.process.send_signal(signal.SIGTERM)
    code, stderr = launcher.end()
    assert code == 0
    assert stderr.count("KCL's scheduler ended by itself") == 1
    assert stderr.index("ended by itself") < stderr.index("starting it again")


def test_a_signal_before_the_daemon_has_started_ends_with_0(runner: Runner) -> None:
    """A daemon that is not up yet holds nothing, and is not waited for beyond the grace."""
    runner.write("processor = shop:Orders", "shutdownGraceMillis = 1000")
    launcher = runner.started("is_deaf_before_it_starts")
    launcher.process.send_signal(signal.SIGINT)
    code, stderr = launcher.end()
    assert (code, errors(stderr)) == (0, [])
    assert not is_alive(int(launcher.note("started")[0]))


def test_a_signal_while_the_users_module_is_imported_ends_with_0(runner: Runner) -> None:
    """Ctrl-C during the check before Java ends the check, too."""
    pid_file = runner.notes / "importing"
    (runner.home / "shop.py").write_text(
        f"import os, pathlib, time\n"
        f"pathlib.Path({str(pid_file)!r}).write_text(str(os.getpid()) + ' ')\n"
        "time.sleep(600)\n"
    )
    launcher = runner.start("drains")
    wait_for(lambda: pid_file.exists() and pid_file.read_text().endswith(" "))
    os.killpg(launcher.process.pid, signal.SIGINT)
    assert launcher.end() == (0, "")
    assert not is_alive(int(pid_file.read_text()))


def test_a_signal_while_waiting_to_start_again_ends_with_0(runner: Runner) -> None:
    """The pause before a restart does not delay the end."""
    launcher = runner.started("crashes")
    assert launcher.process.stderr is not None
    while b"starting it again" not in launcher.process.stderr.readline():
        pass
    launcher.process.send_signal(signal.SIGTERM)
    assert launcher.end()[0] == 0
    assert len(launcher.note("started")) == 1


# --- Deaths -------------------------------------------------------------------------------------------------


def test_a_killed_launcher_takes_everything_with_it(runner: Runner) -> None:
    """After SIGKILL of the launcher its daemon is gone within two seconds, although it is busy elsewhere."""
    launcher = runner.started("is_deaf")
    launcher.process.kill()
    killed = time.monotonic()
    wait_for(lambda: not is_alive(int(launcher.note("started")[0])))
    assert time.monotonic() - killed < 2
    os.kill(int(launcher.note("child")[0]), signal.SIGKILL)  # a stand-in's child is not tied as a worker is


def test_a_crashed_daemon_is_started_again_as_the_same_worker(runner: Runner) -> None:
    """A daemon that crashes after it had started is started again with the same first line, but the token."""
    launcher = runner.started("crashes_once")
    wait_for(lambda: len(launcher.note("started")) == 2)
    launcher.process.send_signal(signal.SIGTERM)
    code, stderr = launcher.end()
    first, second = (json.loads(line) for line in launcher.note("first line") if line)
    assert code == 0
    assert len(first.pop("token")) == 64
    assert second.pop("token")
    assert first == second
    assert "the daemon ended with exit code 1; starting it again in" in stderr


# --- Mistakes -----------------------------------------------------------------------------------------------


def test_a_daemon_that_refuses_gives_the_reason_once(runner: Runner) -> None:
    """Exit code 3 is passed on with the daemon's last ERROR as the one line, without its stack trace."""
    code, stderr = runner.start("refuses").end()
    assert code == 3
    assert errors(stderr) == ["record-processor: error: there is no table orders in eu-west-1"]
    assert stderr.count("there is no table") == 1
    assert "SomeException" not in stderr


def test_the_stack_trace_of_a_refusal_is_there_for_debug(runner: Runner) -> None:
    """With --log-level debug the daemon's exception is shown."""
    code, stderr = runner.start("refuses", "--log-level", "debug").end()
    assert code == 3
    assert "\n    SomeException: x\n" in stderr


def test_a_refusal_without_a_reason_is_still_one_line(runner: Runner) -> None:
    """A daemon that exits with 3 and says nothing ends the command with 3."""
    code, stderr = runner.start("refuses_silently").end()
    assert code == 3
    assert len(errors(stderr)) == 1
    assert "exit code 3" in errors(stderr)[0]


def test_a_processor_that_raises_at_import_shows_the_users_traceback(runner: Runner) -> None:
    """The user's own traceback comes first, then one line; Java is not started."""
    (runner.home / "shop.py").write_text("def helper():\n    return 1 / 0\nhelper()\n")
    code, stderr = runner.start("drains").end()
    *traceback, last = stderr.splitlines()
    assert code == 2
    assert last.startswith("record-processor: error: orders.properties: processor: ")
    assert "ZeroDivisionError" in last
    assert "return 1 / 0" in "\n".join(traceback)
    assert str(_PACKAGE) not in stderr
    assert str(runner.folder / "site") not in stderr
    assert not (runner.notes / "first line").exists()


@pytest.mark.parametrize(
    ("killer", "exit_code", "expected"),
    [
        ("SIGSEGV", 2, "importing it ended Python by SIGSEGV"),
        ("SIGKILL", 3, "by SIGKILL: the host may be out of memory"),
    ],
)
@pytest.mark.parametrize("start_method", ["fork", "spawn"])
def test_a_module_that_kills_python_is_one_line(
    runner: Runner, killer: str, exit_code: int, expected: str, start_method: str
) -> None:
    """A crash inside a C extension at import is told with its signal; what was killed may be started again."""
    (runner.home / "shop.py").write_text(f"import os, signal\nos.kill(os.getpid(), signal.{killer})\n")
    runner.write("processor = shop:Orders", f"workerStartMethod = {start_method}")
    code, stderr = runner.start("drains").end()
    assert code == exit_code
    assert expected in errors(stderr)[0]


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("processor = nowhere:Orders", "there is no module nowhere"),
        ("executableName = no-such-program", "executableName: no-such-program is not on PATH"),
        ("executableName = ./shop.py", "chmod +x ./shop.py"),
    ],
)
def test_what_cannot_be_run_is_one_line_before_java(runner: Runner, what: str, expected: str) -> None:
    """A wrong processor or program ends with 2 and one line that says where and what."""
    runner.write(what)
    code, stderr = runner.start("drains").end()
    assert code == 2
    assert stderr.count("\n") == 1
    assert expected in errors(stderr)[0]
    assert "orders.properties" in stderr
    assert not (runner.notes / "first line").exists()


def test_an_old_java_is_one_line(runner: Runner) -> None:
    """Java 11 is refused with what to install."""
    code, stderr = runner.start("drains", STAND_IN_VERSION="11.0.2").end()
    assert code == 3
    assert "Java 11, which is too old" in errors(stderr)[0]


@pytest.mark.fault(31)
def test_the_same_worker_id_twice_is_refused(runner: Runner) -> None:
    """A second process of the same application with the same workerId would take the first one's leases."""
    runner.write("processor = shop:Orders", "workerId = me")
    first = runner.started("drains")
    code, stderr = runner.start("drains").end()
    assert code == 2
    assert "workerId me" in errors(stderr)[0]
    first.process.send_signal(signal.SIGTERM)
    assert first.end()[0] == 0


# --- What the daemon is told --------------------------------------------------------------------------------


def test_the_daemon_gets_settings_worker_id_and_command(runner: Runner) -> None:
    """The first line is the contract between launcher and daemon."""
    launcher = runner.started("drains", "--log-level", "warning")
    launcher.process.send_signal(signal.SIGTERM)
    assert launcher.end() == (0, "")
    told = json.loads(launcher.note("first line")[0])
    assert told["settings"]["sourceTable"] == ["orders"]
    assert told["settings"]["checkpointIntervalMillis"] == 5000
    assert told["workerId"] == f"{os.uname().nodename}-1"
    assert told["logLevel"] == "warning"
    assert told["stockProgram"] is False
    assert told["command"][:5] == [
        sys.executable,
        "-m",
        "record_processor.worker",
        "--processor",
        "shop:Orders",
    ]
    environment = json.loads(launcher.note("environment")[0])
    assert environment["PYTHONUTF8"] == "1"
    assert "-Dfile.encoding=UTF-8" in json.loads(launcher.note("command")[0])


def test_a_stock_program_is_tied_to_the_daemon(runner: Runner) -> None:
    """The words of executableName follow the program that ties them to the daemon's life."""
    program = runner.home / "my program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    runner.write("executableName = './my program' --fast")
    launcher = runner.started("drains")
    launcher.process.send_signal(signal.SIGTERM)
    launcher.end()
    told = json.loads(launcher.note("first line")[0])
    assert told["stockProgram"] is True
    assert told["command"][-3:] == ["--", "./my program", "--fast"]


def test_a_locale_without_utf8_is_replaced(runner: Runner) -> None:
    """Under LC_ALL=C the daemon would pass on a path like /home/josé with a question mark."""
    launcher = runner.started("drains", LC_ALL="C")
    launcher.process.send_signal(signal.SIGTERM)
    launcher.end()
    assert json.loads(launcher.note("environment")[0])["LC_ALL"] == "C.UTF-8"


# --- The log ------------------------------------------------------------------------------------------------


def test_the_text_log_is_safe_for_a_terminal(runner: Runner) -> None:
    """Control characters are escaped, exceptions indented, and Java's notice of an option is no warning."""
    launcher = runner.started("complains")
    launcher.process.send_signal(signal.SIGTERM)
    code, stderr = launcher.end()
    assert code == 0
    assert r"WARNING OpenJDK warning \x1b[31mred" in stderr
    assert "WARNING this is not JSON" in stderr
    assert "WARNING shardId-…a1b2c3d4  two\\nlines\n    Oops: x\n    \tat Y\n" in stderr
    assert "Picked up" not in stderr
    assert "details" not in stderr


def test_the_json_log_is_json_to_its_last_line(runner: Runner) -> None:
    """With --log-format json every line parses, the reason of the end included."""
    code, stderr = runner.start("refuses", "--log-format", "json", "--log-level", "debug").end()
    lines = [json.loads(line) for line in stderr.splitlines()]
    assert code == 3
    assert lines[-1]["level"] == "ERROR"
    assert lines[-1]["message"] == "there is no table orders in eu-west-1"
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"]) for line in lines)


def test_a_reader_that_stops_reading_stops_nothing(runner: Runner) -> None:
    """The daemon writes on while nobody takes the log; what is dropped is counted once it flows."""
    launcher = runner.started("chatters")
    wait_for(lambda: bool(launcher.note("chattered")))
    assert launcher.process.stderr is not None
    os.set_blocking(launcher.process.stderr.fileno(), False)
    seen = b""
    while b"log lines before this one were dropped" not in seen:
        assert select.select([launcher.process.stderr], [], [], _DEADLINE_SECONDS)[0]
        seen += os.read(launcher.process.stderr.fileno(), 1 << 20)
    os.set_blocking(launcher.process.stderr.fileno(), True)
    launcher.process.send_signal(signal.SIGTERM)
    assert launcher.end()[0] == 0
    dropped = re.search(rb"(\d+) log lines before", seen)
    assert dropped is not None
    assert int(dropped[1]) + len(re.findall(rb" line \d+ ", seen)) == 100_000


def test_a_full_log_does_not_delay_the_end(runner: Runner) -> None:
    """A drain ends although nobody ever reads the log again."""
    launcher = runner.started("chatters")
    wait_for(lambda: bool(launcher.note("chattered")))
    launcher.process.send_signal(signal.SIGTERM)
    assert launcher.process.wait(_DEADLINE_SECONDS) == 0


def test_a_closed_log_stops_nothing(runner: Runner) -> None:
    """The reader of the log goes away: the daemon runs on, and drains."""
    reader, writer = os.pipe()
    launcher = runner.started("chatters", stderr=writer)
    os.close(writer)
    os.close(reader)
    wait_for(lambda: bool(launcher.note("chattered")))
    launcher.process.send_signal(signal.SIGTERM)
    assert launcher.process.wait(_DEADLINE_SECONDS) == 0


def test_closed_standard_descriptors_are_harmless(runner: Runner) -> None:
    """Started without 0, 1 and 2, as some supervisors do, the command works, and no file gets its log."""
    process = subprocess.Popen(
        ["sh", "-c", f"exec {sys.executable} -m record_processor run orders.properties <&- >&- 2>&-"],
        cwd=runner.home,
        env=runner.environment("complains"),
        start_new_session=True,
    )
    runner.processes.append(process)
    wait_for((runner.notes / "started").exists)
    process.send_signal(signal.SIGTERM)
    assert process.wait(_DEADLINE_SECONDS) == 0
    assert "WARNING" not in (runner.notes / "started").read_text()
