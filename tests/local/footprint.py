"""What processes hold: memory, descriptors, threads. And the law that they hold no more after many faults.

What a process holds for each of its shards comes and goes with the shards, so it is taken off first. What is
left is the same from its start on: measured, a launcher and a nursery hold exactly that, a JVM a few pooled
connections and threads more, which it lets go of when they were idle for a minute.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.local.application import Application

SPARE_DESCRIPTORS: Final = 3
"""A file that is being read just now, a worker between its start and its first word."""
JVM_THREADS_PER_SHARD: Final = 8
"""KCL's, the adapter's and ours, rounded up."""
SPARE_THREADS: Final = 24
"""What pools keep for a minute."""
CONNECTIONS_PER_SHARD: Final = 3
SPARE_CONNECTIONS: Final = 16
"""The same, of the SDK's pools."""
LIVE_KIB_PER_SHARD: Final = 256
"""Of a JVM's objects: 150 were measured with 100 shards."""
SPARE_MEMORY_KIB: Final = 16 * 1024
"""Live objects of a JVM after a collection, resident memory of a Python process."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """What one process holds."""

    role: str
    shards: int
    """How many workers its host has."""
    pid: int
    descriptors: int
    """All but TCP connections."""
    connections: int
    """Over TCP."""
    threads: int
    rss_kib: int
    pss_kib: int
    """As RSS, with what it shares counted in parts."""
    live_kib: int
    """A JVM's heap after a full collection; of others the RSS."""

    def __str__(self) -> str:
        """Show it on one line."""
        return (
            f"{self.role}: {self.shards} shards, {self.descriptors} descriptors, {self.connections} connections, "
            f"{self.threads} threads, RSS {self.rss_kib >> 10} MiB, PSS {self.pss_kib >> 10} MiB, "
            f"live {self.live_kib >> 10} MiB"
        )


def footprints(app: Application, host: int) -> list[Footprint]:
    """Return those of a host's launcher, nursery and JVM; a JVM is made to collect its garbage first."""
    shards = len(app.worker_pids())
    jvm = app.daemon_pid()
    live_kib = live_heap_kib(jvm)
    return [
        footprint(f"launcher {host}", app.pid, shards),
        footprint(f"nursery {host}", app.nursery_pid(), shards),
        footprint(f"jvm {host}", jvm, shards, live_kib),
    ]


def footprint(role: str, pid: int, shards: int = 0, live_kib: int = 0) -> Footprint:
    """Return that of one process. Raises OSError if it is gone."""
    tcp = _tcp_inodes(pid)
    opened = [_target(path) for path in Path(f"/proc/{pid}/fd").iterdir()]
    connections = sum(target in tcp for target in opened)
    rss_kib = _field(pid, "status", "VmRSS")
    return Footprint(
        role=role,
        shards=shards,
        pid=pid,
        descriptors=len(opened) - connections,
        connections=connections,
        threads=_field(pid, "status", "Threads"),
        rss_kib=rss_kib,
        pss_kib=_field(pid, "smaps_rollup", "Pss"),
        live_kib=live_kib or rss_kib,
    )


def grown(begin: Footprint, end: Footprint) -> list[str]:
    """Say what a process holds at the end that one of its role did not hold at the begin, and should not."""
    is_jvm = begin.role.startswith("jvm")
    per_shard = {"jvm": 1, "launcher": 1}.get(begin.role.split()[0], 0)  # a worker's socket, or its output
    bounds = {
        "descriptors": begin.descriptors + per_shard * (end.shards - begin.shards) + SPARE_DESCRIPTORS,
        "connections": SPARE_CONNECTIONS + CONNECTIONS_PER_SHARD * end.shards if is_jvm else 0,
        "threads": begin.threads
        + is_jvm * (SPARE_THREADS + JVM_THREADS_PER_SHARD * (end.shards - begin.shards)),
        "live_kib": begin.live_kib
        + SPARE_MEMORY_KIB
        + is_jvm * LIVE_KIB_PER_SHARD * max(0, end.shards - begin.shards),
    }
    return [
        f"{end.role} holds {getattr(end, name)} {name}, not at most {most}; at the begin {getattr(begin, name)}"
        for name, most in bounds.items()
        if getattr(end, name) > most
    ]


def live_heap_kib(jvm: int) -> int:
    """Return the size of a JVM's objects after a full collection.

    One command does both. With two, what is allocated between them counts as well.
    """
    done = subprocess.run(
        ["jcmd", str(jvm), "GC.class_histogram"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        stdin=subprocess.DEVNULL,
    )
    total = re.search(r"^Total +\d+ +(\d+)", done.stdout, re.MULTILINE)
    assert total is not None
    return int(total[1]) >> 10


def _field(pid: int, file: str, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+)", Path(f"/proc/{pid}/{file}").read_text("ascii"), re.MULTILINE)
    assert found is not None
    return int(found[1])


def _tcp_inodes(pid: int) -> set[str]:
    lines = [
        line
        for family in ("tcp", "tcp6")
        for line in Path(f"/proc/{pid}/net/{family}").read_text("ascii").splitlines()[1:]
    ]
    return {f"socket:[{line.split()[9]}]" for line in lines}


def _target(descriptor: Path) -> str:
    try:
        return str(descriptor.readlink())
    except OSError:
        return ""  # closed meanwhile
