"""Many records through many shards, while processes of each kind are killed: nothing missing, order held."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from functools import partial
from typing import Final

import pytest

from record_processor.testing import StreamSimulator, wait_until
from tests.fault_report import Recovery
from tests.local.application import VICTIMS, Application, MakeApplication, is_dead, kill, kills

pytestmark = [pytest.mark.local, pytest.mark.timeout(0)]

SHARDS: Final = 20
CHANGES: Final = int(os.environ.get("CHANGES", "20000"))
"""In all."""
KILLS: Final = kills(3)
"""In all, of different kinds as far as there are."""
AHEAD: Final = 5000
"""So many records are on their way all the time."""
PART: Final = 500
"""So many are written at once."""


@pytest.mark.fault(1, 9)
def test_many_records_through_many_shards_and_kills(
    application: MakeApplication, stream_simulator: StreamSimulator, recovery: Recovery
) -> None:
    """At each kill thousands of records are on their way; none is lost, none overtakes another of its key."""
    seed = int(os.environ.get("SEED", random.randrange(1_000_000)))
    print("SEED", seed)
    choose = random.Random(seed)
    stream = stream_simulator.create_stream("orders", shards=SHARDS)
    app = application(
        endpoint=stream_simulator.endpoint,
        sourceTable="orders",
        processor="handlers:WholeBatches",
        failoverTimeMillis=3000,
        checkpointIntervalMillis=500,
    ).start()
    written: dict[str, Sequence[int]] = {}
    total = 0
    kills_at = {
        CHANGES * (number + choose.uniform(0.1, 0.9)) // KILLS: victim
        for number, victim in enumerate(victims(choose))
    }
    while kills_at or total < CHANGES:
        handled = app.handled_count()
        if total < CHANGES and total - handled < AHEAD:
            part = stream.write_changes(PART, seed=seed + total, keys=50, prefix=f"{total}-")
            written |= part.per_key
            total += part.total
        elif kills_at and handled >= min(kills_at):
            kill_one(app, kills_at.pop(min(kills_at)), choose)
        else:
            app.wait_until_handled(handled + 1, timeout_seconds=300)
    with recovery():
        app.wait_until_handled(total, timeout_seconds=300)
    assert app.drain() == 0
    report = app.check(written)
    print(f"{report.handled} changes, {len(report.repeats)} repeats, {KILLS} kills, seed {seed}")


def victims(choose: random.Random) -> list[str]:
    """Return whom to kill: no kind again before all have been."""
    rounds = [choose.sample(VICTIMS, len(VICTIMS)) for _ in range(0, KILLS, len(VICTIMS))]
    return [victim for one in rounds for victim in one][:KILLS]


def kill_one(app: Application, victim: str, choose: random.Random) -> None:
    """Kill a process of a kind; the launcher is started again, all else is its work."""
    pid = choose.choice(app.pids_of(victim))
    print(f"{victim} {pid} is killed with {app.handled_count()} handled")
    with app.disruption(f"{victim} killed"):
        kill(pid)
        if victim == "launcher":
            app.wait()
        wait_until(partial(is_dead, pid), 10, f"the {victim}'s death")
    if victim == "launcher":
        app.start()
