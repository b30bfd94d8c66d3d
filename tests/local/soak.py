"""A soak: two hosts on a simulated stream, faults from a seed, and at the end nothing is missing and all is flat.

`scripts/soak --minutes M --seed S` runs it. The seed gives the same faults at the same times; what processes
do meanwhile is theirs, so a failure may need several runs to show again.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NoReturn

from record_processor.testing import (
    DynamoDBLocal,
    Handled,
    HistoryReport,
    Mark,
    StreamSimulator,
    check_history,
)
from record_processor.testing.faults import Fault as CallFault
from record_processor.testing.history import CHECKPOINT
from tests.local.application import Application, kill
from tests.local.footprint import Footprint, footprints, grown
from tests.local.lease_watch import LeaseWatch
from tests.local.soak_plan import STREAM_CALLS, Fault, plan

FIRST_SHARDS: Final = 16
SHARDS: Final = 20
"""After four of them were split."""
ROLL_HOURS: Final = 4
"""A shard's life, as DynamoDB's."""
PART: Final = 50
"""So many changes are written at once, to keys of their own."""
WRITE_SECONDS: Final = 0.2
"""From one part to the next."""
LOOK_SECONDS: Final = 0.5
"""From one look at the lease table to the next."""
AHEAD: Final = 5000
"""No more is written while so many changes wait."""
FAILOVER_SECONDS: Final = 6.0
TAKEOVER_SECONDS: Final = 7.0
"""More than failoverTimeMillis: so long after a fault a lease may still move because of it."""
SETTLED_SECONDS: Final = 10.0
QUIET_SECONDS: Final = 5.0
QUIETS: Final = 5
"""So many are tried, if each was disturbed."""
PATIENCE_SECONDS: Final = 180.0
LONG_SECONDS: Final = 10.0
"""A recovery that takes longer is told."""
FLAT_SECONDS: Final = 90.0
"""Pools keep connections and threads for a minute."""
SHARD_BEGINS: Final = "shard begins"
"""The mark of a worker that has set up."""
COULD_NOT_START: Final = 3
NEVER_SAID: Final = (
    "NullPointerException",
    "Could not checkpoint at extended sequence number",
    "first message is not initialize",
)
"""By a mistake of ours, whatever goes wrong around it."""
PROPERTIES: Final[dict[str, object]] = {
    "sourceTable": "orders",
    "processor": "handlers:Soaked",
    "failoverTimeMillis": round(FAILOVER_SECONDS * 1000),
    "checkpointIntervalMillis": 500,
    "maximumRetryBackoffMillis": 1000,
    "maxLeasesToStealAtOneTime": 10,
}


class Written:
    """What was written, part by part, and how much of each is not handled yet."""

    def __init__(self) -> None:
        self.per_key: dict[str, Sequence[int]] = {}
        self.parts = 0
        self.total = 0
        self.seen: set[tuple[str, int]] = set()
        self._open: dict[int, int] = {}

    def add(self, per_key: dict[str, Sequence[int]], count: int) -> None:
        """Count a part, whose keys begin with its number."""
        self.per_key |= per_key
        self._open[self.parts] = count
        self.parts += 1
        self.total += count

    def handled(self, key: str, n: int) -> bool:
        """Count one as handled; False if it was already."""
        if (key, n) in self.seen:
            return False
        self.seen.add((key, n))
        part = int(key.partition("-")[0])
        self._open[part] -= 1
        if not self._open[part]:
            del self._open[part]
        return True

    def oldest(self) -> int:
        """Return the number of the first part that is not handled whole."""
        return next(iter(self._open), self.parts)


class Soak:
    """One run."""

    def __init__(
        self, folder: Path, endpoint: str, simulator: StreamSimulator, seed: int, say: Callable[[str], None]
    ) -> None:
        self.seed = seed
        self.simulator = simulator
        self.say = say
        self.failures: list[str] = []
        self.written = Written()
        self.recoveries: list[float] = []
        self.faults: Counter[str] = Counter()
        self.ends: Counter[str] = Counter()
        self.setups = 0
        self.repeats = 0
        self._began = time.monotonic()
        self._choose = random.Random(f"{seed} on the way")
        self._chance = random.Random()
        self._stream = simulator.create_stream("orders", shards=FIRST_SHARDS, roll_every_hours=ROLL_HOURS)
        self._raising = folder / "raise"
        self.hosts: list[Application] = []
        for number in range(2):
            own = folder / f"host-{number}"
            own.mkdir(mode=0o700)
            app = Application(own, simulator.endpoint, shared=folder, workerId=f"host-{number}", **PROPERTIES)
            self.hosts.append(app)
        self.history = self.hosts[0].history
        self._reader = self.history.follow()
        self._leases = LeaseWatch(endpoint, self.hosts[0].name, FAILOVER_SECONDS)
        self._checkpoints: dict[str, str] = {}
        self._is_draining: set[int] = set()
        self._is_killed: set[int] = set()
        self._is_writing = True
        self._next_write = self._next_look = 0.0
        self._recovering: list[tuple[float, int, str]] = []
        self._last_setup = time.monotonic()

    # What goes on all the time

    def tick(self) -> None:
        """Write, look and revive, whatever is due."""
        now = time.monotonic()
        if (
            self._is_writing
            and now >= self._next_write
            and self.written.total - len(self.written.seen) < AHEAD
        ):
            self._next_write = now + WRITE_SECONDS
            number = self.written.parts
            part = self._stream.write_changes(PART, seed=self.seed + number, keys=10, prefix=f"{number}-")
            self.written.add(dict(part.per_key), part.total)
        if now >= self._next_look:
            self._next_look = now + LOOK_SECONDS
            self._mark_checkpoints()
        self._read()
        self._revive()
        time.sleep(0.02)

    def tick_until(self, condition: Callable[[], bool], seconds: float, what: str = "") -> bool:
        """Go on until a condition holds; False, and a failure if `what` names it, if it does not in time."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() >= deadline:
                if what:
                    self.fail(f"{what} did not happen within {seconds:g} s")
                return False
            self.tick()
        return True

    def fail(self, what: str) -> None:
        """Note a failure."""
        self.say(f"FAILED: {what}")
        self.failures.append(what)

    def all_handled(self) -> bool:
        """Whether everything written is."""
        return len(self.written.seen) == self.written.total

    def _read(self) -> None:
        for entry in self._reader.entries():
            if isinstance(entry, Mark):
                if entry.kind.startswith(SHARD_BEGINS):
                    self.setups += 1
                    self._last_setup = time.monotonic()
            elif not self.written.handled(entry.key, entry.n):
                self.repeats += 1
        while self._recovering and self.written.oldest() >= self._recovering[0][1]:
            ended, _, what = self._recovering.pop(0)
            self.recoveries.append(time.monotonic() - ended)
            if self.recoveries[-1] > LONG_SECONDS:
                self.say(
                    f"  {self.recoveries[-1]:.1f} s until all was handled that was written before {what}"
                )

    def _mark_checkpoints(self) -> None:
        for shard, lease in self._leases.look().items():
            if self._checkpoints.get(shard) != lease.checkpoint:
                self._checkpoints[shard] = lease.checkpoint
                self.history.mark(CHECKPOINT, shard_id=shard, sequence_number=lease.checkpoint)

    def _revive(self) -> None:
        for number, app in enumerate(self.hosts):
            code = app.exit_code()
            if code is None:
                continue
            self._look_at_end(number, code)
            app.start()

    def _look_at_end(self, number: int, code: int) -> None:
        if number in self._is_killed:
            self._is_killed.discard(number)
        elif number in self._is_draining:
            if code != 0:
                self.fail(f"host {number} drained with exit code {code}")
        else:
            self.ends[f"exit code {code}"] += 1
            self.say(f"host {number} ended with exit code {code}, and is started again")
            if code != COULD_NOT_START:
                self.fail(f"host {number} ended by itself with exit code {code}")
        self._is_draining.discard(number)

    # The phases

    def warm_up(self) -> list[Footprint]:
        """Start, split four shards, and return what the processes hold then."""
        for app in self.hosts:
            app.start()
        self.tick_until(lambda: self.written.total > 0 and len(self.written.seen) > 0, 120, "a first record")
        for shard in self._stream.open_shards[: SHARDS - FIRST_SHARDS]:
            self._stream.split(shard)
        self._settle()
        return self._footprints()

    def go_wrong(self, seconds: float) -> None:
        """Let everything happen that the seed says."""
        began = time.monotonic()
        for fault in plan(self.seed, seconds):
            self.tick_until(lambda at=fault.at_seconds: time.monotonic() - began >= at, seconds)  # type: ignore[misc]
            self.faults[fault.kind] += 1
            self.say(str(fault))
            getattr(self, "_" + fault.kind.replace(" ", "_"))(fault)
            self._recovering.append((time.monotonic(), self.written.parts, str(fault)))
        self.tick_until(lambda: not self._is_draining, 60, "the end of a drain")

    def be_quiet(self) -> list[Footprint]:
        """Hold that all recovers, and that then nothing is repeated and no shard begins anew."""
        self.simulator.clear()
        self.say("quiet")
        self.tick_until(
            lambda: self.written.oldest() >= self.written.parts - 5, PATIENCE_SECONDS, "the handling of all"
        )
        for _ in range(QUIETS):
            if self._hold_quiet():
                break
            self.say(f"  once more: {self._leases.disturbance}")
        else:
            self.fail(f"each of {QUIETS} quiets was disturbed")
        return self._footprints()

    def _hold_quiet(self) -> bool:
        """Hold it once; return False if it was disturbed, and so says nothing of the hosts."""
        self._is_writing = True
        self._settle()
        began, setups, repeats = time.monotonic(), self.setups, self.repeats
        self._pass(QUIET_SECONDS)
        self._is_writing = False
        self.tick_until(self.all_handled, PATIENCE_SECONDS, "the handling of the last change")
        self._mark_checkpoints()
        if self._leases.disturbed_at > began:
            return False
        if self.repeats != repeats:
            self.fail(f"{self.repeats - repeats} changes were repeated though nothing went wrong")
        if self.setups != setups:
            self.fail(f"{self.setups - setups} shards began anew though nothing went wrong")
        return True

    def hold_flat(self, begin: Sequence[Footprint]) -> list[Footprint]:
        """Wait until the processes hold no more than at the begin; return what they hold then."""
        end: list[Footprint] = []

        def more() -> list[str]:
            nonlocal end
            end = self._footprints()
            return [line for pair in zip(begin, end, strict=True) for line in grown(*pair)]

        deadline = time.monotonic() + FLAT_SECONDS
        while (found := more()) and time.monotonic() < deadline:
            until = time.monotonic() + 5
            self.tick_until(lambda at=until: time.monotonic() >= at, 6)  # type: ignore[misc]
        for line in found:
            self.fail(line)
        return end

    def end(self) -> HistoryReport:
        """Drain both hosts, and hold the history against what was written."""
        for number, app in enumerate(self.hosts):
            if (code := app.drain()) != 0:
                self.fail(f"host {number} drained with exit code {code}")
            for said in NEVER_SAID:
                if lines := app.lines(said):
                    self.fail(f"host {number} said {len(lines)} times: {lines[0]['message']}")
        report = check_history(with_ends(self.history.entries()), self.written.per_key)
        try:
            report.assert_clean()
        except AssertionError as error:
            self.fail(str(error))
        return report

    def _settle(self) -> None:
        """Wait until every open shard is being read, none has moved for a while, and none has to.

        A host whose share of the leases is too small takes another's, and if that one is renewed meanwhile,
        tries again after 2 * failoverTimeMillis.
        """

        def settled() -> bool:
            last = max(self._last_setup, self._leases.moved_at, self._leases.disturbed_at)
            if time.monotonic() - last <= SETTLED_SECONDS:
                return False
            workers = [len(app.worker_pids()) for app in self.hosts]
            shares = self._leases.shares().values()
            even = len(shares) == len(self.hosts) and max(shares) - min(shares) <= 1
            return even and all(workers) and sum(workers) == len(self._stream.open_shards)

        self.tick_until(settled, PATIENCE_SECONDS, "a worker for each shard, none of them new")

    def _footprints(self) -> list[Footprint]:
        return [found for number, app in enumerate(self.hosts) for found in footprints(app, number)]

    # The kinds of faults

    def _calls(self, fault: Fault) -> None:
        which: dict[str, Any] = {"match": lambda _: self._chance.random() < fault.share}
        fault_in_force: CallFault
        if fault.way == "throttled":
            code = "LimitExceededException" if fault.operation == "GetRecords" else "ThrottlingException"
            fault_in_force = self.simulator.fail(fault.operation, code, **which)
        elif fault.way == "internal error":
            fault_in_force = self.simulator.fail(fault.operation, "InternalServerError", **which)
        elif fault.way == "delay":
            fault_in_force = self.simulator.delay(fault.operation, self._choose.uniform(0.1, 3), **which)
        elif fault.way == "reset":
            fault_in_force = self.simulator.reset(fault.operation, **which)
        else:
            fault_in_force = self.simulator.half_answer(fault.operation, **which)
        moves_leases = fault.operation not in STREAM_CALLS
        with self.history.during("calls") if moves_leases else nullcontext():
            self._pass(fault.seconds)
            fault_in_force.remove()
            self._pass(TAKEOVER_SECONDS if moves_leases else 0)
        self.say(f"  {fault_in_force.hits} calls hit")

    def _kill(self, fault: Fault) -> None:
        app = self.hosts[fault.host]
        pid = self._victim(app, fault.victim)
        self._mark_checkpoints()
        with self.history.during("kill"):
            if fault.victim == "launcher":
                self._is_killed.add(fault.host)
            kill(pid)
            self._pass(0.5)

    def _stop(self, fault: Fault) -> None:
        pid = self._victim(self.hosts[fault.host], fault.victim)
        self._mark_checkpoints()
        with self.history.during("stop"):
            kill(pid, signal.SIGSTOP)
            try:
                self._pass(fault.seconds)
            finally:
                kill(pid, signal.SIGCONT)
            self._pass(TAKEOVER_SECONDS)

    def _hand_over(self, fault: Fault) -> None:
        app = self.hosts[fault.host]
        self.tick_until(lambda: not app.has_ended and app.hears_signals(), PATIENCE_SECONDS, "a launcher")
        self._is_draining.add(fault.host)
        app.send(signal.SIGTERM)
        self.tick_until(lambda: fault.host not in self._is_draining, 60, "the end of a drain")

    def _handler(self, fault: Fault) -> None:
        self._raising.write_text(str(fault.share), "ascii")
        self._pass(fault.seconds)
        self._raising.unlink()

    def _clock(self, fault: Fault) -> None:
        self._is_writing = False  # what is not handled would grow old
        if self.tick_until(self.all_handled, 60):
            self.simulator.clock.advance(hours=fault.hours)
        else:
            self.say("  not now: changes wait to be handled")
        self._is_writing = True

    def _roll(self, fault: Fault) -> None:
        self._stream.roll(self._choose.choice(self._stream.open_shards))

    def _victim(self, app: Application, kind: str) -> int:
        self.tick_until(lambda: bool(app.running(kind)), PATIENCE_SECONDS, f"a {kind}")
        pid = self._choose.choice(app.running(kind))
        self.say(f"  process {pid}")
        return pid

    def _pass(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        self.tick_until(lambda: time.monotonic() >= until, seconds + 1)


def with_ends(entries: Sequence[Handled | Mark]) -> Iterator[Handled | Mark]:
    """Let each begin of a shard be a disruption of that shard for as long as a lease lasts.

    The worker whose lease was taken hears of it late, and until its lease would have run out may lawfully
    handle what the new one does, too.
    """
    ends: list[Mark] = []
    for entry in entries:
        while ends and ends[0].monotonic_seconds < entry.monotonic_seconds:
            yield ends.pop(0)
        if isinstance(entry, Mark) and entry.kind.startswith(SHARD_BEGINS):
            ends.append(
                replace(entry, phase="end", monotonic_seconds=entry.monotonic_seconds + TAKEOVER_SECONDS)
            )
            yield replace(entry, phase="begin")
        else:
            yield entry


def run(minutes: float, seed: int, folder: Path, say: Callable[[str], None]) -> list[str]:
    """Run a soak of so many minutes before the quiet at its end; return what failed."""
    began = time.monotonic()
    with ExitStack() as stack:
        local = stack.enter_context(DynamoDBLocal())
        simulator = stack.enter_context(StreamSimulator(local.endpoint))
        soak = Soak(
            folder,
            local.endpoint,
            simulator,
            seed,
            lambda text: say(f"{time.monotonic() - began:7.1f} s  {text}"),
        )
        for app in soak.hosts:
            stack.enter_context(app)
        begin = soak.warm_up()
        soak.go_wrong(max(20.0, minutes * 60 - (time.monotonic() - began)))
        soak.be_quiet()
        end = soak.hold_flat(begin)
        report = soak.end()
    for line in summary(soak, report, begin, end):
        say(line)
    return soak.failures


def summary(
    soak: Soak, report: HistoryReport, begin: Sequence[Footprint], end: Sequence[Footprint]
) -> list[str]:
    """Return the lines that a soak ends with."""
    recoveries = sorted(soak.recoveries) or [0.0]
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(soak.faults.items()))
    ends = ", ".join(f"{count} times {end}" for end, count in soak.ends.items()) or "none"
    return [
        *(f"begin  {footprint}" for footprint in begin),
        *(f"end    {footprint}" for footprint in end),
        f"{soak.setups} times a worker began with a shard; commands that ended by themselves: {ends}",
        f"recovery: {recoveries[len(recoveries) // 2]:.1f} s in the middle, {recoveries[-1]:.1f} s at most",
        f"seed {soak.seed}: {sum(soak.faults.values())} faults ({kinds}); {report.handled} of {report.written} changes "
        f"handled, {len(report.missing)} missing, {len(report.out_of_order)} out of order, "
        f"{len(report.repeats)} repeats, {len(report.unexplained_repeats)} of them unexplained; "
        + (f"{len(soak.failures)} FAILURES" if soak.failures else "memory, descriptors and threads flat"),
    ]


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def main() -> int:
    """Run the command; 0 if all held."""
    parser = _Parser("soak", description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument(
        "--minutes", type=_minutes, default=2.0, help="before the quiet at the end; 2 if left out"
    )
    parser.add_argument("--seed", type=int, help="of an earlier run; a new one if left out")
    options = parser.parse_args()
    seed = random.randrange(1_000_000) if options.seed is None else options.seed
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    print(f"seed {seed}; logs and history in {folder}", flush=True)
    failures = run(options.minutes, seed, folder, lambda text: print(text, flush=True))
    if failures:
        return 1
    shutil.rmtree(folder)
    return 0


def _minutes(text: str) -> float:
    try:
        minutes = float(text)
    except ValueError:
        minutes = 0
    if not 1 <= minutes <= 24 * 60:
        raise argparse.ArgumentTypeError(f"{text} is not a number of minutes from 1 to 1440")
    return minutes


if __name__ == "__main__":
    sys.exit(main())
