"""Whatever raises, dies or hangs: nothing is lost, order is kept, repeats have a reason."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from record_processor.testing import DynamoDBLocal, wait_until, write_changes
from record_processor.testing.plugin import MakeStreamTable
from tests.local.application import MakeApplication, is_alive, is_dead, kill

pytestmark = pytest.mark.local


@pytest.mark.fault(3)
def test_a_handler_that_raises_is_called_again_until_it_returns(
    application: MakeApplication, stream_table: MakeStreamTable, dynamodb_local: DynamoDBLocal
) -> None:
    """Nothing passes the failing record, no checkpoint either; the log says what and where, never the body."""
    table = stream_table()
    client = dynamodb_local.client()
    before = write_changes(client, table.name, 20, seed=1, keys=2, prefix="a-")
    client.put_item(
        TableName=table.name, Item={"pk": {"S": "poison"}, "n": {"N": "1"}, "body": {"S": "canary-7391"}}
    )
    behind = write_changes(client, table.name, 20, seed=2, keys=2, prefix="b-")
    app = application(sourceTable=table.name, processor="handlers:Fails").start()
    line = app.wait_for_line("attempt 3 failed")
    assert "ValueError: the search index does not answer" in line["message"]
    assert line["level"] == "ERROR"
    assert line["shard"].startswith("shardId-")
    handled = app.history.handled()
    assert {entry.key[:1] for entry in handled} == {"a"}
    assert len(handled) == before.total
    wait_until(lambda: app.leases()[0]["checkpoint"] == handled[-1].sequence_number, 20, "the checkpoint")
    assert any("handlers.py" in entry.get("exception", "") for entry in app.lines("attempt 1 failed"))
    (app.folder / "mended").touch()
    app.wait_until_handled(before.total + 1 + behind.total)
    assert app.drain() == 0
    assert app.check({**before.per_key, "poison": [1], **behind.per_key}).repeats == []
    assert "canary-7391" not in app.output()


@pytest.mark.fault(1)
def test_killed_workers_are_replaced_and_get_again_what_was_not_acknowledged(
    application: MakeApplication, stream_table: MakeStreamTable, dynamodb_local: DynamoDBLocal
) -> None:
    """Five SIGKILLs at random moments of the work lose nothing and repeat nothing from before a checkpoint."""
    seed = random.randrange(1_000_000)
    print("seed", seed)
    choose = random.Random(seed)
    table = stream_table()
    app = application(sourceTable=table.name, checkpointIntervalMillis=500).start_and_wait()
    written: dict[str, Sequence[int]] = {}
    total = 0
    jvm = app.daemon_pid()
    for round_number in range(5):
        part = write_changes(
            dynamodb_local.client(), table.name, 120, seed=seed + round_number, prefix=f"{round_number}-"
        )
        written |= part.per_key
        app.wait_until_handled(total + choose.randrange(1, 120))
        worker = app.a_worker()
        with app.disruption("kill"):
            kill(worker)
            wait_until(partial(is_dead, worker), 5, "the worker's death")
        total += part.total
        app.wait_until_handled(total)
    assert app.daemon_pid() == jvm
    assert app.drain() == 0
    app.check(written)


@pytest.mark.fault(9)
def test_a_killed_jvm_is_started_again_under_the_same_worker_id(
    application: MakeApplication, stream_table: MakeStreamTable, dynamodb_local: DynamoDBLocal
) -> None:
    """Its workers end within 2 s; the next JVM goes on where the last checkpoint was."""
    table = stream_table()
    app = application(sourceTable=table.name, processor="handlers:Waits").start_and_wait()
    first = write_changes(dynamodb_local.client(), table.name, 200, seed=1, keys=20, prefix="a-")
    app.wait_until_handled(first.total)
    (app.folder / "wait").touch()
    second = write_changes(dynamodb_local.client(), table.name, 100, seed=2, keys=20, prefix="b-")
    wait_until((app.folder / "waiting").exists, 60, "a busy handler")
    worker = app.a_worker()
    owner = app.owners()
    with app.disruption("kill"):
        kill(app.daemon_pid())
        wait_until(lambda: not is_alive(worker), 2, "the busy worker's death")
    (app.folder / "wait").unlink()
    app.wait_until_handled(first.total + second.total)
    assert app.owners() == owner
    assert app.drain() == 0
    app.check({**first.per_key, **second.per_key})


@pytest.mark.fault(9)
def test_when_the_command_is_killed_nothing_is_left_after_two_seconds(
    application: MakeApplication, stream_table: MakeStreamTable, dynamodb_local: DynamoDBLocal
) -> None:
    """Also while a handler is busy; the next start goes on, and repeats only what was not checkpointed."""
    table = stream_table()
    written = write_changes(dynamodb_local.client(), table.name, 50, seed=1, keys=5)
    app = application(sourceTable=table.name, processor="handlers:Waits")
    (app.folder / "wait").touch()
    app.start()
    wait_until((app.folder / "waiting").exists, 60, "a busy handler")
    pids = [app.daemon_pid(), *app.worker_pids()]
    assert len(pids) == 2
    with app.disruption("kill"):
        kill(app.pid)
        app.wait()
        wait_until(lambda: not any(map(is_alive, pids)), 2, "the end of daemon and worker")
    (app.folder / "wait").unlink()
    app.start()
    app.wait_until_handled(written.total)
    assert app.drain() == 0
    app.check(written.per_key)


@pytest.mark.fault(7)
def test_a_handler_that_hangs_is_replaced_after_timeout_in_seconds(
    application: MakeApplication, stream_table: MakeStreamTable, dynamodb_local: DynamoDBLocal
) -> None:
    """The worker is killed and its batch given to the next one; the log says which property did it."""
    table = stream_table()
    written = write_changes(dynamodb_local.client(), table.name, 20, seed=1, keys=2)
    app = application(sourceTable=table.name, processor="handlers:Hangs", timeoutInSeconds=3).start()
    app.wait_until_handled(written.total)
    assert app.lines("no answer for a batch within timeoutInSeconds = 3")
    assert app.drain() == 0
    assert app.check(written.per_key).repeats == []


def test_handlers_that_end_their_process_are_replaced(
    application: MakeApplication, stream_table: MakeStreamTable, dynamodb_local: DynamoDBLocal
) -> None:
    """os._exit, sys.exit and a crash in C each cost one worker, and never the JVM."""
    table = stream_table()
    written = write_changes(dynamodb_local.client(), table.name, 20, seed=1, keys=2)
    app = application(sourceTable=table.name, processor="handlers:Exits").start()
    jvm = app.daemon_pid()
    app.wait_until_handled(written.total)
    for reason in ("exit code 0", "exit code 1", "signal 11"):
        assert app.lines(f"the shard's process failed: it ended with {reason}"), app.output()
    assert app.daemon_pid() == jvm
    assert app.drain() == 0
    app.check(written.per_key)


@pytest.mark.fault(5)
def test_a_shard_whose_setup_fails_is_tried_again(
    application: MakeApplication, stream_table: MakeStreamTable, dynamodb_local: DynamoDBLocal
) -> None:
    """A setup that raises is logged with the user's traceback, and repeated until it returns."""
    table = stream_table()
    written = write_changes(dynamodb_local.client(), table.name, 10, seed=1)
    app = application(sourceTable=table.name, processor="handlers:BadSetup").start()
    line = app.wait_for_line("setup failed", count=2)
    assert "no search index" in line["exception"]
    (app.folder / "mended").touch()
    app.wait_until_handled(written.total)
    assert app.drain() == 0
    app.check(written.per_key)


@pytest.mark.fault(6)
def test_output_cannot_disturb_the_protocol_and_is_in_the_log_with_the_shards_id(
    application: MakeApplication, stream_table: MakeStreamTable, dynamodb_local: DynamoDBLocal
) -> None:
    """null, forged messages, 1 MB without a newline; from Python, C, threads and subprocesses."""
    table = stream_table()
    written = write_changes(dynamodb_local.client(), table.name, 20, seed=1, keys=2)
    app = application(sourceTable=table.name, processor="handlers:Talks").start()
    app.wait_until_handled(written.total)
    assert app.drain() == 0
    assert app.check(written.per_key).repeats == []
    handled = app.history.handled()
    assert app.leases()[0]["checkpoint"] == handled[-1].sequence_number
    for text in ("null", '{"action": "status"', '"999999999999999999999"', "from C", "from a subprocess"):
        found = app.lines(text, logger="output")
        assert found, text
        assert all(line["shard"].startswith("shardId-") for line in found)
    assert app.lines("from a thread", logger="output")
    assert sum(line["message"].count("x" * 1000) for line in app.lines("x" * 1000)) >= 990
    assert not app.lines("answered a request that was not made")


@pytest.mark.fault(10)
def test_a_daemon_that_is_stopped_and_goes_on_loses_nothing(
    application: MakeApplication, stream_table: MakeStreamTable, dynamodb_local: DynamoDBLocal
) -> None:
    """A JVM that pauses, as for a long garbage collection, takes up its lease again."""
    import signal

    table = stream_table()
    app = application(sourceTable=table.name, failoverTimeMillis=3000).start_and_wait()
    first = write_changes(dynamodb_local.client(), table.name, 100, seed=1, keys=10, prefix="a-")
    app.wait_until_handled(first.total)
    jvm = app.daemon_pid()
    with app.disruption("pause"):
        kill(jvm, signal.SIGSTOP)
        second = write_changes(dynamodb_local.client(), table.name, 100, seed=2, keys=10, prefix="b-")
        time.sleep(8)  # longer than the lease lasts: that is what is tested
        kill(jvm, signal.SIGCONT)
        app.wait_until_handled(first.total + second.total)
    assert app.drain() == 0
    app.check({**first.per_key, **second.per_key})
    assert Path(app.folder / "teardowns").exists()
