"""Streams at their worst: deleted records, shards and streams that are not found, late children, LATEST."""

from __future__ import annotations

import signal
import time
from typing import Any

import pytest

from record_processor.testing import DynamoDBLocal, FaultProxy, wait_until, write_changes
from record_processor.testing.faults import Forward
from record_processor.testing.plugin import MakeStreamTable
from record_processor.testing.simulator import SimulatedStream, StreamSimulator, VirtualClock
from tests.local.application import Application, MakeApplication, kill

pytestmark = pytest.mark.local


def checkpoints(app: Application) -> dict[str, str]:
    """Return each shard's checkpoint."""
    return {row["shardId"]: row["checkpoint"] for row in app.leases()}


def down_with_unread_records(app: Application, stream: SimulatedStream) -> int:
    """Handle some changes, stop, and write others. Returns how many were handled."""
    first = stream.write_changes(20, seed=1, prefix="first-")
    app.start()
    app.wait_until_handled(first.total)
    assert app.drain() == 0
    stream.write_changes(20, seed=2, prefix="unread-")
    return first.total


@pytest.mark.parametrize("shard_vanishes", [False, True])
@pytest.mark.fault(19)
def test_deleted_records_stop_the_shard_and_are_skipped_only_if_that_is_set(
    application: MakeApplication, stream_simulator: StreamSimulator, shard_vanishes: bool
) -> None:
    """Down for 25 hours: an error that says what to do, nothing is checkpointed; then a counted gap."""
    stream = stream_simulator.create_stream("orders")
    app = application(endpoint=stream_simulator.endpoint, sourceTable="orders")
    handled = down_with_unread_records(app, stream)
    (parent,) = stream.shards
    before = checkpoints(app)[parent.id]
    if shard_vanishes:
        stream.roll(parent)
    stream_simulator.clock.advance(hours=25)
    assert (parent in stream.shards) != shard_vanishes
    after = stream.write_changes(20, seed=3, prefix="after-")
    app.start()
    assert app.wait(60) == 4, app.output()
    (line,) = app.lines("deleted by DynamoDB before they were read", level="ERROR", shard=parent.id)
    assert f"behind its last checkpoint, {before}" in line["message"]
    assert "onTrimmedData = skip" in line["message"]
    assert stream.arn in line["message"]
    assert checkpoints(app)[parent.id] == before
    assert len({(entry.key, entry.n) for entry in app.history.handled()}) == handled
    app.start(onTrimmedData="skip")
    app.wait_until_handled(handled + after.total)
    assert app.drain() == 0
    (line,) = app.lines("gaps of this shard: 1", level="WARNING")
    assert parent.id in line["message"]
    late = [entry.key for entry in app.history.handled()][-after.total :]
    assert all(key.startswith("after-") for key in late)


@pytest.mark.fault(19)
def test_records_that_are_deleted_while_they_wait_to_be_read_stop_the_shard(
    application: MakeApplication, stream_simulator: StreamSimulator
) -> None:
    """GetRecords says it in the middle of a shard; what was read before is handled and checkpointed."""
    stream = stream_simulator.create_stream("orders")
    app = application(endpoint=stream_simulator.endpoint, sourceTable="orders").start_and_wait()
    first = stream.write_changes(20, seed=1, prefix="first-")
    app.wait_until_handled(first.total)
    hung = stream_simulator.fail("GetRecords", "InternalServerError")
    stream.write_changes(20, seed=2, prefix="unread-")
    wait_until(lambda: hung.hits > 0, 30, "a failed read")
    stream.trim_all()
    hung.remove()
    assert app.wait(90) == 4, app.output()
    assert checkpoints(app)[stream.shards[0].id] == app.history.handled()[-1].sequence_number


@pytest.mark.parametrize("operation", ["GetRecords", "GetShardIterator"])
@pytest.mark.fault(22)
def test_a_shard_that_is_not_found_though_it_is_listed_is_asked_for_again(
    application: MakeApplication, stream_simulator: StreamSimulator, operation: str
) -> None:
    """It is no end of the shard: a warning, pauses, no checkpoint, and it goes on."""
    stream = stream_simulator.create_stream("orders")
    app = application(endpoint=stream_simulator.endpoint, sourceTable="orders")
    first = stream.write_changes(20, seed=1, prefix="first-")
    app.start()
    app.wait_until_handled(first.total)
    before = wait_until(
        lambda: (at := checkpoints(app)[stream.shards[0].id]).isdigit() and at, 30, "a checkpoint"
    )
    if operation == "GetShardIterator":
        assert app.drain() == 0
    fault = stream_simulator.fail(operation, "ResourceNotFoundException")
    second = stream.write_changes(20, seed=2, prefix="second-")
    if operation == "GetShardIterator":
        app.start()
    line = app.wait_for_line("is not found though it is listed", level="WARNING")
    assert stream.arn in line["message"]
    wait_until(lambda: fault.hits >= 4, 60, "four calls")
    assert before in (checkpoints(app)[stream.shards[0].id], app.history.handled()[-1].sequence_number)
    assert "SHARD_END" not in checkpoints(app).values()
    fault.remove()
    app.wait_until_handled(first.total + second.total)
    assert len(app.lines("is not found though it is listed")) <= 2
    assert app.drain() == 0
    assert app.check({**first.per_key, **second.per_key}).repeats == []


@pytest.mark.parametrize("fault", ["not found", "empty", "half", "second page"])
@pytest.mark.fault(21)
def test_no_list_of_shards_deletes_a_lease(
    application: MakeApplication, dynamodb_local: DynamoDBLocal, fault: str
) -> None:
    """A stream not found, an empty list, half a list, a page that fails, at a restart.

    The shards are older than the six hours for which the adapter itself spares their leases.
    """
    clock = VirtualClock(lambda: time.time() - 7 * 3600)
    with StreamSimulator(dynamodb_local.endpoint, clock=clock) as simulator:
        no_list_deletes_a_lease(application, simulator, fault)


def no_list_deletes_a_lease(
    application: MakeApplication, stream_simulator: StreamSimulator, fault: str
) -> None:
    """The test, on a simulator of its own."""
    stream = stream_simulator.create_stream("orders", shards=4)
    app = application(endpoint=stream_simulator.endpoint, sourceTable="orders")
    first = stream.write_changes(40, seed=1, prefix="first-")
    app.start()
    app.wait_until_handled(first.total)
    assert app.drain() == 0
    before = checkpoints(app)

    def answer(request: dict[str, Any], forward: Forward) -> dict[str, Any]:
        described = forward({**request, "Limit": 2} if fault == "second page" else request)
        shards = described["StreamDescription"]["Shards"]
        if fault in ("empty", "half"):
            del shards[0 if fault == "empty" else 2 :]
        return described

    if fault == "not found":
        stream_simulator.fail("DescribeStream", "ResourceNotFoundException")
    if fault == "second page":
        stream_simulator.fail(
            "DescribeStream",
            "ResourceNotFoundException",
            match=lambda request: "ExclusiveStartShardId" in request,
        )
    stream_simulator.respond("DescribeStream", answer)
    second = stream.write_changes(40, seed=2, prefix="second-")
    app.start(sourceTable="orders", streamCheckIntervalMillis=1000)
    app.wait_until_handled(first.total + second.total)
    assert len(app.lines("its leases are left as they are")) == (fault != "half")
    assert app.drain() == 0
    assert set(checkpoints(app)) == set(before)
    assert app.check({**first.per_key, **second.per_key}).repeats == []


@pytest.mark.fault(26)
def test_children_that_are_listed_late_are_found(
    application: MakeApplication, stream_simulator: StreamSimulator
) -> None:
    """DynamoDB ends the parent long before it lists the children: they are read within 15 s of that."""
    stream = stream_simulator.create_stream("orders")
    app = application(endpoint=stream_simulator.endpoint, sourceTable="orders").start_and_wait()
    (parent,) = stream.shards

    def without_children(request: dict[str, Any], forward: Forward) -> dict[str, Any]:
        described = forward(request)
        described["StreamDescription"]["Shards"] = [
            shard for shard in described["StreamDescription"]["Shards"] if shard["ShardId"] == parent.id
        ]
        return described

    late = stream_simulator.respond("DescribeStream", without_children)
    first = stream.write_changes(20, seed=1, prefix="first-")
    stream.split(parent)
    second = stream.write_changes(20, seed=2, prefix="second-")
    app.wait_until_handled(first.total)
    app.wait_for_line("does not list its child shards yet", timeout_seconds=90)
    late.remove()
    app.wait_until_handled(first.total + second.total, timeout_seconds=15)
    assert app.drain() == 0
    assert app.check({**first.per_key, **second.per_key}).repeats == []


@pytest.mark.parametrize("end", ["drain", "kill"])
@pytest.mark.fault(27)
def test_latest_is_the_first_start_also_after_a_restart_before_the_first_checkpoint(
    application: MakeApplication, stream_table: MakeStreamTable, dynamodb_local: DynamoDBLocal, end: str
) -> None:
    """What is written while nobody runs is handled, what was there before the first start is not."""
    table = stream_table()
    client = dynamodb_local.client()
    write_changes(client, table.name, 20, seed=1, prefix="old-")
    app = application(sourceTable=table.name, initialPositionInStream="LATEST").start_and_wait()
    assert app.history.handled() == []
    if end == "drain":
        assert app.drain() == 0
    else:
        kill(app.pid)
        app.wait()
        app.history.mark("kill")
    assert set(checkpoints(app).values()) == {"LATEST"}
    new = write_changes(client, table.name, 40, seed=2, prefix="new-")
    app.start()
    wait_until(lambda: len(new_changes(app)) == new.total, 90, "every new change")
    assert app.drain() == 0
    if end == "drain":
        assert len(app.lines("reading the shard from LATEST")) == 2


def new_changes(app: Application) -> set[tuple[str, int]]:
    """Return what was handled that is new: DynamoDB Local's records say no more than the minute they are of."""
    return {(entry.key, entry.n) for entry in app.history.handled() if entry.key.startswith("new-")}


@pytest.mark.fault(20, 27)
def test_latest_survives_a_roll_over_while_nobody_runs_and_an_expired_iterator(
    application: MakeApplication, stream_simulator: StreamSimulator
) -> None:
    """Of the closed shard, too, nothing that was written since the first start is lost, and nothing older comes."""
    stream = stream_simulator.create_stream("orders")
    stream.write_changes(20, seed=1, prefix="old-")
    stream_simulator.clock.advance(seconds=5)
    app = application(
        endpoint=stream_simulator.endpoint, sourceTable="orders", initialPositionInStream="LATEST"
    )
    hung = stream_simulator.fail("GetRecords", "InternalServerError")
    app.start_and_wait()
    wait_until(lambda: hung.hits > 0, 30, "a failed read")
    first = stream.write_changes(20, seed=2, prefix="first-")
    stream_simulator.clock.advance(minutes=16)
    hung.remove()
    app.wait_until_handled(first.total)
    kill(app.pid)
    app.wait()
    app.history.mark("kill")
    second = stream.write_changes(20, seed=3, prefix="second-")
    stream.roll()
    third = stream.write_changes(20, seed=4, prefix="third-")
    app.start()
    app.wait_until_handled(first.total + second.total + third.total)
    assert app.drain() == 0
    assert not [entry for entry in app.history.handled() if entry.key.startswith("old-")]
    app.check({**first.per_key, **second.per_key, **third.per_key})


@pytest.mark.parametrize("operation", ["DescribeStream", "GetShardIterator", "GetRecords", "UpdateItem"])
@pytest.mark.fault(24)
def test_a_call_that_is_denied_while_it_runs_is_named_and_not_repeated_at_once(
    application: MakeApplication, stream_simulator: StreamSimulator, operation: str
) -> None:
    """One warning names the action and the resource, calls pause, and nothing is lost."""
    stream = stream_simulator.create_stream("orders")
    app = application(endpoint=stream_simulator.endpoint, sourceTable="orders").start_and_wait()
    first = stream.write_changes(20, seed=1, prefix="first-")
    app.wait_until_handled(first.total)
    fault = stream_simulator.fail(
        operation, "AccessDeniedException", table=app.name if operation == "UpdateItem" else None
    )
    if operation == "DescribeStream":
        stream.roll()  # its children are looked for
    if operation == "GetShardIterator":
        stream_simulator.clock.advance(minutes=16)  # a new iterator is needed
    second = stream.write_changes(20, seed=2, prefix="second-")
    line = app.wait_for_line(f"access denied: dynamodb:{operation} on arn:aws:dynamodb:", level="WARNING")
    assert ("/stream/" in line["message"]) == (operation != "UpdateItem")
    wait_until(lambda: fault.hits >= 4, 60, "four calls")
    assert len(app.lines(f"access denied: dynamodb:{operation}")) == 1
    fault.remove()
    app.wait_until_handled(first.total + second.total)
    assert app.drain(signal.SIGTERM) == 0
    app.check({**first.per_key, **second.per_key})


@pytest.mark.fault(23)
def test_throttled_reads_pause_longer_and_longer(
    application: MakeApplication, stream_simulator: StreamSimulator
) -> None:
    """No hot loop: in ten seconds a call that is throttled is made a few times, not hundreds."""
    stream = stream_simulator.create_stream("orders")
    app = application(endpoint=stream_simulator.endpoint, sourceTable="orders").start_and_wait()
    faults = [
        stream_simulator.fail(operation, "LimitExceededException")
        for operation in ("GetRecords", "GetShardIterator", "DescribeStream")
    ]
    began = stream_simulator.clock.now_seconds()
    wait_until(lambda: stream_simulator.clock.now_seconds() - began > 10, 30, "ten seconds")
    assert 1 <= sum(fault.hits for fault in faults) <= 60
    for fault in faults:
        fault.remove()
    written = stream.write_changes(20, seed=1)
    app.wait_until_handled(written.total, timeout_seconds=30)
    assert app.drain() == 0


@pytest.mark.fault(21, 22)
def test_a_stream_that_is_not_found_at_a_start_or_while_it_runs_costs_nothing(
    application: MakeApplication,
    stream_table: MakeStreamTable,
    dynamodb_local: DynamoDBLocal,
    fault_proxy: FaultProxy,
) -> None:
    """Every stream call says that there is no such stream, for a while; then it goes on where it was."""
    table = stream_table()
    app = application(
        endpoint=fault_proxy.endpoint, sourceTable=table.name, streamCheckIntervalMillis=1000
    ).start_and_wait()
    first = write_changes(dynamodb_local.client(), table.name, 20, seed=1, prefix="first-")
    app.wait_until_handled(first.total)
    faults = [
        fault_proxy.fail(operation, "ResourceNotFoundException")
        for operation in ("GetRecords", "GetShardIterator", "DescribeStream")
    ]
    app.wait_for_line("the stream is not found; its leases are left as they are", level="WARNING")
    second = write_changes(dynamodb_local.client(), table.name, 20, seed=2, prefix="second-")
    wait_until(lambda: all(fault.hits >= 3 for fault in faults), 60, "calls")
    for fault in faults:
        fault.remove()
    app.wait_until_handled(first.total + second.total)
    assert app.drain() == 0
    assert app.check({**first.per_key, **second.per_key}).repeats == []
