"""Each process is killed, or stopped and let go on, at each moment of a record's way."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from record_processor.testing import DynamoDBLocal, wait_until, write_changes
from record_processor.testing.history import Handled
from record_processor.testing.plugin import MakeStreamTable
from tests.local.application import Application, MakeApplication, is_dead, kill, kills

pytestmark = pytest.mark.local

VICTIMS = ("worker", "nursery", "jvm", "launcher")
MOMENTS = (
    "idle",
    "in a handler",
    "between effect and acknowledgement",
    "between acknowledgement and checkpoint",
)
KILLS = kills(1)
"""At each moment."""
NO_ORPHAN_SECONDS = 2.0
OTHERS_LAG_SECONDS = 3.0
"""What a write, a read every 200 ms and a busy machine may take."""
STOPPED_SECONDS = {"jvm": 3.0}
"""For how long one is stopped: the JVM for longer than its leases last."""


class Matrix:
    """An application on two tables, of which the handler of one can be held."""

    def __init__(self, app: Application, local: DynamoDBLocal, tables: tuple[str, str]) -> None:
        self.app = app
        self.client = local.client()
        self.table_a, self.table_b = tables
        self.written: dict[str, list[int]] = {}
        self.total = 0
        self.round = 0

    def write(self, prefix: str, count: int = 20) -> None:
        """Write changes of new keys, to the table whose handler is held (a) or to the other (b)."""
        self.round += 1
        table = self.table_a if prefix == "a-" else self.table_b
        part = write_changes(
            self.client, table, count, seed=self.round, keys=4, prefix=f"{prefix}{self.round}-"
        )
        self.written |= {key: list(counters) for key, counters in part.per_key.items()}
        self.total += part.total

    def all_handled(self) -> None:
        """Wait until all that was written is handled."""
        self.app.wait_until_handled(self.total)

    @contextmanager
    def at(self, moment: str) -> Iterator[None]:
        """Bring the handler of table a to a moment; let it go on at the end."""
        hold, holding = self.app.folder / "hold", self.app.folder / "holding"
        if moment == "between acknowledgement and checkpoint":
            self.write("a-")
            self.all_handled()  # and acknowledged, before the next batch begins
        if moment != "idle":
            hold.write_text("after" if "effect" in moment else "before")
            self.write("a-")
            wait_until(holding.exists, 60, "a held handler")
        try:
            yield
        finally:
            hold.unlink(missing_ok=True)
            holding.unlink(missing_ok=True)

    def pid(self, victim: str) -> int:
        """The process id of a victim; the worker is table a's."""
        if victim == "launcher":
            return self.app.pid
        if victim == "jvm":
            return self.app.daemon_pid()
        return self.app.nursery_pid() if victim == "nursery" else self.worker()

    def worker(self) -> int:
        """The process id of table a's worker."""
        of_a = {entry.shard_id for entry in self.app.history.handled() if entry.key.startswith("a-")}
        (shard,) = of_a
        return next(
            pid
            for pid in self.app.worker_pids()
            if shard.endswith(Path(f"/proc/{pid}/comm").read_text().strip().removeprefix("rp-"))
        )

    def handled_in_b(self) -> float:
        """The other table's shard goes on; with the daemon alive, as if nothing were."""
        before = {(entry.key, entry.n) for entry in self._of_b()}
        self.write("b-")
        began = time.monotonic()
        # A daemon that dies again and again is started again after up to 30 s.
        wait_until(
            lambda: len({(entry.key, entry.n) for entry in self._of_b()}) == len(before) + 20, 90, "table b"
        )
        lag_seconds = time.monotonic() - began
        print("table b lagged by", lag_seconds)
        return lag_seconds

    def _of_b(self) -> list[Handled]:
        return [entry for entry in self.app.history.handled() if entry.key.startswith("b-")]


@pytest.fixture
def matrix(
    application: MakeApplication, stream_table: MakeStreamTable, dynamodb_local: DynamoDBLocal
) -> Matrix:
    """Start an application that has handled something of both tables."""
    tables = (stream_table().name, stream_table().name)
    app = application(
        sourceTable=",".join(tables),
        processor="handlers:Staged",
        failoverTimeMillis=2000,
        checkpointIntervalMillis=100_000,
    ).start()
    made = Matrix(app, dynamodb_local, tables)
    made.write("a-")
    made.write("b-")
    made.all_handled()
    return made


@pytest.mark.parametrize("victim", VICTIMS)
@pytest.mark.fault(1, 9)
def test_killed_at_every_moment(victim: str, matrix: Matrix) -> None:
    """Nothing is missing, order is kept; a worker's death repeats no more than the change that it was in."""
    app = matrix.app
    for moment in MOMENTS * KILLS:
        with matrix.at(moment):
            pid = matrix.pid(victim)
            others = [] if victim in {"worker", "nursery"} else [*app.worker_pids(), app.daemon_pid()]
            with app.disruption(f"{victim} killed, {moment}"):
                kill(pid)
                if victim == "launcher":
                    app.wait()
                wait_until(partial(is_dead, pid), 5, f"the {victim}'s death")
                ended = [other for other in others if victim == "launcher" or other != pid]
                wait_until(partial(all_dead, ended), NO_ORPHAN_SECONDS, "no orphans")
        if victim == "launcher":
            app.start()
        lag_seconds = matrix.handled_in_b()
        assert victim in {"jvm", "launcher"} or lag_seconds < OTHERS_LAG_SECONDS
        matrix.all_handled()
    assert app.drain() == 0
    repeats = app.check(matrix.written).repeats
    if victim == "nursery":
        assert repeats == []
    if victim == "worker":
        assert (
            len(repeats) == KILLS
        )  # only one of the four moments lies after an effect that nobody was told of


@pytest.mark.parametrize("victim", VICTIMS)
@pytest.mark.fault(7, 10)
def test_stopped_at_every_moment(victim: str, matrix: Matrix) -> None:
    """A process that is stopped and goes on, as for a swapped-out host, loses nothing, and repeats nothing."""
    app = matrix.app
    for moment in MOMENTS:
        with app.disruption(f"{victim} stopped, {moment}"):  # until all goes on: what it was in, it finishes
            with matrix.at(moment):
                pid = matrix.pid(victim)
                kill(pid, signal.SIGSTOP)
                try:
                    if victim != "jvm":
                        assert matrix.handled_in_b() < OTHERS_LAG_SECONDS
                    time.sleep(STOPPED_SECONDS.get(victim, 0))  # the time is what is tested
                finally:
                    kill(pid, signal.SIGCONT)
            matrix.handled_in_b()
            matrix.all_handled()
    assert app.drain() == 0
    repeats = app.check(matrix.written).repeats
    if victim != "jvm":
        assert repeats == []


def all_dead(pids: Sequence[int]) -> bool:
    """Whether none of the processes is left."""
    return all(map(is_dead, pids))


@pytest.mark.fault(10, 14)
def test_past_the_deadline_of_its_lease_a_worker_hands_out_nothing(
    application: MakeApplication, stream_table: MakeStreamTable, dynamodb_local: DynamoDBLocal
) -> None:
    """While the daemon is stopped, and another host may have the shard, the worker stops by itself."""
    table = stream_table()
    app = application(sourceTable=table.name, processor="handlers:Slow", failoverTimeMillis=2000)
    written = write_changes(dynamodb_local.client(), table.name, 200, seed=1, keys=10)
    app.start()
    app.wait_until_handled(10)
    with app.disruption("jvm stopped"):
        jvm = app.daemon_pid()
        kill(jvm, signal.SIGSTOP)
        stopped_at = time.monotonic()
        try:
            time.sleep(5)  # more than twice as long as the lease lasts: that is what is tested
            past_deadline = [
                entry for entry in app.history.handled() if entry.monotonic_seconds > stopped_at + 2.5
            ]
            assert past_deadline == []
            assert len(app.history.handled()) < written.total
        finally:
            kill(jvm, signal.SIGCONT)
        app.wait_until_handled(written.total)
    assert app.drain() == 0
    app.check(written.per_key)
