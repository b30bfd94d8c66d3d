"""Which stream is read: tables made anew, tables added later, shards that roll over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from record_processor.testing import DynamoDBLocal, FaultProxy, StreamSimulator, wait_until, write_changes
from record_processor.testing.plugin import MakeStreamTable
from record_processor.testing.tables import create_stream_table
from tests.local.application import MakeApplication

pytestmark = pytest.mark.local


def switch_stream_off(client: Any, table: str) -> None:
    """Leave a table without a stream."""
    client.update_table(TableName=table, StreamSpecification={"StreamEnabled": False})


def delete_table(client: Any, table: str) -> None:
    """Delete a table; its stream can still be read."""
    client.delete_table(TableName=table)


def recreate_table(client: Any, table: str) -> None:
    """Delete a table and make another of its name."""
    delete_table(client, table)
    create_stream_table(client, table)


def restart_stream(client: Any, table: str) -> None:
    """Switch a table's stream off and on."""
    switch_stream_off(client, table)
    client.update_table(
        TableName=table,
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )


@pytest.mark.parametrize("renew", [recreate_table, restart_stream])
@pytest.mark.parametrize("running", [True, False], ids=["running", "down"])
def test_a_stream_made_anew_is_read_after_the_old_one_is_finished(
    application: MakeApplication,
    stream_table: MakeStreamTable,
    dynamodb_local: DynamoDBLocal,
    renew: Callable[[Any, str], None],
    running: bool,
) -> None:
    """What was written before is handled to the last change, then the new stream from its first."""
    table = stream_table()
    client = dynamodb_local.client()
    app = application(sourceTable=table.name, streamCheckIntervalMillis=1000)
    old = write_changes(client, table.name, 60, seed=1, keys=6, prefix="old-")
    app.start()
    app.wait_until_handled(old.total)
    if not running:
        assert app.drain() == 0
    late = write_changes(client, table.name, 60, seed=2, keys=6, prefix="late-")
    renew(client, table.name)
    new = write_changes(client, table.name, 60, seed=3, keys=6, prefix="new-")
    if not running:
        app.start()
    app.wait_until_handled(old.total + late.total + new.total)
    assert app.drain() == 0
    report = app.check({**old.per_key, **late.per_key, **new.per_key})
    assert report.repeats == []
    order = [entry.key.split("-")[0] for entry in app.history.handled()]
    assert order == ["old"] * old.total + ["late"] * late.total + ["new"] * new.total
    assert app.owners() == []


@pytest.mark.parametrize("end", [switch_stream_off, delete_table])
def test_a_stream_that_ended_while_nobody_read_it_is_read_to_its_end(
    application: MakeApplication,
    stream_table: MakeStreamTable,
    dynamodb_local: DynamoDBLocal,
    end: Callable[[Any, str], None],
) -> None:
    """A table that is gone, or has no stream any more, does not keep what it wrote from being handled."""
    table = stream_table()
    client = dynamodb_local.client()
    app = application(sourceTable=table.name, streamCheckIntervalMillis=1000)
    early = write_changes(client, table.name, 30, seed=1, prefix="early-")
    app.start()
    app.wait_until_handled(early.total)
    assert app.drain() == 0
    late = write_changes(client, table.name, 30, seed=2, prefix="late-")
    end(client, table.name)
    app.start()
    app.wait_until_handled(early.total + late.total)
    app.wait_for_line("the shard is read to its end")
    assert app.drain() == 0
    assert app.check({**early.per_key, **late.per_key}).repeats == []
    assert len(app.lines(f"table {table.name} is gone")) == (end is delete_table)


def test_the_new_stream_waits_for_a_record_of_the_old_one_that_fails(
    application: MakeApplication, stream_table: MakeStreamTable, dynamodb_local: DynamoDBLocal
) -> None:
    """The old stream is not finished while one of its records is not handled."""
    table = stream_table()
    client = dynamodb_local.client()
    app = application(
        sourceTable=table.name, processor="handlers:Fails", streamCheckIntervalMillis=1000
    ).start_and_wait()
    poison = write_changes(client, table.name, 3, seed=1, keys=1, prefix="poison-")
    recreate_table(client, table.name)
    new = write_changes(client, table.name, 20, seed=2, prefix="new-")
    app.wait_for_line("is read to its end first")
    app.wait_for_line("attempt 3 failed")
    assert app.history.handled() == []
    (app.folder / "mended").touch()
    app.wait_until_handled(poison.total + new.total)
    assert app.drain() == 0
    app.check({**poison.per_key, **new.per_key})


@pytest.mark.fault(17)
def test_the_end_of_a_shard_is_checkpointed_though_that_is_throttled(
    application: MakeApplication,
    stream_table: MakeStreamTable,
    dynamodb_local: DynamoDBLocal,
    fault_proxy: FaultProxy,
) -> None:
    """The lineage does not stand still: SHARD_END is stored as soon as the lease table takes it."""
    table = stream_table()
    client = dynamodb_local.client()
    app = application(
        endpoint=fault_proxy.endpoint, sourceTable=table.name, streamCheckIntervalMillis=1000
    ).start_and_wait()
    old = write_changes(client, table.name, 20, seed=1, prefix="old-")
    app.wait_until_handled(old.total)

    def is_shard_end(request: dict[str, Any]) -> bool:
        return "SHARD_END" in str(request)

    fault = fault_proxy.fail("UpdateItem", "ThrottlingException", match=is_shard_end)
    recreate_table(client, table.name)
    new = write_changes(client, table.name, 20, seed=2, prefix="new-")
    wait_until(lambda: fault.hits >= 5, 30, "five throttled checkpoints")
    fault.remove()
    app.wait_until_handled(old.total + new.total)
    assert app.drain() == 0
    app.check({**old.per_key, **new.per_key})


def test_a_table_can_be_added_without_losing_a_checkpoint(
    application: MakeApplication, stream_table: MakeStreamTable, dynamodb_local: DynamoDBLocal
) -> None:
    """The first table goes on where it was, the second is read from its beginning."""
    first, second = stream_table(), stream_table()
    client = dynamodb_local.client()
    app = application(sourceTable=first.name)
    (app.folder / "several-tables").touch()
    begin = write_changes(client, first.name, 40, seed=1, prefix="begin-")
    other = write_changes(client, second.name, 40, seed=2, prefix="other-")
    app.start()
    app.wait_until_handled(begin.total)
    assert app.drain() == 0
    more = write_changes(client, first.name, 40, seed=3, prefix="more-")
    app.start(sourceTable=f"{first.name}, {second.name}")
    app.wait_until_handled(begin.total + other.total + more.total)
    assert app.drain() == 0
    written = {f"{first.name}/{key}": n for key, n in {**begin.per_key, **more.per_key}.items()}
    written |= {f"{second.name}/{key}": n for key, n in other.per_key.items()}
    assert app.check(written).repeats == []


def test_a_stream_can_be_named_by_its_arn(
    application: MakeApplication, stream_table: MakeStreamTable, dynamodb_local: DynamoDBLocal
) -> None:
    """StreamArn instead of sourceTable; the handlers know the table's name all the same."""
    table = stream_table()
    written = write_changes(dynamodb_local.client(), table.name, 20, seed=1)
    app = application(streamArn=table.stream_arn)
    (app.folder / "several-tables").touch()
    app.start()
    app.wait_until_handled(written.total)
    assert app.drain() == 0
    app.check({f"{table.name}/{key}": n for key, n in written.per_key.items()})


@pytest.mark.fault(25)
def test_a_shard_that_rolls_over_is_followed_to_its_child(
    application: MakeApplication, stream_simulator: StreamSimulator
) -> None:
    """The parent is finished first, and the child, whose lease key names the stream, follows within seconds."""
    stream = stream_simulator.create_stream("orders")
    app = application(endpoint=stream_simulator.endpoint, sourceTable="orders").start_and_wait()
    before = stream.write_changes(60, seed=1, keys=6, prefix="a-")
    app.wait_until_handled(before.total // 2)
    (parent,) = stream.open_shards
    (child,) = stream.roll()
    after = stream.write_changes(60, seed=2, keys=6, prefix="b-")
    app.wait_until_handled(before.total + after.total, timeout_seconds=30)
    assert app.drain() == 0
    assert app.check({**before.per_key, **after.per_key}).repeats == []
    checkpoints = {row["shardId"]: row["checkpoint"] for row in app.leases()}
    assert checkpoints[child.id] == child.records[-1].sequence_number
    assert checkpoints.get(parent.id, "SHARD_END") == "SHARD_END"
    assert all(row["leaseKey"].startswith("123456789012:") for row in app.leases())
