"""Keeps one daemon running until a signal asks for the end: start, watch, start again, drain."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable
from typing import Final, Protocol

from record_processor.errors import ConfigurationError, ExitCode, FatalError, RecordProcessorError, StartError
from record_processor.launcher.backoff import Backoff
from record_processor.launcher.daemon import Daemon
from record_processor.launcher.logs import Log
from record_processor.launcher.probe import how_it_ended
from record_processor.launcher.signals import Signals

_MOST_CRASHES_BEFORE_A_START: Final = 5
_A_GOOD_RUN_SECONDS: Final = 60.0
_OVER_THE_GRACE_SECONDS: Final = 2.0
# A daemon that has not started holds nothing that could be lost.
_UNSTARTED_GRACE_SECONDS: Final = 5.0

# A JVM that a signal ends exits with 128 + its number, also after it has drained.
_DRAINED_CODES: Final = (0, 128 + signal.SIGTERM, 128 + signal.SIGINT)
_REFUSALS: Final[dict[int, type[RecordProcessorError]]] = {
    ExitCode.USAGE: ConfigurationError,
    ExitCode.COULD_NOT_START: StartError,
    ExitCode.FATAL: FatalError,
}


class Tended(Protocol):
    """What must be looked after while a daemon runs: `record_processor.launcher.workers.Workers`."""

    def tend(self) -> float | None:
        """Do what is due; return in how many seconds something will be, None if nothing will."""

    def end_all(self) -> None:
        """End what was started for the daemon that has ended."""


class Supervisor:
    """Runs daemons one after the other."""

    def __init__(
        self,
        start: Callable[[], Daemon],
        grace_seconds: float,
        signals: Signals,
        log: Log,
        *,
        workers: Tended | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Use `start` for each daemon; a drain may take `grace_seconds` and a little more.

        `workers` are tended while a daemon runs, and end with it.
        """
        self._start = start
        self._grace_seconds = grace_seconds
        self._signals = signals
        self._log = log
        self._workers = workers
        self._clock = clock
        self._backoff = Backoff()
        self._has_ever_started = False
        self._crashes_before_a_start = 0

    def run(self) -> ExitCode:
        """Run until a signal: DRAINED, or INTERRUPTED by a second one.

        Raises ConfigurationError, StartError or FatalError when a daemon says that trying again is no use,
        and FatalError when the daemons crash before one has started, when one does not drain in time, or had
        shards that a fatal error had stopped.
        """
        while True:
            daemon = self._start()
            try:
                began = self._clock()
                code = self._watch(daemon)
                if code is None:
                    return self._drain(daemon)
                self._judge(daemon, code, self._clock() - began)
            finally:
                if self._workers:
                    self._workers.end_all()
                daemon.close()
            if not self._pause(code):
                return ExitCode.DRAINED

    def _watch(self, daemon: Daemon) -> int | None:
        """Wait until the daemon has ended, for its exit code, or a signal has come, for None."""
        while True:
            if self._signals.received:
                return None
            code = daemon.exit_code()
            if code is not None:
                return code
            self._wait()

    def _judge(self, daemon: Daemon, code: int, ran_seconds: float) -> None:
        """Return if the daemon should be started again, else raise why not."""
        self._has_ever_started = self._has_ever_started or daemon.started
        # Once it has started, DynamoDB or the credentials were there, and can come back.
        is_refusal = code in _REFUSALS and not (code == ExitCode.COULD_NOT_START and self._has_ever_started)
        if is_refusal:
            raise self._refusal(daemon, code)
        if not self._has_ever_started:
            self._crashes_before_a_start += 1
            if self._crashes_before_a_start == _MOST_CRASHES_BEFORE_A_START:
                raise FatalError(
                    f"the daemon ended {_MOST_CRASHES_BEFORE_A_START} times before it had started, "
                    f"the last time {how_it_ended(code)}; the lines above say more"
                )
        if ran_seconds >= _A_GOOD_RUN_SECONDS:
            self._backoff.reset()

    def _refusal(self, daemon: Daemon, code: int) -> RecordProcessorError:
        reason = daemon.take_reason()
        if reason is None:
            return _REFUSALS[code](f"the daemon ended {how_it_ended(code)}; the lines above say more")
        if reason.exception:
            self._log.debug("where the daemon was when it gave up", reason.exception)
        return _REFUSALS[code](reason.message)

    def _pause(self, code: int) -> bool:
        """Wait before the next start; False if a signal came."""
        seconds = self._backoff.next_seconds()
        self._log.warning(f"the daemon ended {how_it_ended(code)}; starting it again in {seconds:.1f} s")
        until = self._clock() + seconds
        while not self._signals.received and self._clock() < until:
            self._wait(until - self._clock())
        return not self._signals.received

    def _drain(self, daemon: Daemon) -> ExitCode:
        """Let the daemon finish. A second signal, or the end of the grace, ends it."""
        name = signal.Signals(self._signals.received[0]).name
        self._log.info(
            f"{name}: draining, for {self._grace_seconds:g} s at the most; a second signal ends it at once"
        )
        daemon.drain()
        began = self._clock()
        while (code := daemon.exit_code()) is None:
            if len(self._signals.received) > 1:
                daemon.kill()
                self._log.warning("ended without draining: what was not checkpointed will be delivered again")
                return ExitCode.INTERRUPTED
            until = began + self._allowed_seconds(daemon)
            if self._clock() >= until:
                return self._give_up(daemon)
            self._wait(until - self._clock())
        if daemon.started and code not in _DRAINED_CODES:
            raise self._unclean(daemon, code)
        self._log.info(f"drained in {self._clock() - began:.1f} s")
        return ExitCode.DRAINED

    def _unclean(self, daemon: Daemon, code: int) -> FatalError:
        """Say why a drain is no success: the daemon's own words count, if it had a reason to stop."""
        reason = daemon.take_reason() if code == ExitCode.FATAL else None
        if reason:
            return FatalError(reason.message)
        return FatalError(
            f"the daemon ended {how_it_ended(code)} while it drained: "
            "what was not checkpointed will be delivered again"
        )

    def _wait(self, timeout_seconds: float = math.inf) -> None:
        """Wait until something happens; the workers' needs are seen to."""
        due = self._workers.tend() if self._workers else None
        seconds = min(timeout_seconds, math.inf if due is None else due)
        self._signals.wait(None if seconds == math.inf else seconds)

    def _allowed_seconds(self, daemon: Daemon) -> float:
        if daemon.started:
            return self._grace_seconds + _OVER_THE_GRACE_SECONDS
        return min(self._grace_seconds, _UNSTARTED_GRACE_SECONDS)

    def _give_up(self, daemon: Daemon) -> ExitCode:
        daemon.kill()
        if not daemon.started:
            return ExitCode.DRAINED
        raise FatalError(
            f"the daemon did not drain within shutdownGraceMillis, {self._grace_seconds * 1000:.0f}, "
            "and was killed: what was not checkpointed will be delivered again"
        )
