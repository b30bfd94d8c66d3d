"""Asks the kernel who listens on a port, and for one on which nobody does."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import Final

_LISTEN: Final = "0A"  # the state's number in /proc/net/tcp: see proc(5)


def free_port() -> int:
    """Return a TCP port of this host on which nobody listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def is_listening(pid: int, port: int) -> bool:
    """Whether the process itself listens on the TCP port. Where the kernel does not say (not Linux), True."""
    if sys.platform != "linux":
        return True
    sockets = _listening_sockets(pid, port)
    return bool(sockets) and not sockets.isdisjoint(_open_files(pid))


def _listening_sockets(pid: int, port: int) -> set[str]:
    """Return the sockets, as /proc names open files, that listen on the port in the process's network."""
    found = set()
    for table in ("tcp", "tcp6"):
        try:
            lines = Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]
        except OSError:  # it has ended, or there is no IPv6
            continue
        for fields in map(str.split, lines):
            if fields[3] == _LISTEN and fields[1].endswith(f":{port:04X}"):
                found.add(f"socket:[{fields[9]}]")
    return found


def _open_files(pid: int) -> set[str]:
    try:
        return {str(file.readlink()) for file in Path(f"/proc/{pid}/fd").iterdir()}
    except OSError:  # it has ended, or just closed one
        return set()
