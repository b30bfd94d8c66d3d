"""Calls fail for a while: each one throttled, connections that stall and drip, a lease table that is slow or gone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pytest

from record_processor.testing import StreamSimulator, wait_until
from record_processor.testing.aws import local_client
from tests.fault_report import Recovery
from tests.local.application import MakeApplication

pytestmark = pytest.mark.local

THROTTLED_SECONDS: Final = 3.0
STALL_SECONDS: Final = 30.0


@pytest.mark.timeout(0)
@pytest.mark.fault(23)
def test_each_call_is_throttled_for_a_while(
    application: MakeApplication, stream_simulator: StreamSimulator, recovery: Recovery
) -> None:
    """Whatever is refused while shards are read, and end, and begin, is asked again, and nothing is lost."""
    stream = stream_simulator.create_stream("orders", shards=2)
    app = application(
        endpoint=stream_simulator.endpoint,
        sourceTable="orders",
        checkpointIntervalMillis=200,
        streamCheckIntervalMillis=1000,
    ).start_and_wait()
    written: dict[str, Sequence[int]] = {}
    total = 0
    hits: dict[str, int] = {}

    def write() -> int:
        nonlocal total
        part = stream.write_changes(40, seed=total, prefix=f"{total}-")
        written.update(part.per_key)
        total += part.total
        return total

    for operation, code in [
        ("GetRecords", "LimitExceededException"),
        ("GetRecords", "ThrottlingException"),
        ("GetShardIterator", "ThrottlingException"),
        ("DescribeStream", "LimitExceededException"),
        ("DescribeTable", "ThrottlingException"),
        ("UpdateItem", "ProvisionedThroughputExceededException"),
        ("UpdateItem", "ThrottlingException"),
        ("PutItem", "ThrottlingException"),
        ("GetItem", "ThrottlingException"),
        ("Scan", "ProvisionedThroughputExceededException"),
        ("DeleteItem", "ThrottlingException"),
    ]:
        with app.disruption(f"{operation}: {code}"):  # which may cost a lease
            fault = stream_simulator.fail(operation, code)
            write()
            stream.roll()
            write()
            with pytest.raises(TimeoutError):  # for so long, hit or not
                wait_until(lambda: False, THROTTLED_SECONDS)
            fault.remove()
            with recovery():
                app.wait_until_handled(total)
        hits[f"{operation}: {code}"] = fault.hits
    print(hits)
    for operation in ("GetRecords", "GetShardIterator", "DescribeStream", "UpdateItem", "PutItem", "Scan"):
        assert any(count for name, count in hits.items() if name.startswith(f"{operation}:")), hits
    assert app.drain() == 0
    app.check(written)


@pytest.mark.fault(29)
def test_calls_that_stall_or_drip(
    application: MakeApplication, stream_simulator: StreamSimulator, recovery: Recovery
) -> None:
    """A read without an answer for half a minute holds up its own shard only; slow ones cost time, nothing else."""
    stream = stream_simulator.create_stream("orders", shards=2)
    app = application(endpoint=stream_simulator.endpoint, sourceTable="orders").start_and_wait()
    stalled, other = stream.open_shards
    hang = stream_simulator.hang("GetRecords", STALL_SECONDS, shard=stalled.id, times=1)
    wait_until(lambda: hang.hits == 1, 60, "a stalled read")
    written = stream.write_changes(100, seed=1)
    app.wait_until_handled(len(other.records), timeout_seconds=20)
    assert {entry.shard_id for entry in app.history.handled()} == {other.id}
    with recovery():
        app.wait_until_handled(100)
    halves = stream_simulator.half_answer("GetRecords", times=6)
    slow = stream_simulator.delay("GetRecords", 2, times=6)
    more = stream.write_changes(100, seed=2, prefix="more-")
    app.wait_until_handled(200)
    wait_until(lambda: halves.hits == 6 and slow.hits == 6, 60, "half and slow answers")
    assert app.drain() == 0
    assert app.check({**written.per_key, **more.per_key}).repeats == []


@pytest.mark.fault(30)
def test_a_lease_table_that_is_slow(
    application: MakeApplication, stream_simulator: StreamSimulator, recovery: Recovery
) -> None:
    """Records are handled meanwhile, and in the end checkpointed."""
    stream = stream_simulator.create_stream("orders")
    app = application(
        endpoint=stream_simulator.endpoint, sourceTable="orders", checkpointIntervalMillis=200
    ).start_and_wait()
    slow = stream_simulator.delay("UpdateItem", 2)
    written = stream.write_changes(100, seed=1)
    app.wait_until_handled(written.total)
    slow.remove()
    last = stream.open_shards[0].records[-1].sequence_number
    with recovery():
        wait_until(lambda: app.leases()[0]["checkpoint"] == last, 60, "the last checkpoint")
    assert app.drain() == 0
    assert app.check(written.per_key).repeats == []


@pytest.mark.fault(30)
def test_a_lease_table_that_is_deleted_while_it_is_used(
    application: MakeApplication, stream_simulator: StreamSimulator, recovery: Recovery
) -> None:
    """The log says that it is gone; no record is read anew, however long it runs on."""
    stream = stream_simulator.create_stream("orders", shards=2)
    app = application(
        endpoint=stream_simulator.endpoint,
        sourceTable="orders",
        checkpointIntervalMillis=200,
        failoverTimeMillis=3000,
    ).start_and_wait()
    client = local_client("dynamodb", stream_simulator.endpoint, "us-east-1", 5)
    stream.write_changes(50, seed=1, prefix="a-")
    app.wait_until_handled(50)
    client.delete_table(TableName=app.name)
    with recovery():
        line = app.wait_for_line(f"the lease table {app.name} is gone", level="ERROR")
    assert "reads each shard anew" in line["message"]
    stream.write_changes(50, seed=2, prefix="b-")
    app.wait_for_line("the lease was lost", count=2)
    handled = [entry.sequence_number for entry in app.history.handled()]
    assert len(handled) == len(set(handled))
    assert app.drain() == 0
    assert app.name not in client.list_tables()["TableNames"]
    app.start()
    app.wait_for_line(f"the lease table {app.name} was deleted", level="WARNING")
    app.wait_until_handled(100)
    assert app.drain() == 0
