"""Many handler calls at once: each key's changes in order, nothing missing, whatever process is killed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final

import pytest

from record_processor.testing import DynamoDBLocal, wait_until, write_changes
from record_processor.testing.plugin import MakeStreamTable
from tests.local.application import Application, MakeApplication, is_alive, kill, kills

pytestmark = [pytest.mark.local, pytest.mark.timeout(0)]

KILLS: Final = kills(5)
CHANGES: Final = 200
"""In each round."""


@pytest.mark.parametrize("processor", ["InThreads", "InProcesses", "OnEventLoop"])
def test_ten_run_at_once_and_each_keys_order_is_kept_through_kills(
    application: MakeApplication, stream_table: MakeStreamTable, dynamodb_local: DynamoDBLocal, processor: str
) -> None:
    """Random kills of workers, and of the processes in which they run handlers, lose nothing."""
    seed = random.randrange(1_000_000)
    print("seed", seed)
    choose = random.Random(seed)
    client, table = dynamodb_local.client(), stream_table().name
    app = application(
        sourceTable=table,
        processor=f"handlers:{processor}",
        parallelizationFactor=10,
        checkpointIntervalMillis=500,
    ).start()
    written: dict[str, Sequence[int]] = {}
    for number in range(10):
        client.put_item(TableName=table, Item={"pk": {"S": f"together-{number}"}, "n": {"N": "1"}})
        written[f"together-{number}"] = [1]
    app.wait_until_handled(10)  # which they are only if ten run at once
    for round_number in range(KILLS):
        before = sum(map(len, written.values()))
        part = write_changes(
            client, table, CHANGES, seed=seed + round_number, keys=20, prefix=f"{round_number}-"
        )
        written |= part.per_key
        app.wait_until_handled(before + choose.randrange(CHANGES))
        kill_one(app, choose)
        app.wait_until_handled(before + part.total)
    assert app.drain() == 0
    app.check(written)


def kill_one(app: Application, choose: random.Random) -> None:
    """Kill a process, and wait until the worker whose it was is gone, with all of its own."""
    app.a_worker()
    pids = app.handler_pids()
    with app.disruption("kill"):
        kill(choose.choice(pids))
        wait_until(lambda: not any(map(is_alive, pids)), 30, "the worker's death")


def test_a_process_that_has_nothing_to_do_is_missed(
    application: MakeApplication, stream_table: MakeStreamTable, dynamodb_local: DynamoDBLocal
) -> None:
    """When one is killed, the worker is replaced at once, before a record is given to nobody."""
    app = application(
        sourceTable=stream_table().name, processor="handlers:InProcesses", parallelizationFactor=10
    ).start_and_wait()
    worker = app.a_worker()
    idle = wait_until(lambda: [pid for pid in app.handler_pids() if pid != worker][9:], 30, "ten processes")[
        0
    ]
    kill(idle)
    app.wait_for_line(f"process {idle} of a parallel handler died; the worker is replaced")
    wait_until(lambda: app.worker_pids() not in ([], [worker]), 60, "another worker")
    assert app.drain() == 0
