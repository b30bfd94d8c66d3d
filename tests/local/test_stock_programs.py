"""Programs of amazon_kclpy run unchanged, by executableName."""

from __future__ import annotations

import importlib.util
import sys
import time
from pathlib import Path

import pytest

from record_processor.testing import DynamoDBLocal, FaultProxy, wait_until, write_changes
from record_processor.testing.plugin import MakeStreamTable
from tests.local.application import Application, MakeApplication

pytestmark = pytest.mark.local

HERE = Path(__file__).parent


def sample() -> str:
    """The v3 program that amazon_kclpy installs as its sample."""
    spec = importlib.util.find_spec("samples")
    assert spec is not None
    assert spec.origin is not None
    return str(Path(spec.origin).with_name("sample_kclpy_app.py"))


def run_until_read(app: Application, proxy: FaultProxy, count: int) -> None:
    """Run a program until it has told of so many records.

    The sample ends no line, so that its words are only seen when it has ended. It checkpoints then: run again,
    it goes on where it was, and tells of nothing twice.
    """

    def read() -> int:
        return app.output().count("Record (Partition Key")

    deadline = time.monotonic() + 90
    while read() < count:
        assert time.monotonic() < deadline, app.output()
        before = proxy.calls["GetRecords"]
        app.start_and_wait()
        proxy.calls.wait_for("GetRecords", before + 10)
        assert app.drain() == 0, app.output()
        assert app.owners() == []
    assert read() == count


@pytest.mark.parametrize("program", ["v3 sample", "v2"])
def test_a_program_of_amazon_kclpy_reads_everything_and_checkpoints(
    application: MakeApplication,
    stream_table: MakeStreamTable,
    dynamodb_local: DynamoDBLocal,
    fault_proxy: FaultProxy,
    program: str,
) -> None:
    """It sees each record once, checkpoints when asked to shut down, and goes on there after a restart."""
    table = stream_table()
    script = sample() if program == "v3 sample" else str(HERE / "kclpy_v2_app.py")
    app = application(
        endpoint=fault_proxy.endpoint, sourceTable=table.name, executableName=f'"{sys.executable}" "{script}"'
    )
    first = write_changes(dynamodb_local.client(), table.name, 40, seed=1)
    run_until_read(app, fault_proxy, first.total)
    assert app.leases()[0]["checkpoint"].isdigit()
    second = write_changes(dynamodb_local.client(), table.name, 30, seed=2, prefix="more-")
    run_until_read(app, fault_proxy, first.total + second.total)


def test_a_program_is_given_what_the_filter_lets_through(
    application: MakeApplication, stream_table: MakeStreamTable, dynamodb_local: DynamoDBLocal
) -> None:
    """The filter stands before the wire, whichever that is."""
    table = stream_table()
    script = HERE / "kclpy_v2_app.py"
    app = application(
        sourceTable=table.name,
        executableName=f'"{sys.executable}" "{script}"',
        filterCriteria='{"Filters": [{"Pattern": "{\\"eventName\\": [\\"INSERT\\"]}"}]}',
    )
    written = write_changes(dynamodb_local.client(), table.name, 40, seed=1)
    app.start()
    wait_until(lambda: app.output().count("Record (Partition Key") >= written.inserted, 60, "all insertions")
    assert app.drain() == 0
    assert app.output().count("Record (Partition Key") == written.inserted < written.total


def test_a_stock_programs_stray_output_is_log_and_its_death_is_survived(
    application: MakeApplication, stream_table: MakeStreamTable, dynamodb_local: DynamoDBLocal
) -> None:
    """`null` on standard output does not end the daemon, nor does an exit of the program."""
    table = stream_table()
    script = HERE / "kclpy_v2_app.py"
    app = application(sourceTable=table.name, executableName=f'"{sys.executable}" "{script}" --rude')
    written = write_changes(dynamodb_local.client(), table.name, 20, seed=1)
    app.start()
    wait_until(lambda: app.output().count("Record (Partition Key") >= written.total, 60, "all records")
    assert app.lines("null", logger="output")
    assert app.lines("the shard's process failed: it ended with exit code 7")
    assert app.drain() == 0


def test_the_end_of_a_shard_is_a_stock_programs_own_checkpoint(
    application: MakeApplication,
    stream_table: MakeStreamTable,
    dynamodb_local: DynamoDBLocal,
    fault_proxy: FaultProxy,
) -> None:
    """When the stream is made anew, the program is asked to checkpoint SHARD_END, and the new one follows."""
    table = stream_table()
    client = dynamodb_local.client()
    app = application(
        endpoint=fault_proxy.endpoint,
        sourceTable=table.name,
        executableName=f'"{sys.executable}" "{sample()}"',
        streamCheckIntervalMillis=1000,
    )
    old = write_changes(client, table.name, 20, seed=1)
    app.start_and_wait()
    client.update_table(TableName=table.name, StreamSpecification={"StreamEnabled": False})
    client.update_table(
        TableName=table.name,
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )
    new = write_changes(client, table.name, 20, seed=2, prefix="new-")
    app.wait_for_line("from its beginning; the old stream is finished")
    app.wait_for_line("Shard has ended checkpointing")
    app.wait_for_line("reading the shard", count=2)
    assert "SHARD_END" in {row["checkpoint"] for row in app.leases()}
    assert app.drain() == 0
    run_until_read(app, fault_proxy, old.total + new.total)
