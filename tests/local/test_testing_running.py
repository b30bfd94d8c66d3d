"""The fixtures `running_application` and `aws_server`, as a user's test has them, with a class of this module."""

from __future__ import annotations

import os
import signal
import stat
from pathlib import Path

import pytest

from record_processor import ConfigurationError, FatalError, Record, RecordProcessor
from record_processor.testing import AwsServer, DynamoDBLocal
from record_processor.testing.plugin import MakeStreamTable, RunApplication
from tests.local.application import is_alive

pytestmark = pytest.mark.local


class Orders(RecordProcessor):
    """Prints each key, and does not get past `fatal`."""

    def process_record(self, record: Record) -> None:
        print("handled", record.keys["pk"])
        if record.keys["pk"] == "fatal":
            raise FatalError("the table orders_copy is gone")


def put(dynamodb_local: DynamoDBLocal, table: str, key: str) -> None:
    """Write an item."""
    dynamodb_local.client().put_item(TableName=table, Item={"pk": {"S": key}})


def test_a_class_of_the_test_runs_drains_and_goes_on(
    dynamodb_local: DynamoDBLocal, stream_table: MakeStreamTable, running_application: RunApplication
) -> None:
    """Its log can be waited for; after a kill it starts again at its checkpoint."""
    table = stream_table()
    put(dynamodb_local, table.name, "first")
    application = running_application(Orders, sourceTable=table.name)
    application.wait_for_line("handled first")
    assert stat.S_IMODE((application.folder / "app.properties").stat().st_mode) == 0o600
    assert application.drain() == 0
    assert application.has_ended
    (lease,) = (row for row in application.leases() if "checkpoint" in row)
    assert lease["checkpoint"].isdigit()

    application.start_and_wait()
    put(dynamodb_local, table.name, "second")
    application.wait_for_line("handled second")
    pid = application.pid
    application.kill()
    assert not is_alive(pid)
    assert len(application.lines("handled first")) == 1


def test_a_command_that_ends_is_said_at_once(
    dynamodb_local: DynamoDBLocal, stream_table: MakeStreamTable, running_application: RunApplication
) -> None:
    """With the end of its log."""
    with pytest.raises(AssertionError, match=r"did you mean batchSize"):
        running_application(Orders, sourceTable="orders", batchsize=3)
    table = stream_table()
    application = running_application(Orders, sourceTable=table.name)
    put(dynamodb_local, table.name, "fatal")
    with pytest.raises(AssertionError, match=r"(?s)it ended.*orders_copy is gone"):
        application.wait_for_line("handled nothing of the kind")
    assert application.wait() == 4


def test_two_run_side_by_side(
    dynamodb_local: DynamoDBLocal, stream_table: MakeStreamTable, running_application: RunApplication
) -> None:
    """Each application handles all."""
    table = stream_table()
    both = [running_application(Orders, sourceTable=table.name) for _ in range(2)]
    put(dynamodb_local, table.name, "one")
    for each in both:
        each.wait_for_line("handled one")


class Parks(RecordProcessor):
    """Fails."""

    def process_record(self, record: Record) -> None:
        raise ValueError("no total")


def test_the_rest_of_aws(
    dynamodb_local: DynamoDBLocal,
    aws_server: AwsServer,
    stream_table: MakeStreamTable,
    running_application: RunApplication,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A bucket of moto's takes what is given up."""
    aws_server.client("s3").create_bucket(
        Bucket="failed", CreateBucketConfiguration={"LocationConstraint": aws_server.region}
    )
    for name, value in aws_server.environment().items():
        monkeypatch.setenv(name, value)
    table = stream_table()
    put(dynamodb_local, table.name, "poison")
    application = running_application(
        Parks, sourceTable=table.name, maximumRetryAttempts=0, onFailureDestination="s3://failed/orders"
    )
    application.wait_for_line("given up after 1 attempts")
    (found,) = aws_server.client("s3").list_objects_v2(Bucket="failed")["Contents"]
    assert found["Key"].startswith("orders/")


def test_a_class_that_cannot_be_imported_is_refused(running_application: RunApplication) -> None:
    """Before anything starts."""

    class Inner(Orders):
        """Is nowhere to be found."""

    with pytest.raises(ConfigurationError, match="define it at the top of a module"):
        running_application(Inner, sourceTable="orders")


def test_what_was_started_ends_with_the_block(
    dynamodb_local: DynamoDBLocal, stream_table: MakeStreamTable, running_application: RunApplication
) -> None:
    """Also if the command is stopped by a signal at that moment."""
    application = running_application(Orders, sourceTable=stream_table().name)
    os.kill(application.pid, signal.SIGSTOP)
    with application:
        pass
    assert not is_alive(application.pid)
    assert Path(application.log_file).exists()
