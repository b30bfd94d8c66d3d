"""Ties a process to its parent: dies when the parent does, ignores the signals that are the launcher's.

Used by the worker's main; and as a program of its own, by path, for processes that are not ours:

    python …/tether.py [--new-session] -- program arguments…

does the same, then becomes that program. It imports nothing of this package, so that it starts at once.
On Linux the kernel does it (`prctl(2)`, PR_SET_PDEATHSIG), also while a handler is busy or stopped. Two of
its rules bind the parent: what counts is the *thread* that started the child, so it must live as long as the
child should; and a program that is set-user-ID loses the tie. Elsewhere a thread watches, which `exec` would
end, so there a foreign program only sees the end of its standard input.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from types import FrameType
from typing import Final

PARENT_PID: Final = "RECORD_PROCESSOR_PARENT_PID"
"""The environment variable with the parent's process id; without it the parent is who it is at the start."""

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NAME: Final = 15
_WATCH_SECONDS: Final = 0.5
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
# Looked up once: that makes types, which would cost each worker a quarter of a megabyte of its own.
_PRCTL: Final = ctypes.CDLL(None, use_errno=True).prctl if sys.platform == "linux" else None


def tie_to_parent(parent_pid: int) -> None:
    """Die by SIGKILL as soon as the parent is dead; at once if it already is."""
    if _PRCTL:
        if _PRCTL(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    else:
        threading.Thread(target=_watch, args=(parent_pid,), name="tether", daemon=True).start()
    if os.getppid() != parent_pid:  # it died before we were tied
        os._exit(1)


def parent_pid_from_environment() -> int:
    """Return the parent's process id, and remove it from the environment: it is not our children's parent."""
    given = os.environ.pop(PARENT_PID, "")
    return int(given) if given.isdigit() else os.getppid()


def name_process(name: str) -> None:
    """Let `ps` and `top` show the first 15 bytes of a name for this process. Linux only."""
    if _PRCTL:
        _PRCTL(_PR_SET_NAME, name.encode(), 0, 0, 0)


def ignore_signals() -> None:
    """Let SIGINT and SIGTERM do nothing here, and their usual work in programs that the user's code starts.

    Were they ignored, a user's subprocess would inherit that, and its `terminate()` would have no effect: so
    they are caught by a function that does nothing, which ends with `exec`.
    """
    for number in _SIGNALS:
        signal.signal(number, _do_nothing)


def give_forks_their_signals_back() -> None:
    """Let SIGINT and SIGTERM do their usual work in the processes that this one forks from now on."""
    fork = _Fork()
    os.register_at_fork(before=fork.before, after_in_parent=fork.in_parent, after_in_child=fork.in_child)


class _Fork(threading.local):
    """Holds signals back while a thread forks, so that one sent to the new child at once is not lost."""

    _mask: set[int | signal.Signals]

    def before(self) -> None:
        self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)

    def in_parent(self) -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)

    def in_child(self) -> None:
        for number in _SIGNALS:
            if signal.getsignal(number) is _do_nothing:
                signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)


def _do_nothing(number: int, frame: FrameType | None) -> None:
    pass


def _watch(parent_pid: int) -> None:
    while os.getppid() == parent_pid:
        time.sleep(_WATCH_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)


def main(arguments: Sequence[str]) -> None:
    """Tie this process to its parent and become the program in `arguments`."""
    options, program = _split(arguments)
    if not program or options not in ([], ["--new-session"]):
        sys.exit("usage: tether.py [--new-session] -- program [argument…]")
    parent_pid = parent_pid_from_environment()
    if options:
        os.setsid()
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)  # unlike a handler, this outlives exec
    if sys.platform == "linux":
        tie_to_parent(parent_pid)
    try:
        os.execvp(program[0], program)  # noqa: S606  # a shell is what nobody wants here
    except OSError as error:
        print(f"{program[0]} cannot be started: {error.strerror}", file=sys.stderr)
        sys.exit(127 if isinstance(error, FileNotFoundError) else 126)


def _split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    place = list(arguments).index("--") if "--" in arguments else len(arguments)
    return list(arguments[:place]), list(arguments[place + 1 :])


if __name__ == "__main__":
    main(sys.argv[1:])
