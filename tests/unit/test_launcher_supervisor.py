"""When a daemon is started again, when not, and how long that takes: with daemons and time made up."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import cast

import pytest

from record_processor.errors import ConfigurationError, ExitCode, FatalError, RecordProcessorError, StartError
from record_processor.launcher.backoff import Backoff
from record_processor.launcher.daemon import Daemon
from record_processor.launcher.log_lines import Level, LogLine
from record_processor.launcher.logs import Log
from record_processor.launcher.probe import how_it_ended
from record_processor.launcher.signals import Signals
from record_processor.launcher.supervisor import Supervisor


@dataclass
class FakeDaemon:
    """Runs for a while and ends with a code."""

    code: int
    runs_seconds: float = 0.0
    started: bool = False
    reason: LogLine | None = None
    is_closed: bool = False
    is_killed: bool = False
    is_draining: bool = False
    ends_at: float = 0.0
    world: World | None = None

    def exit_code(self) -> int | None:
        assert self.world is not None
        return self.code if self.is_killed or self.world.now >= self.ends_at else None

    def take_reason(self) -> LogLine | None:
        return self.reason

    def drain(self) -> None:
        self.is_draining = True

    def kill(self) -> None:
        self.is_killed = True

    def close(self) -> None:
        self.is_closed = True


@dataclass
class World:
    """The clock, the signals, the log and the daemons of a test. Waiting moves the clock."""

    daemons: list[FakeDaemon]
    signals_at: list[float] = field(default_factory=list)
    now: float = 0.0
    received: list[int] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def wait(self, timeout_seconds: float | None = None) -> None:
        """Move on to the next thing that happens."""
        coming = [daemon.ends_at for daemon in self.daemons if daemon.ends_at > self.now]
        limit = [] if timeout_seconds is None else [self.now + timeout_seconds]
        self.now = min([*coming, *self.signals_at, *limit])
        while self.signals_at and self.signals_at[0] <= self.now:
            self.signals_at.pop(0)
            self.received.append(signal.SIGTERM)

    def start(self) -> Daemon:
        """Start the next daemon."""
        daemon = self.daemons[len(self.starts)]
        self.starts.append(self.now)
        daemon.world = self
        daemon.ends_at = self.now + daemon.runs_seconds
        return cast("Daemon", daemon)

    def info(self, message: str) -> None:
        self.lines.append(message)

    def warning(self, message: str) -> None:
        self.lines.append(message)

    def debug(self, message: str, exception: str = "") -> None:
        self.lines.append(f"{message} {exception}")

    def run(self, grace_seconds: float = 20) -> ExitCode:
        """Supervise the daemons."""
        signals, log = cast("Signals", self), cast("Log", self)
        return Supervisor(self.start, grace_seconds, signals, log, clock=lambda: self.now).run()

    def pauses(self) -> Iterator[float]:
        """Yield how long each restart was waited for."""
        for daemon, start, following in zip(self.daemons, self.starts, self.starts[1:], strict=False):
            yield following - start - daemon.runs_seconds


def reason(text: str) -> LogLine:
    """Make the last ERROR of a daemon."""
    return LogLine(Level.ERROR, "x", text, 0, exception="trace")


@pytest.mark.parametrize(("code", "kind"), [(2, ConfigurationError), (3, StartError), (4, FatalError)])
def test_a_refusal_ends_with_its_reason(code: int, kind: type[RecordProcessorError]) -> None:
    """Codes 2, 3 and 4 of a daemon that never started are not tried again."""
    world = World([FakeDaemon(code, reason=reason("no such table"))])
    with pytest.raises(kind, match=r"^no such table$"):
        world.run()
    assert world.daemons[0].is_closed


def test_five_crashes_before_a_start_are_enough() -> None:
    """A daemon that cannot even start is given up, after growing pauses."""
    world = World([FakeDaemon(-11) for _ in range(9)])
    with pytest.raises(FatalError, match="ended 5 times before it had started, the last time by SIGSEGV"):
        world.run()
    for pause, expected in zip(world.pauses(), [1, 2, 4, 8], strict=True):
        assert 0.75 * expected <= pause <= 1.25 * expected
    assert all(daemon.is_closed for daemon in world.daemons[:5])


def test_crashes_after_a_start_are_endured_for_ever() -> None:
    """Once a daemon has started, crashes and refusals by AWS are tried again until a signal comes."""
    crashes = [FakeDaemon(3 if number % 2 else 1, runs_seconds=1) for number in range(40)]
    world = World([FakeDaemon(1, runs_seconds=5, started=True), *crashes], signals_at=[600.0])
    assert world.run() == ExitCode.DRAINED
    assert len(world.starts) > 20


@pytest.mark.parametrize("code", [2, 4])
def test_a_fatal_end_after_a_start_is_final(code: int) -> None:
    """What only people can mend is not tried again, whenever it comes up."""
    world = World([FakeDaemon(code, runs_seconds=100, started=True)])
    with pytest.raises(RecordProcessorError, match=f"exit code {code}; the lines above say more"):
        world.run()


def test_an_end_that_nobody_asked_for_is_a_crash() -> None:
    """Exit code 0 without a drain does not end the command."""
    world = World([FakeDaemon(0, 5, started=True), FakeDaemon(0, 1000, started=True)], signals_at=[500.0])
    world.daemons[1].runs_seconds = 495
    assert world.run() == ExitCode.DRAINED
    assert len(world.starts) == 2


def test_a_good_run_resets_the_pause() -> None:
    """After a minute of running the next restart is soon again."""
    crashes = [FakeDaemon(1, runs_seconds=1, started=True) for _ in range(6)]
    world = World([*crashes, FakeDaemon(1, runs_seconds=61, started=True), FakeDaemon(0, 500, started=True)])
    world.signals_at = [400.0]
    world.run(grace_seconds=1000)
    pauses = list(world.pauses())
    assert pauses[5] > 20
    assert pauses[6] < 1.5


def test_a_signal_during_the_pause_ends_at_once() -> None:
    """Nothing runs then that could be drained."""
    world = World([FakeDaemon(1, runs_seconds=1, started=True)], signals_at=[1.5])
    assert world.run() == ExitCode.DRAINED
    assert (world.now, len(world.starts)) == (1.5, 1)


@pytest.mark.parametrize("code", [0, 143, 130])
def test_a_drain_succeeds_with_the_codes_of_a_jvm(code: int) -> None:
    """The JVM's own codes after a signal count as drained."""
    world = World([FakeDaemon(code, runs_seconds=12, started=True)], signals_at=[10.0])
    assert world.run() == ExitCode.DRAINED
    assert world.daemons[0].is_draining
    assert world.lines[-1] == "drained in 2.0 s"


def test_a_drain_with_a_stopped_shard_ends_with_its_reason() -> None:
    """What a fatal error had stopped is not drained as if all were well; of other ends the code is all there is."""
    stopped = "1 shard was stopped by a fatal error, shardId-1: no such table"
    world = World([FakeDaemon(4, 12, started=True, reason=reason(stopped))], signals_at=[10.0])
    with pytest.raises(FatalError, match=f"^{stopped}$"):
        world.run()
    for code, text in ((1, "no such table"), (4, "")):
        world = World([FakeDaemon(code, 12, started=True, reason=reason(text) if text else None)])
        world.signals_at = [10.0]
        with pytest.raises(FatalError, match=f"exit code {code} while it drained"):
            world.run()


def test_a_drain_that_takes_too_long_is_fatal() -> None:
    """The daemon gets the grace and two seconds, then it is killed."""
    world = World([FakeDaemon(0, runs_seconds=1000, started=True)], signals_at=[10.0])
    with pytest.raises(FatalError, match="shutdownGraceMillis, 20000"):
        world.run()
    assert world.daemons[0].is_killed
    assert world.now == 32.0


def test_a_daemon_that_has_not_started_is_waited_for_only_shortly() -> None:
    """Nothing was handled yet: a short grace, no error."""
    world = World([FakeDaemon(0, runs_seconds=1000)], signals_at=[10.0])
    assert world.run() == ExitCode.DRAINED
    assert world.daemons[0].is_killed
    assert world.now == 15.0


def test_a_second_signal_kills() -> None:
    """The second signal ends it at once, with its own exit code."""
    world = World([FakeDaemon(0, runs_seconds=1000, started=True)], signals_at=[10.0, 11.0])
    assert world.run() == ExitCode.INTERRUPTED
    assert world.daemons[0].is_killed
    assert world.now == 11.0


def test_the_pause_grows_to_half_a_minute() -> None:
    """One second, doubling, thirty at the most, each varied by a quarter."""
    backoff = Backoff()
    for expected in (1, 2, 4, 8, 16, 30, 30):
        assert 0.75 * expected <= backoff.next_seconds() <= 1.25 * expected
    backoff.reset()
    assert backoff.next_seconds() <= 1.25


def test_an_exit_code_in_words() -> None:
    """A signal has a name, if the system knows it."""
    assert [how_it_ended(code) for code in (1, -9, -1000)] == [
        "with exit code 1",
        "by SIGKILL",
        "by signal 1000",
    ]
