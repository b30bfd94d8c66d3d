"""Whole systems to measure: ours and stock, each with its daemon and its Python, over one stream."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Protocol

from benchmarks.events import FOLDER, Event, read_events
from benchmarks.java import ROOT, JavaProgram
from record_processor.testing import RunningApplication, SimulatedStream, wait_until

if TYPE_CHECKING:
    from typing_extensions import Self

STOCK: Final = JavaProgram(
    [ROOT / "benchmarks/stock" / f"{name}.java" for name in ("StockMain", "ForAdapter", "CountingProcessor")]
)
PROGRAM: Final = f"{sys.executable} -m benchmarks.stock.program"
COUNTING: Final = "count"
"""Instead of a program: a processor in Java that decodes nothing."""
CACHE: Final = "XDG_CACHE_HOME"
"""The variable for the folder that the archive of Java's classes is kept in."""
STEP_SECONDS: Final = 300.0
"""As long as stock may take for a step."""


@dataclass(frozen=True, slots=True)
class Source:
    """What is read."""

    endpoint: str
    region: str
    table: str
    arn: str


class System(Protocol):
    """A host of an application: a context manager, at whose end it is killed."""

    def start(self) -> Self:
        """Start its processes."""
        ...

    def drain(self) -> None:
        """Stop it with SIGTERM, and wait for its end."""
        ...

    def kill(self) -> None:
        """End all its processes at once, as a host that dies."""
        ...

    def pids(self) -> list[int]:
        """Return all its processes."""
        ...

    def __enter__(self) -> Self:
        """Give it, not started."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Kill it."""
        ...


class Ours:
    """Ours, with default settings; `properties` are others."""

    def __init__(
        self, folder: Path, source: Source, application: str, host: str = "host-1", **properties: Any
    ) -> None:
        """Make a host; those of one application share the folder."""
        own = folder / host
        own.mkdir(mode=0o700, exist_ok=True)
        properties = {"processor": "benchmarks.handlers:Handler", "sourceTable": source.table, **properties}
        self._app = RunningApplication(
            own,
            source.endpoint,
            applicationName=application,
            workerId=host,
            regionName=source.region,
            idleTimeBetweenReadsInMillis=None,
            **properties,
        )
        self._app.environment = {FOLDER: str(folder), "PYTHONPATH": str(ROOT)}

    @property
    def environment(self) -> dict[str, str]:
        """What it has besides this process's."""
        return self._app.environment

    def start(self) -> Self:
        """Start the command."""
        self._app.start()
        return self

    def drain(self) -> None:
        """Stop it."""
        if self._app.drain() != 0:
            raise RuntimeError(self._app.output())

    def kill(self) -> None:
        """Kill launcher, JVM and workers."""
        _kill_all(self.pids())
        with suppress(AssertionError):
            self._app.wait()

    def pids(self) -> list[int]:
        """Return the launcher and all below it."""
        return [] if self._app.has_ended else _tree(self._app.pid)

    def __enter__(self) -> Self:
        """Give it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Kill it."""
        self._app.__exit__(kind, error, trace)


class Stock:
    """Stock, with KCL's default settings."""

    def __init__(
        self, folder: Path, source: Source, application: str, host: str = "host-1", *, program: str = PROGRAM
    ) -> None:
        """Make a host; those of one application share the folder."""
        self._command = STOCK.command(source.endpoint, source.region, source.arn, application, program)
        self._log = folder / f"{host}.log"
        self.environment = {FOLDER: str(folder), "PYTHONPATH": str(ROOT)}
        """What it has besides this process's."""
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Start the JVM."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | self.environment,
                start_new_session=True,
            )
        return self

    def drain(self) -> None:
        """Stop it."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(STEP_SECONDS)

    def kill(self) -> None:
        """Kill the JVM and its programs."""
        _kill_all(self.pids())
        if self._process is not None:
            self._process.wait()

    def pids(self) -> list[int]:
        """Return the JVM and all below it."""
        return [] if self._process is None or self._process.poll() is not None else _tree(self._process.pid)

    def __enter__(self) -> Self:
        """Give it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Kill it."""
        self.kill()


def handled(folder: Path) -> int:
    """Return how many records were handled."""
    return sum(event.count for event in read_events(folder))


def wait_for_event(folder: Path, wanted: Callable[[Event], bool], what: str) -> Event:
    """Wait until something was written down, and return it."""
    found: list[Event] = []

    def is_there() -> bool:
        found[:] = [event for event in read_events(folder) if wanted(event)]
        return bool(found)

    wait_until(is_there, STEP_SECONDS, what)
    return found[0]


def wait_for_archive(cache: Path) -> None:
    """Wait until our launcher has made the archive of Java's classes, a minute after a first start."""
    wait_until(lambda: list(cache.rglob("*.jsa")), STEP_SECONDS, "an archive of classes")


def wait_for_shards(folder: Path, stream: SimulatedStream) -> None:
    """Wait until each shard's process has begun."""
    wanted = {shard.id for shard in stream.shards}

    def are_there() -> bool:
        return {event.shard_id for event in read_events(folder)} >= wanted

    wait_until(are_there, STEP_SECONDS, "all shards")


def wait_for_records_after(folder: Path, seconds: float) -> Event:
    """Wait for the first records that were handled after a moment of `time.monotonic()`."""
    return wait_for_event(
        folder, lambda event: event.count > 0 and event.seconds > seconds, "the next record"
    )


def _tree(root: int) -> list[int]:
    """Return a process and all below it."""
    found = [root]
    for pid in found:
        with suppress(OSError):
            for task in Path(f"/proc/{pid}/task").iterdir():
                found += map(int, (task / "children").read_text("ascii").split())
    return found


def _kill_all(pids: list[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{pid}/exe").exists() for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.002)
