"""Two hosts of one application: deployed one after the other, taking each other's leases, crashing, namesakes."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from record_processor.testing import StreamSimulator, wait_until
from record_processor.testing.aws import local_client
from tests.fault_report import Recovery
from tests.local.application import Application, MakeApplication, is_dead, kill

pytestmark = pytest.mark.local

DEPLOYS: Final = int(os.environ.get("DEPLOYS", "3"))
"""So many times both hosts are replaced."""
FAILOVER_SECONDS: Final = 3
STRANGER: Final = "another-host"


@pytest.mark.timeout(0)
@pytest.mark.fault(13)
def test_rolling_deployments(
    host: MakeApplication, stream_simulator: StreamSimulator, recovery: Recovery
) -> None:
    """Hosts that drain one after the other hand over without a repeat; one that comes takes its share by force."""
    stream = stream_simulator.create_stream("orders", shards=4)
    hosts = [
        host(
            number,
            endpoint=stream_simulator.endpoint,
            sourceTable="orders",
            failoverTimeMillis=FAILOVER_SECONDS * 1000,
            maxLeasesToStealAtOneTime=4,
        )
        for number in (0, 1)
    ]
    history = hosts[0].history
    written: dict[str, Any] = {}

    def write() -> int:
        part = stream.write_changes(60, seed=len(written), keys=12, prefix=f"{len(written)}-")
        written.update(part.per_key)
        return sum(map(len, written.values()))

    def each_has_two() -> bool:
        return [len(app.worker_pids()) for app in hosts] == [2, 2]

    with history.during("the hosts start"):
        for app in hosts:
            app.start()
        hosts[0].wait_until_handled(write())
        wait_until(each_has_two, 60, "two shards for each host")
    for _ in range(DEPLOYS):
        for leaving, staying in (hosts, hosts[::-1]):
            write()
            leaving.send(signal.SIGTERM)  # not marked: nothing explains a repeat
            assert leaving.wait() == 0
            with recovery():
                staying.wait_until_handled(write())
            with history.during("a host starts"):
                leaving.start()
                wait_until(each_has_two, 60, "two shards for each host")
                staying.wait_until_handled(write())
    assert [app.drain() for app in hosts] == [0, 0]
    hosts[0].check(written)


@contextmanager
def lease_taken(app: Application, endpoint: str) -> Iterator[None]:
    """Let another host have every lease, and renew them, while the block runs."""
    client = local_client("dynamodb", endpoint, "us-east-1", 5)
    ended = threading.Event()

    def hold() -> None:
        while not ended.wait(FAILOVER_SECONDS / 10):
            for row in app.leases():
                client.update_item(
                    TableName=app.name,
                    Key={"leaseKey": {"S": row["leaseKey"]}},
                    UpdateExpression="SET leaseOwner = :us ADD leaseCounter :one",
                    ExpressionAttributeValues={":us": {"S": STRANGER}, ":one": {"N": "1"}},
                )

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        yield
    finally:
        ended.set()
        holder.join()


@pytest.mark.fault(14, 18)
def test_a_lease_that_another_host_takes_during_a_long_batch(
    application: MakeApplication, stream_simulator: StreamSimulator, recovery: Recovery
) -> None:
    """The worker hears of it, hands out nothing more and abandons the rest; nothing of ours is stored any more."""
    stream = stream_simulator.create_stream("orders")
    app = application(
        endpoint=stream_simulator.endpoint,
        sourceTable="orders",
        processor="handlers:Slow",
        failoverTimeMillis=FAILOVER_SECONDS * 1000,
    ).start()
    written = stream.write_changes(150, seed=1)
    app.wait_until_handled(20)
    with app.disruption("taken"):
        taken_at = time.monotonic()
        with lease_taken(app, stream_simulator.endpoint):
            app.wait_for_line("the lease was lost")
            assert time.monotonic() - taken_at < 2 * FAILOVER_SECONDS
            wait_until(lambda: not app.worker_pids(), 20, "the worker's end")
            handled, checkpoint = app.handled_count(), app.leases()[0]["checkpoint"]
            time.sleep(FAILOVER_SECONDS)  # that nothing happens is what is tested
            assert app.handled_count() == handled < written.total
            (row,) = app.leases()
            assert (row["leaseOwner"], row["checkpoint"]) == (STRANGER, checkpoint)
            assert (app.folder / "teardowns").read_text().split() == ["leaseLost"]
        with recovery():
            app.wait_until_handled(written.total)
    assert app.drain() == 0
    app.check(written.per_key)


@pytest.mark.fault(8)
def test_a_handler_that_takes_longer_than_a_lease_keeps_its_shard(
    host: MakeApplication, stream_simulator: StreamSimulator
) -> None:
    """The lease is renewed meanwhile: no other host takes it, and the record is handed out once."""
    stream = stream_simulator.create_stream("orders")
    hosts = [
        host(
            number,
            endpoint=stream_simulator.endpoint,
            sourceTable="orders",
            processor="handlers:Waits",
            failoverTimeMillis=FAILOVER_SECONDS * 1000,
        ).start()
        for number in (0, 1)
    ]
    for each in hosts:
        each.wait_for_line("running as worker")
    app = hosts[0]
    (app.shared / "wait").touch()
    written = stream.write_changes(20, seed=1)
    wait_until((app.shared / "waiting").exists, 60, "a handler that takes long")
    owner = app.leases()[0]["leaseOwner"]
    time.sleep(4 * FAILOVER_SECONDS)  # that nothing happens is what is tested
    assert app.leases()[0]["leaseOwner"] == owner
    (app.shared / "wait").unlink()
    app.wait_until_handled(written.total)
    assert [each.drain() for each in hosts] == [0, 0]
    assert app.check(written.per_key).repeats == []


@pytest.mark.fault(18)
def test_a_checkpoint_that_a_condition_refuses_ends_the_shard_here(
    application: MakeApplication, stream_simulator: StreamSimulator, recovery: Recovery
) -> None:
    """It is how KCL hears that the lease is another's: the batch is abandoned, the handler told, nothing lost."""
    stream = stream_simulator.create_stream("orders")
    app = application(
        endpoint=stream_simulator.endpoint,
        sourceTable="orders",
        processor="handlers:Slow",
        failoverTimeMillis=FAILOVER_SECONDS * 1000,
        checkpointIntervalMillis=500,
    ).start_and_wait()
    first = app.a_worker()
    with app.disruption("condition"):
        fault = stream_simulator.fail(
            "UpdateItem",
            "ConditionalCheckFailedException",
            match=lambda request: "checkpoint" in str(request),
            times=1,
        )
        written = stream.write_changes(200, seed=1)
        wait_until(lambda: fault.hits == 1, 60, "a refused checkpoint")
        with recovery():
            wait_until(partial(is_dead, first), 20, "the worker's end")
            teardowns = (app.folder / "teardowns").read_text().split()
            app.wait_until_handled(written.total)
    assert teardowns == ["leaseLost"]
    assert app.drain() == 0
    app.check(written.per_key)


@pytest.mark.timeout(0)
@pytest.mark.fault(15)
def test_a_jvm_that_is_killed_again_and_again(
    application: MakeApplication, stream_simulator: StreamSimulator, recovery: Recovery
) -> None:
    """Whenever in its start it dies, the next one goes on; shards are read as soon as one stays."""
    seed = random.randrange(1_000_000)
    print("SEED", seed)
    choose = random.Random(seed)
    stream = stream_simulator.create_stream("orders", shards=4)
    app = application(
        endpoint=stream_simulator.endpoint, sourceTable="orders", failoverTimeMillis=FAILOVER_SECONDS * 1000
    ).start()
    written = dict(stream.write_changes(100, seed=1, prefix="a-").per_key)
    app.wait_until_handled(100)
    with app.disruption("crash loop"):
        for _ in range(4):
            jvm = app.daemon_pid()
            time.sleep(choose.uniform(0, 4))  # somewhere in its start
            kill(jvm)
            wait_until(partial(is_dead, jvm), 10, "the JVM's death")
    written |= stream.write_changes(100, seed=2, prefix="b-").per_key
    with recovery():
        app.wait_until_handled(200)
    assert app.drain() == 0
    app.check(written)


@pytest.mark.fault(31)
def test_the_same_worker_id_on_two_hosts(host: MakeApplication, stream_simulator: StreamSimulator) -> None:
    """No lock reaches that far: the second begins, hears of the first, and ends; nothing is missing."""
    stream = stream_simulator.create_stream("orders", shards=2)
    hosts = [
        host(
            number,
            endpoint=stream_simulator.endpoint,
            sourceTable="orders",
            workerId="namesake",
            failoverTimeMillis=FAILOVER_SECONDS * 1000,
        )
        for number in (0, 1)
    ]
    # The kernel holds workerIds; this one believes that it has another.
    hosts[1].environment["PYTHONPATH"] = os.pathsep.join(
        [str(Path(__file__).parent), str(Path(__file__).parent / "another_host")]
    )
    written: dict[str, Any] = {}
    with hosts[0].history.during("two namesakes"):
        hosts[0].start_and_wait()
        hosts[1].start()
        written |= stream.write_changes(100, seed=1).per_key
        assert hosts[1].wait() == 2
        (line,) = hosts[1].lines("another host runs this application as workerId namesake", level="ERROR")
        assert "give each host a workerId of its own" in line["message"]
        hosts[0].wait_until_handled(100)
    assert hosts[0].drain() == 0
    hosts[0].check(written)
