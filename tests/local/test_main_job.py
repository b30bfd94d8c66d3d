"""From a table's changes to a handler and back to a checkpoint: the way that all is there for."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from record_processor.testing import DynamoDBLocal, wait_until, write_changes
from record_processor.testing.plugin import MakeStreamTable
from tests.local.application import MakeApplication

pytestmark = pytest.mark.local


@pytest.mark.parametrize("processor", ["handlers:Recorder", "handlers:ByKind", "handlers:InBatches"])
@pytest.mark.fault(11)
def test_every_change_is_handled_in_order_and_a_restart_repeats_nothing(
    application: MakeApplication, stream_table: MakeStreamTable, dynamodb_local: DynamoDBLocal, processor: str
) -> None:
    """Every change of every kind arrives, in order for each key; after a drain nothing comes again."""
    table = stream_table()
    app = application(sourceTable=table.name, processor=processor)
    first = write_changes(dynamodb_local.client(), table.name, 300, seed=1, keys=20, prefix="first-")
    app.start()
    app.wait_until_handled(first.total)
    assert app.drain() == 0
    assert app.owners() == []
    second = write_changes(dynamodb_local.client(), table.name, 100, seed=2, keys=20, prefix="second-")
    app.start()
    app.wait_until_handled(first.total + second.total)
    assert app.drain() == 0
    report = app.check({**first.per_key, **second.per_key})
    assert report.repeats == []
    assert {first.inserted > 0, first.modified > 0, first.removed > 0} == {True}


def test_a_normal_run_says_little(
    application: MakeApplication, stream_table: MakeStreamTable, dynamodb_local: DynamoDBLocal
) -> None:
    """About twenty log lines, none of them a warning."""
    table = stream_table()
    written = write_changes(dynamodb_local.client(), table.name, 50, seed=3)
    app = application(sourceTable=table.name, processor="handlers:Recorder").start()
    app.wait_until_handled(written.total)
    assert app.drain(group=True) == 0
    lines = app.lines()
    assert 5 <= len(lines) <= 20, app.output()
    assert {line["level"] for line in lines} == {"INFO"}, app.output()


def test_checkpoints_are_made_while_a_shard_is_idle(
    application: MakeApplication, stream_table: MakeStreamTable, dynamodb_local: DynamoDBLocal
) -> None:
    """What was handled within the interval is checkpointed when it is over, though nothing more comes."""
    table = stream_table()
    app = application(sourceTable=table.name, checkpointIntervalMillis=2000).start_and_wait()
    written = write_changes(dynamodb_local.client(), table.name, 30, seed=4, keys=5)
    app.wait_until_handled(written.total)
    last = app.history.handled()[-1].sequence_number
    wait_until(lambda: app.leases()[0]["checkpoint"] == last, 20, "the last checkpoint")
    assert app.drain() == 0


@pytest.mark.parametrize(
    ("number", "group"),
    [(signal.SIGTERM, False), (signal.SIGTERM, True), (signal.SIGINT, True)],
    ids=["SIGTERM to the process", "SIGTERM to the group", "Ctrl-C"],
)
def test_a_drain_ends_a_shard_that_is_blocked_in_retries(
    application: MakeApplication,
    stream_table: MakeStreamTable,
    dynamodb_local: DynamoDBLocal,
    number: signal.Signals,
    group: bool,
) -> None:
    """A signal to the process or its group ends it with 0, within the grace, and what failed comes again."""
    table = stream_table()
    client = dynamodb_local.client()
    before = write_changes(client, table.name, 40, seed=5, keys=4, prefix="a-")
    app = application(sourceTable=table.name, processor="handlers:Fails", maximumRetryBackoffMillis=20_000)
    app.start()
    app.wait_until_handled(before.total)
    poison = write_changes(client, table.name, 5, seed=6, keys=1, prefix="poison-")
    behind = write_changes(client, table.name, 40, seed=7, keys=4, prefix="b-")
    app.wait_for_line("attempt 4 failed")
    begin = time.monotonic()
    assert app.drain(number, group=group) == 0
    assert time.monotonic() - begin < 10
    assert app.owners() == []
    (app.folder / "mended").touch()
    app.start()
    app.wait_until_handled(before.total + poison.total + behind.total)
    assert app.drain() == 0
    report = app.check({**before.per_key, **poison.per_key, **behind.per_key})
    assert report.repeats == []


@pytest.mark.fault(11)
def test_a_drain_lets_the_running_handler_finish(
    application: MakeApplication, stream_table: MakeStreamTable, dynamodb_local: DynamoDBLocal
) -> None:
    """The handler that runs is waited for, its record checkpointed, and the rest left for later."""
    table = stream_table()
    written = write_changes(dynamodb_local.client(), table.name, 30, seed=8, keys=3)
    app = application(sourceTable=table.name, processor="handlers:Waits")
    (app.folder / "wait").touch()
    app.start()
    wait_until((app.folder / "waiting").exists, 60, "the handler running")
    app.send(signal.SIGTERM)
    app.await_word_for(app.a_worker())
    (app.folder / "wait").unlink()
    assert app.wait() == 0
    app.history.mark("drain")
    handled = app.history.handled()
    assert len(handled) == 1
    assert app.leases()[0]["checkpoint"] == handled[0].sequence_number
    assert (app.folder / "waiting").read_text() == handled[0].sequence_number
    app.start()
    app.wait_until_handled(written.total)
    assert app.drain() == 0
    assert app.check(written.per_key).repeats == []


def test_a_handler_that_outlasts_the_grace_period_is_killed_and_its_record_comes_again(
    application: MakeApplication, stream_table: MakeStreamTable, dynamodb_local: DynamoDBLocal
) -> None:
    """The drain keeps to its time, gives the lease back and ends with 0."""
    table = stream_table()
    written = write_changes(dynamodb_local.client(), table.name, 10, seed=9, keys=3)
    app = application(sourceTable=table.name, processor="handlers:Waits", shutdownGraceMillis=4000)
    (app.folder / "wait").touch()
    app.start()
    wait_until((app.folder / "waiting").exists, 60, "the handler running")
    begin = time.monotonic()
    assert app.drain() == 0
    assert time.monotonic() - begin < 4.5
    assert app.owners() == []
    assert app.lines("a handler is still running: killed")
    (app.folder / "wait").unlink()
    app.start()
    app.wait_until_handled(written.total)
    assert app.drain() == 0
    app.check(written.per_key)


@pytest.mark.fault(11)
def test_a_second_signal_ends_it_at_once(
    application: MakeApplication, stream_table: MakeStreamTable, dynamodb_local: DynamoDBLocal
) -> None:
    """A drain that a handler holds up is cut short by the next signal; nothing is left running."""
    table = stream_table()
    write_changes(dynamodb_local.client(), table.name, 3, seed=10)
    app = application(sourceTable=table.name, processor="handlers:Waits")
    (app.folder / "wait").touch()
    app.start()
    wait_until((app.folder / "waiting").exists, 60, "the handler running")
    pids = [app.daemon_pid(), *app.worker_pids()]
    app.send(signal.SIGINT)
    app.wait_for_line("draining, for")
    time.sleep(1)  # a person's second Ctrl-C; what comes within an instant counts as the same one
    app.send(signal.SIGINT)
    assert app.wait(5) == 130
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), 2, "all processes gone")
