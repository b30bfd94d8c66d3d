"""AWS answers with errors: throttled and denied calls, resets. Nothing is lost, and the log says what to do."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from record_processor.testing import DynamoDBLocal, FaultProxy, wait_until, write_changes
from record_processor.testing.plugin import MakeStreamTable
from tests.local.application import MakeApplication

pytestmark = pytest.mark.local


@pytest.mark.fault(16, 23)
def test_throttled_calls_are_repeated_until_they_succeed(
    application: MakeApplication,
    stream_table: MakeStreamTable,
    dynamodb_local: DynamoDBLocal,
    fault_proxy: FaultProxy,
) -> None:
    """Reads and checkpoints that are throttled for a while only cost time."""
    table = stream_table()
    app = application(
        endpoint=fault_proxy.endpoint, sourceTable=table.name, checkpointIntervalMillis=0
    ).start_and_wait()
    reads = fault_proxy.fail("GetRecords", "LimitExceededException", times=12)
    written = write_changes(dynamodb_local.client(), table.name, 60, seed=1)
    wait_until(lambda: reads.hits == 12, 60, "throttled reads")
    checkpoints = fault_proxy.fail("UpdateItem", "ThrottlingException", table=app.name)
    app.wait_until_handled(written.total)
    app.wait_for_line("; it is tried again", level="WARNING")
    wait_until(lambda: checkpoints.hits > 0, 60, "a throttled checkpoint")
    checkpoints.remove()
    last = app.history.handled()[-1].sequence_number
    wait_until(lambda: app.leases()[0]["checkpoint"] == last, 60, "the last checkpoint")
    assert app.drain() == 0
    assert app.check(written.per_key).repeats == []


@pytest.mark.fault(16)
def test_a_checkpoint_that_is_throttled_at_the_drain_is_repeated(
    application: MakeApplication,
    stream_table: MakeStreamTable,
    dynamodb_local: DynamoDBLocal,
    fault_proxy: FaultProxy,
) -> None:
    """The last checkpoint is made within the grace period, however often it is refused at first."""
    table = stream_table()
    app = application(
        endpoint=fault_proxy.endpoint, sourceTable=table.name, checkpointIntervalMillis=600_000
    ).start_and_wait()
    written = write_changes(dynamodb_local.client(), table.name, 60, seed=1)
    app.wait_until_handled(written.total)
    fault = fault_proxy.fail(
        "UpdateItem", "ThrottlingException", times=12, match=lambda request: "checkpoint" in str(request)
    )
    assert app.drain() == 0
    assert fault.hits > 0
    assert app.leases()[0]["checkpoint"] == app.history.handled()[-1].sequence_number
    assert app.owners() == []


def test_a_lease_that_is_being_taken_when_the_drain_begins_is_given_back_too(
    application: MakeApplication, stream_table: MakeStreamTable, fault_proxy: FaultProxy
) -> None:
    """DynamoDB has the new owner already, KCL does not know of it yet: no row names us afterwards."""
    table = stream_table()
    app = application(endpoint=fault_proxy.endpoint, sourceTable=table.name)

    def drain_and_answer_late(_: dict[str, Any], forward: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        answer = forward()
        app.send(signal.SIGTERM)
        app.wait_for_line("draining, for")
        time.sleep(0.5)  # the answer is late: that is what is tested
        return answer

    late = fault_proxy.respond(
        "UpdateItem",
        drain_and_answer_late,
        table=app.name,
        match=lambda request: "leaseOwner" in request["AttributeUpdates"],
        times=1,
    )
    app.start()
    assert app.wait(60) == 0, app.output()
    assert late.hits == 1
    assert app.owners() == []


@pytest.mark.fault(29)
def test_connections_that_break_are_made_again(
    application: MakeApplication,
    stream_table: MakeStreamTable,
    dynamodb_local: DynamoDBLocal,
    fault_proxy: FaultProxy,
) -> None:
    """Resets and half answers cost a retry, no record."""
    table = stream_table()
    app = application(endpoint=fault_proxy.endpoint, sourceTable=table.name).start_and_wait()
    resets = fault_proxy.reset("GetRecords", times=2)
    halves = fault_proxy.half_answer("GetRecords", times=2)
    written = write_changes(dynamodb_local.client(), table.name, 60, seed=1)
    app.wait_until_handled(written.total)
    assert resets.hits == 2
    wait_until(lambda: halves.hits == 2, 30, "half answers")
    assert app.drain() == 0
    assert app.check(written.per_key).repeats == []


@pytest.mark.parametrize(
    ("operation", "resource"),
    [
        ("DescribeTable", ":table/"),
        ("DescribeStream", "/stream/"),
        ("CreateTable", ":table/app-"),
        ("CreateTable", "CoordinatorState"),
        ("GetItem", "CoordinatorState"),
        ("Scan", "app-"),
    ],
)
@pytest.mark.fault(24)
def test_a_call_that_is_denied_at_the_start_is_named_with_its_resource(
    application: MakeApplication,
    stream_table: MakeStreamTable,
    fault_proxy: FaultProxy,
    operation: str,
    resource: str,
) -> None:
    """One line says which IAM action on what is missing; the exit code is 3."""
    table = stream_table()
    only = resource if resource == "CoordinatorState" else ""
    fault_proxy.fail(operation, "AccessDeniedException", match=lambda request: only in str(request))
    app = application(endpoint=fault_proxy.endpoint, sourceTable=table.name).start()
    assert app.wait(60) == 3, app.output()
    (line,) = app.lines(level="ERROR")
    assert line["message"].startswith(f"access denied: dynamodb:{operation} on arn:aws:dynamodb:"), (
        app.output()
    )
    assert resource in line["message"]


@pytest.mark.fault(24)
def test_a_checkpoint_that_is_denied_is_said_with_action_and_resource(
    application: MakeApplication,
    stream_table: MakeStreamTable,
    dynamodb_local: DynamoDBLocal,
    fault_proxy: FaultProxy,
) -> None:
    """The shard goes on, nothing is checkpointed, and the log names what the role lacks."""
    table = stream_table()
    app = application(
        endpoint=fault_proxy.endpoint, sourceTable=table.name, checkpointIntervalMillis=0
    ).start_and_wait()
    fault = fault_proxy.fail(
        "UpdateItem", "AccessDeniedException", match=lambda request: "checkpoint" in str(request)
    )
    written = write_changes(dynamodb_local.client(), table.name, 10, seed=1)
    app.wait_until_handled(written.total)
    line = app.wait_for_line("is not authorized to perform: dynamodb:UpdateItem")
    assert f"table/{app.name}" in line["message"]
    fault.remove()
    assert app.drain() == 0
    assert app.leases()[0]["checkpoint"] == app.history.handled()[-1].sequence_number


@pytest.mark.fault(21)
def test_a_stream_that_is_not_found_for_a_while_costs_no_checkpoint(
    application: MakeApplication,
    stream_table: MakeStreamTable,
    dynamodb_local: DynamoDBLocal,
    fault_proxy: FaultProxy,
) -> None:
    """At a restart, the leases of a stream that cannot be described are left as they are."""
    table = stream_table()
    app = application(endpoint=fault_proxy.endpoint, sourceTable=table.name)
    first = write_changes(dynamodb_local.client(), table.name, 30, seed=1, prefix="a-")
    app.start()
    app.wait_until_handled(first.total)
    assert app.drain() == 0
    before = {row["leaseKey"]: row["checkpoint"] for row in app.leases()}
    fault = fault_proxy.fail("DescribeStream", "ResourceNotFoundException")
    second = write_changes(dynamodb_local.client(), table.name, 30, seed=2, prefix="b-")
    app.start()
    app.wait_for_line("its leases are left as they are")
    app.wait_until_handled(first.total + second.total)
    assert fault.hits > 0
    assert app.drain() == 0
    assert {row["leaseKey"] for row in app.leases()} == set(before)
    assert app.check({**first.per_key, **second.per_key}).repeats == []
