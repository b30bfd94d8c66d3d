"""What no handler should do costs its own worker at the most, and never a record."""

from __future__ import annotations

import pytest

from record_processor.testing import DynamoDBLocal, write_changes
from record_processor.testing.plugin import MakeStreamTable
from tests.local.application import MakeApplication

pytestmark = pytest.mark.local


@pytest.mark.fault(7, 33)
def test_forks_closed_descriptors_memory_and_deadlocks(
    application: MakeApplication, stream_table: MakeStreamTable, dynamodb_local: DynamoDBLocal
) -> None:
    """A handler that forks and lets the child go on, closes all descriptors, takes 2 GB, deadlocks deaf to SIGTERM."""
    table = stream_table()
    written = write_changes(dynamodb_local.client(), table.name, 30, seed=1, keys=3)
    app = application(sourceTable=table.name, processor="handlers:Hostile", timeoutInSeconds=5).start()
    jvm = app.daemon_pid()
    app.wait_until_handled(written.total)
    assert app.lines("no answer for a batch within timeoutInSeconds = 5")
    assert app.daemon_pid() == jvm
    assert app.drain() == 0
    app.check(written.per_key)


@pytest.mark.fault(11)
def test_a_deaf_handler_does_not_keep_a_drain(
    application: MakeApplication, stream_table: MakeStreamTable, dynamodb_local: DynamoDBLocal
) -> None:
    """It is killed at the end of the grace; what it was at is delivered again."""
    table = stream_table()
    written = write_changes(dynamodb_local.client(), table.name, 10, seed=1, keys=1)
    app = application(sourceTable=table.name, processor="handlers:Hostile", shutdownGraceMillis=4000)
    for deed in ("forks", "closes_descriptors", "allocates"):
        (app.folder / deed).touch()
    app.start()
    app.wait_for_flag("ignores_and_deadlocks")
    assert app.drain() == 0
    assert app.lines("a handler is still running: killed; its records are delivered again")
    app.start()
    app.wait_until_handled(written.total)
    assert app.drain() == 0
    app.check(written.per_key)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (
            "import threading, time; threading.Thread(target=time.sleep, args=(1e6,), daemon=True, name='tick').start()",
            "importing it started a thread, tick, so workers are spawned",
        ),
        (
            "import socket; keep = socket.create_server(('127.0.0.1', 0))",
            "importing it opened a connection, so workers are spawned",
        ),
        ("import boto3; keep = boto3.client('sqs', region_name='eu-west-1')", ""),
    ],
    ids=["thread", "socket", "boto3"],
)
def test_a_module_with_effects_on_import(
    line: str,
    reason: str,
    application: MakeApplication,
    stream_table: MakeStreamTable,
    dynamodb_local: DynamoDBLocal,
) -> None:
    """Its workers are spawned if they cannot be forked, which is said once; a client without connections can be."""
    table = stream_table()
    written = write_changes(dynamodb_local.client(), table.name, 30, seed=1, keys=3)
    app = application(sourceTable=table.name, processor="effects:Recorder")
    (app.folder / "effects.py").write_text(f"{line}\nfrom handlers import Recorder\n")
    app.start()
    app.wait_until_handled(written.total)
    warnings = app.lines(level="WARNING", logger="record_processor")
    assert [reason in warning["message"] for warning in warnings] == ([True] if reason else [])
    assert app.drain() == 0
    assert app.check(written.per_key).repeats == []
