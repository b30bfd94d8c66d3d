"""The real daemon with workers by script: what it tells them of crashes, and what it does at a fatal error."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from record_processor import settings as properties
from record_processor.launcher.commands import daemon_environment
from record_processor.launcher.daemon import Daemon
from record_processor.launcher.java import daemon_command, find_java
from record_processor.launcher.log_lines import Level, LogLine
from record_processor.launcher.logs import Log
from record_processor.launcher.signals import Signals
from record_processor.testing import DynamoDBLocal, StreamSimulator, wait_until
from record_processor.testing.plugin import MakeStreamTable

pytestmark = pytest.mark.local

SECONDS = 60.0
SCRIPT = Path(__file__).with_name("scripted_worker.py")


class Lines:
    """A log that keeps its lines."""

    def __init__(self) -> None:
        self.lines: list[LogLine] = []

    def write(self, line: LogLine) -> None:
        """Keep a line."""
        self.lines.append(line)

    def found(self, text: str) -> list[LogLine]:
        """Return the lines with a text in them."""
        return [line for line in self.lines if text in line.message]


class Host:
    """A daemon whose workers follow the script, on tables of DynamoDB Local."""

    def __init__(self, folder: Path, server: DynamoDBLocal, tables: list[str], endpoint: str = "") -> None:
        self.folder = folder
        self.client = server.client()
        self.name = f"app-{tables[0]}"
        self.log = Lines()
        self._file = folder / "app.properties"
        self._file.write_text(
            f"processor = scripted:Worker\nsourceTable = {', '.join(tables)}\napplicationName = {self.name}\n"
            f"dynamoDBEndpoint = {endpoint or server.endpoint}\nworkerTransport = stdio\nidleTimeBetweenReadsInMillis = 200\n"
        )

    @contextmanager
    def running(self) -> Iterator[Daemon]:
        """Run a daemon."""
        with Signals() as signals:
            command = daemon_command(find_java(signals))
        first_line = {
            "settings": dict(properties.load(self._file).values),
            "workerId": "host-1",
            "command": [sys.executable, str(SCRIPT), str(self.folder)],
            "stockProgram": False,
            "logLevel": "info",
        }
        with closing(Daemon(command, first_line, daemon_environment(), cast("Log", self.log))) as daemon:
            yield daemon

    def put(self, table: str, *keys: str) -> None:
        """Write items, one after the other."""
        for key in keys:
            self.client.put_item(TableName=table, Item={"pk": {"S": key}, "n": {"N": "1"}})

    def notes(self, file: str) -> list[dict[str, Any]]:
        """Return what the workers have noted."""
        path = self.folder / file
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def handled(self) -> dict[str, str]:
        """Return the sequence numbers of the keys that were handled."""
        return {note["key"]: note["sequenceNumber"] for note in self.notes("handled.jsonl")}

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Wait for a condition."""
        try:
            wait_until(condition, SECONDS, what)
        except TimeoutError as error:
            raise AssertionError("\n".join([str(error), *map(repr, self.log.lines)])) from error

    def checkpoints(self) -> set[str]:
        """Return the checkpoints in the lease table."""
        return {row["checkpoint"]["S"] for row in self._leases()}

    def owners(self) -> list[str | None]:
        """Return who owns each lease."""
        return [row.get("leaseOwner", {}).get("S") for row in self._leases()]

    def _leases(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.client.scan(TableName=self.name, ConsistentRead=True)["Items"]
        return rows


def test_the_record_that_ends_its_process_is_found(
    tmp_path: Path, stream_table: MakeStreamTable, dynamodb_local: DynamoDBLocal
) -> None:
    """Two deaths, then one by one: the third and fourth worker die alone with it, the fifth knows and skips it."""
    table = stream_table().name
    host = Host(tmp_path, dynamodb_local, [table])
    host.put(table, "a-1", "a-2", "deadly", "b-1", "b-2")
    with host.running() as daemon:
        host.until(lambda: "b-2" in host.handled(), "the last record")
        host.until(lambda: host.handled()["b-2"] in host.checkpoints(), "its checkpoint")
        host.put(table, "c-1")
        host.until(lambda: "c-1" in host.handled(), "what comes behind")
        daemon.drain()
        host.until(lambda: daemon.exit_code() is not None, "the end")
        assert daemon.exit_code() == 0
    told = [(note["oneByOneUpTo"], note["attempts"]) for note in host.notes("heard.jsonl")]
    last = host.handled()["b-2"]
    assert told == [(None, 0), (None, 0), (last, 0), (last, 1), (last, 2)]
    assert [note["key"] for note in host.notes("handled.jsonl")].count("b-1") == 1
    assert len(host.log.found("it ended with exit code 7")) == 4


def test_a_fatal_error_stops_one_shard_and_the_host_once_it_has_stopped_all(
    tmp_path: Path, stream_table: MakeStreamTable, dynamodb_local: DynamoDBLocal
) -> None:
    """The others go on, the lease is kept, the checkpoint stored; the exit code is 4 and the reason is told."""
    first, second = stream_table().name, stream_table().name
    host = Host(tmp_path, dynamodb_local, [first, second])
    host.put(first, "a-1", "a-2", "fatal", "a-3")
    host.put(second, "b-1")
    with host.running() as daemon:
        host.until(lambda: host.log.found("the shard is stopped by a fatal error"), "the stop")
        host.until(lambda: host.handled().get("a-2") in host.checkpoints(), "the checkpoint before it")
        host.put(second, "b-2")
        host.until(lambda: "b-2" in host.handled(), "the other shard's next record")
        assert host.owners() == ["host-1", "host-1"]
        daemon.drain()
        host.until(lambda: daemon.exit_code() is not None, "the end")
        assert daemon.exit_code() == 4
        (line,) = host.log.found("the shard is stopped")
        assert line.level == Level.ERROR
        assert f"no such table in {first}?says the handler" in line.message
        reason = daemon.take_reason()
        assert reason is not None
        stopped = (
            f"1 shard was stopped by a fatal error, {line.shard}: no such table in {first}?says the handler"
        )
        assert reason.message == stopped
        assert host.owners() == [None, None]
        assert host.handled()["b-2"] in host.checkpoints()
        assert len(host.notes("heard.jsonl")) == 2, "nobody replaces the worker"

    with host.running() as daemon:
        host.until(lambda: len(host.log.found("the shard is stopped")) == 2, "the stop, anew")
        host.put(second, "b-3", "fatal")
        host.until(lambda: daemon.exit_code() is not None, "the end")
        assert daemon.exit_code() == 4
        reason = daemon.take_reason()
        assert reason is not None
        assert reason.message.startswith(f"2 shards were stopped by a fatal error, first {line.shard}: ")
        assert host.checkpoints() == {host.handled()["a-2"], host.handled()["b-3"]}
        assert host.owners() == [None, None]
    assert "a-3" not in host.handled()


def test_the_end_of_a_stopped_shard_is_not_reached_and_its_child_keeps_no_host(
    tmp_path: Path, dynamodb_local: DynamoDBLocal, stream_simulator: StreamSimulator
) -> None:
    """KCL is at the end and has taken the child's lease when the worker stops the shard: nothing is left to do."""
    stream = stream_simulator.create_stream(f"table-{tmp_path.name}")
    host = Host(tmp_path, dynamodb_local, [stream.table], stream_simulator.endpoint)
    (parent,) = stream.shards
    for key in ("a-1", "fatal when told", "a-2"):
        stream.put({"pk": key}, {"n": 1})
    stream.roll()
    stream.put({"pk": "the child's"}, {"n": 1})
    with host.running() as daemon:
        host.until(lambda: "a-1" in host.handled(), "the first record")
        host.until(lambda: host.owners() == ["host-1", "host-1"], "the child's lease, taken")
        assert daemon.exit_code() is None
        (tmp_path / "told").touch()
        host.until(lambda: daemon.exit_code() is not None, "the end")
        assert daemon.exit_code() == 4
        reason = daemon.take_reason()
    assert reason is not None
    assert reason.message.startswith(f"1 shard was stopped by a fatal error, {parent.id}: ")
    assert host.checkpoints() == {host.handled()["a-1"], "TRIM_HORIZON"}
    assert host.owners() == [None, None]
    assert [note["shardId"] for note in host.notes("heard.jsonl")] == [parent.id]
