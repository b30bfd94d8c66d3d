"""A record-processor application under test: the real command, the real daemon, on DynamoDB Local."""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, TypeAlias

from record_processor.testing import HistoryLog, check_history, wait_until
from record_processor.testing.history import CHECKPOINT, Handled, HistoryReport
from record_processor.testing.running import START_SECONDS, RunningApplication
from record_processor.worker.output import FIRST_PRIVATE_FD

HERE: Final = Path(__file__).parent
NURSERY: Final = "rp-nursery"
VICTIMS: Final = ("worker", "nursery", "jvm", "launcher")
"""The kinds of processes of an application."""
_PIDFD_GETFD: Final = 438
"""Linux's number of the system call."""


class Application(RunningApplication):
    """`record-processor run` with a handler of `handlers`, what it handled, and its processes."""

    def __init__(
        self, folder: Path, endpoint: str, *, shared: Path | None = None, **properties: object
    ) -> None:
        """Take a folder for its files; properties override those of an application with handlers:Recorder.

        `shared` is the folder of flags and history, if several hosts of one application have that in common.
        """
        self.shared = shared or folder
        name = f"app-{self.shared.name}"[:60].replace("[", "-").replace("]", "")
        handler = None if "executableName" in properties else "handlers:Recorder"
        given: dict[str, Any] = {"processor": handler, "applicationName": name, **properties}
        super().__init__(folder, endpoint, **given)
        self.environment = {"TEST_FOLDER": str(self.shared), "PYTHONPATH": str(HERE)}
        self.history = HistoryLog(self.shared / "history.jsonl")
        self._reader = self.history.follow()
        self._handled: set[tuple[str, int]] = set()

    def parked(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run `record-processor parked` with a subcommand and its options; return its exit code and output."""
        subcommand, *options = words
        command = [self.python, "-m", "record_processor", "parked", subcommand, str(self.write_file())]
        return subprocess.run(
            [*command, *options],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            text=True,
            env=os.environ | self.environment,
            cwd=self.folder,
            timeout=START_SECONDS,
            check=False,
        )

    def daemon_pid(self) -> int:
        """The JVM's process id."""
        return self.pids_of("jvm")[0]

    def worker_pids(self) -> list[int]:
        """The process ids of the shards' processes."""
        return [
            pid for parent in (self.pid, *_jvms(self.pid)) for pid in _children(parent) if _is_worker(pid)
        ]

    def handler_pids(self) -> list[int]:
        """The process ids of the shards' processes, and of those in which they run handlers."""
        workers = self.worker_pids()
        return [*workers, *(child for worker in workers for child in _children(worker))]

    def nursery_pid(self) -> int:
        """The process id of what forks them."""
        return self.pids_of("nursery")[0]

    def a_worker(self) -> int:
        """Wait for a shard's process, and return its id."""
        return wait_until(self.worker_pids, START_SECONDS, "a worker")[0]

    def running(self, kind: str) -> list[int]:
        """The ids of its processes of one of the kinds `VICTIMS`, if there are any."""
        if kind == "worker":
            return self.worker_pids()
        if kind == "nursery":
            return [pid for pid in _children(self.pid) if _name(pid) == NURSERY]
        return _jvms(self.pid) if kind == "jvm" else [self.pid]

    def pids_of(self, kind: str) -> list[int]:
        """Wait until there are processes of one of the kinds `VICTIMS`, and return their ids."""
        return wait_until(lambda: self.running(kind), START_SECONDS, f"a {kind}")

    def await_word_for(self, worker: int) -> None:
        """Wait until a busy worker has been told something that it does not look at yet."""
        message = f"a message for worker {worker}"
        theirs = _take_descriptor(worker, FIRST_PRIVATE_FD)
        try:
            wait_until(lambda: _unread_bytes(theirs) > 0, START_SECONDS, message)
        finally:
            os.close(theirs)

    def wait_for_flag(self, name: str) -> None:
        """Wait until a handler has said something by a flag."""
        wait_until((self.folder / name).exists, START_SECONDS, f"the flag {name}")

    def wait_until_handled(self, count: int, timeout_seconds: float = 90) -> None:
        """Wait until so many different changes were handled."""

        def handled() -> bool:
            return self.handled_count() >= count

        self.wait_until(handled, f"{count} changes handled", timeout_seconds)

    def handled_count(self) -> int:
        """Return how many different changes were handled so far."""
        entries = self._reader.entries()
        self._handled |= {(entry.key, entry.n) for entry in entries if isinstance(entry, Handled)}
        return len(self._handled)

    def check(self, written: Mapping[str, Sequence[int]]) -> HistoryReport:
        """Hold what was handled against what was written."""
        report = check_history(self.history.entries(), written)
        report.assert_clean()
        return report

    def exit_code(self) -> int | None:
        """Return the command's exit code, or None while it runs."""
        return self.wait() if self.has_ended else None

    def drain(self, number: signal.Signals = signal.SIGTERM, *, group: bool = False) -> int:
        """Ask for a drain, mark it, and return the exit code."""
        wait_until(lambda: self.has_ended or self.hears_signals(), START_SECONDS, "a launcher")
        code = super().drain(number, group=group)
        self.history.mark("drain")
        return code

    def hears_signals(self) -> bool:
        """Whether the command has taken signals over: before it starts anything, it has.

        Until then it is an interpreter that has not heard of us, and SIGTERM ends it.
        """
        return bool(_children(self.pid))

    @contextmanager
    def disruption(self, kind: str) -> Iterator[None]:
        """Mark what the block does, and before it how far each shard is checkpointed: no repeat lies below."""
        for row in self.leases():
            self.history.mark(CHECKPOINT, shard_id=row["shardId"], sequence_number=row["checkpoint"])
        with self.history.during(kind):
            yield

    def owners(self) -> list[object]:
        """Return who owns a lease, according to the table."""
        return [row["leaseOwner"] for row in self.leases() if "leaseOwner" in row]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave nothing running."""
        if self._process is None or self.has_ended:
            return
        for pid in [*self.worker_pids(), *_children(self.pid), self.pid]:
            kill(pid)
        self.wait(10)


MakeApplication: TypeAlias = Callable[..., Application]
"""The fixture `application`: takes properties, and an `endpoint` other than DynamoDB Local's own."""


def kills(usual: int) -> int:
    """How many kills of a kind a test makes: KILLS in the environment, else as many as there is time for."""
    return int(os.environ.get("KILLS", usual))


def kill(pid: int, number: signal.Signals = signal.SIGKILL) -> None:
    """Send a signal to a process that may be gone."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _take_descriptor(pid: int, number: int) -> int:
    """Return a copy of another process's descriptor."""
    process = os.pidfd_open(pid)
    try:
        descriptor = ctypes.CDLL(None, use_errno=True).syscall(_PIDFD_GETFD, process, number, 0)
        assert descriptor >= 0, os.strerror(ctypes.get_errno())
        return int(descriptor)
    finally:
        os.close(process)


def _unread_bytes(pipe: int) -> int:
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)


def is_alive(pid: int) -> bool:
    """Whether a process runs: neither gone nor a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _jvms(launcher: int) -> list[int]:
    """The daemon, but not what the launcher starts for a moment to check something, `java -version` too."""
    return [pid for pid in _children(launcher) if b"recordprocessor.Daemon" in _command_line(pid)]


def _is_worker(pid: int) -> bool:
    name, command = _name(pid), _command_line(pid)
    was_forked = name.startswith("rp-") and name != NURSERY
    was_spawned = b"record_processor.worker\0" in command and b"--check" not in command
    return was_forked or was_spawned


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text("utf-8").strip()
    except OSError:
        return ""  # it ended meanwhile


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""  # it ended meanwhile


def is_dead(pid: int) -> bool:
    """Whether a process is gone."""
    return not is_alive(pid)


def _children(parent: int) -> list[int]:
    children = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text("utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue  # it ended meanwhile
        if int(fields[1]) == parent and fields[0] != "Z":
            children.append(int(stat.parent.name))
    return children
