"""Which worker of its application this process is: the same after a restart, never that of another one alive.

KCL's default is a random id, with which a restarted worker cannot take its own leases back; two processes
with one id take each other's. So the kernel holds the name in use until the process ends, however it ends.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import socket
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Final

from record_processor.errors import ConfigurationError, StartError

_Hold = Callable[[str], "int | None"]
"""Takes a name for this process; returns a descriptor to keep open, or None if another process has it."""

_MOST_WORKERS_OF_A_HOST: Final = 1000


@contextmanager
def hold_worker_id(application: str, worker_id: str | None) -> Iterator[str]:
    """Hold `worker_id`, or the first free `<host>-<number>`, while the block runs; yields it.

    Raises ConfigurationError if another process of this host runs the application under `worker_id`, and
    StartError if names cannot be held at all.
    """
    hold = hold_by_socket if sys.platform == "linux" else hold_by_file
    name, descriptor = (
        _hold_given(application, worker_id, hold) if worker_id else _hold_free(application, hold)
    )
    try:
        yield name
    finally:
        os.close(descriptor)


def _hold_given(application: str, worker_id: str, hold: _Hold) -> tuple[str, int]:
    descriptor = hold(_key(application, worker_id))
    if descriptor is None:
        raise ConfigurationError(
            f"another process on this host runs application {application} as workerId {worker_id}: "
            "stop it, give each its own workerId, or leave workerId out"
        )
    return worker_id, descriptor


def _hold_free(application: str, hold: _Hold) -> tuple[str, int]:
    host = socket.gethostname()
    for number in count(1):
        descriptor = hold(_key(application, f"{host}-{number}"))
        if descriptor is not None:
            return f"{host}-{number}", descriptor
        if number == _MOST_WORKERS_OF_A_HOST:
            break
    raise StartError(
        f"{_MOST_WORKERS_OF_A_HOST} workers of {application} run on this host; give this one a workerId"
    )


def _key(application: str, worker_id: str) -> str:
    return hashlib.sha256(f"{application}\0{worker_id}".encode()).hexdigest()


def hold_by_socket(key: str) -> int | None:
    """Hold a name in Linux's abstract socket namespace.

    Unlike a lock file it is the same for every user and every private /tmp of the host, and no cleaner of
    /tmp can take it away.
    """
    holder = socket.socket(socket.AF_UNIX)
    try:
        holder.bind(f"\0record_processor/{key}")
    except OSError as error:
        holder.close()
        if error.errno == errno.EADDRINUSE:
            return None
        raise StartError(f"cannot hold this process's workerId: {error.strerror}") from None
    return holder.detach()


def hold_by_file(key: str) -> int | None:
    """Hold a name by a lock on a file in a folder that only this user can write."""
    descriptor = os.open(_folder() / key, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _folder() -> Path:
    folder = Path(tempfile.gettempdir(), f"record_processor-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    is_ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077
    if not is_ours:
        raise StartError(f"{folder} must be a folder that only you can read and write: remove it")
    return folder
