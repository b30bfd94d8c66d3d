"""One run of the Java daemon: its process, what it is told, what it says."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import IO, Final

from record_processor.errors import StartError
from record_processor.launcher.commands import TETHER
from record_processor.launcher.log_lines import Level, LogLine, parse, plain
from record_processor.launcher.logs import Log

_LONGEST_LINE_BYTES: Final = 1024 * 1024
_LAST_LINES_SECONDS: Final = 1.0
# Java says so on standard error whenever the variable is set.
_NO_COMPLAINTS: Final = ("Picked up ", "NOTE: Picked up ")


class Daemon:
    """A running daemon. Make it in the main thread: it is killed when the thread that started it ends."""

    def __init__(
        self,
        command: Sequence[str],
        first_line: Mapping[str, object],
        environment: Mapping[str, str],
        log: Log,
        start_worker: Callable[[int, str], None] = lambda _worker, _shard: None,
    ) -> None:
        """Start it, in a session of its own and with SIGINT and SIGTERM ignored, and tell it what to do.

        It asks for workers by `start_worker`, from another thread, with their number and shard. Raises
        StartError if this host cannot start one more process.
        """
        self.started = False
        """Whether it has said that it runs."""
        self._log = log
        self._start_worker = start_worker
        self._held: LogLine | None = None
        self._settled = False
        self._process = _start(command, environment)
        self._stdin, stdout, stderr = _pipes(self._process)
        self._readers = [_read_lines(stdout, self._on_line), _read_lines(stderr, self._on_complaint)]
        self._tell(first_line)

    def exit_code(self) -> int | None:
        """Return how it ended (negative: the signal that ended it), None while it runs."""
        code = self._process.poll()
        if code is not None:
            self._settle()
        return code

    def drain(self) -> None:
        """Ask it to finish what is in hand, to checkpoint, and to end."""
        self._tell({"action": "drain"})

    def tell_ended(self, worker: int, reason: str) -> None:
        """Say that a worker which it asked for has ended, or could not be started."""
        self._tell({"action": "workerEnded", "worker": worker, "reason": reason})

    def kill(self) -> None:
        """End it at once, and everything that it started."""
        self._kill_group()
        self._process.kill()  # it may not have come as far as to have a group
        self._process.wait()
        self._settle()

    def take_reason(self) -> LogLine | None:
        """Return why a daemon ended, once, if it said so; it is not in the log yet.

        That is the line which it marks as such or, of one that had not started, its last ERROR.
        """
        reason, self._held = self._held, None
        return reason

    def close(self) -> None:
        """Make sure that nothing of it is left running, and that all it said is in the log."""
        if self._process.poll() is None:
            self.kill()
        self._settle()
        self._release()

    def _settle(self) -> None:
        """After its end: end what it left behind, and read what it said last."""
        if self._settled:
            return
        self._settled = True
        self._kill_group()
        for reader in self._readers:
            reader.join(_LAST_LINES_SECONDS)
        with suppress(BrokenPipeError):
            self._stdin.close()

    def _kill_group(self) -> None:
        # Its process id is its group's too, and is not given to another while anything of the group lives.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def _tell(self, message: Mapping[str, object]) -> None:
        with suppress(BrokenPipeError):  # it has ended, and its exit code says more
            self._stdin.write(json.dumps(message).encode() + b"\n")
            self._stdin.flush()

    def _on_line(self, raw: bytes) -> None:
        line = parse(raw)
        if line.event == "startWorker":
            self._start_worker(line.worker, line.shard)
        if line.event == "started":
            self.started = True
            self._release()
        if line.event == "ended" or (not self.started and line.level == Level.ERROR):
            # It may be why the daemon ends, and the command's last words: those are said once.
            self._release()
            self._held = line
        else:
            self._log.write(line)

    def _on_complaint(self, raw: bytes) -> None:
        line = plain(raw)
        if line.message.startswith(_NO_COMPLAINTS):
            line = plain(raw, Level.DEBUG)
        self._log.write(line)

    def _release(self) -> None:
        held, self._held = self._held, None
        if held:
            self._log.write(held)


def _start(command: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", TETHER, "--new-session", "--", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(environment),
        )
    except OSError as error:  # this host has no process or memory left
        raise StartError(f"the daemon cannot be started: {error.strerror}") from None


def _pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes], IO[bytes]]:
    assert process.stdin
    assert process.stdout
    assert process.stderr
    return process.stdin, process.stdout, process.stderr


def _read_lines(stream: IO[bytes], on_line: Callable[[bytes], None]) -> threading.Thread:
    """Start a thread that reads a stream to its end, so that the daemon never waits for its log."""

    def read() -> None:
        with stream:
            for line in iter(lambda: stream.readline(_LONGEST_LINE_BYTES), b""):
                on_line(line)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    return thread
