"""A record that ends its process, one that hangs, and one that is fatal: what they cost, and whom."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest

from record_processor.testing import DynamoDBLocal, write_changes
from record_processor.testing.plugin import MakeStreamTable
from tests.local.application import MakeApplication

pytestmark = [pytest.mark.local, pytest.mark.timeout(600)]

DEADLY: Final = ("exits", "hangs")


def put(client: Any, table: str, key: str, *numbers: int) -> None:
    """Write changes of a key, one after the other."""
    for n in numbers:
        client.put_item(TableName=table, Item={"pk": {"S": key}, "n": {"N": str(n)}})


@pytest.mark.parametrize(
    ("processor", "factor"),
    [("Deadly", 1), ("Deadly", 10), ("DeadlyInProcesses", 10), ("DeadlyOnEventLoop", 10)],
)
def test_a_record_that_ends_its_process_or_hangs_is_parked(
    application: MakeApplication,
    stream_table: MakeStreamTable,
    dynamodb_local: DynamoDBLocal,
    processor: str,
    factor: int,
) -> None:
    """It is found, tried once more as maximumRetryAttempts says, and parked; all else is handled."""
    client, table = dynamodb_local.client(), stream_table().name
    app = application(
        sourceTable=table,
        processor=f"handlers:{processor}",
        parallelizationFactor=factor,
        maximumRetryAttempts=1,
        timeoutInSeconds=3,
    )
    app.properties["onFailureDestination"] = f"file://{app.folder}/parked"
    before = write_changes(client, table, 100, seed=1, keys=10, prefix="a-")
    for key in DEADLY:
        put(client, table, key, 1, 2, 3)
    behind = write_changes(client, table, 100, seed=2, keys=10, prefix="b-")
    written = {**before.per_key, **behind.per_key, **{key: [1, 3] for key in DEADLY}}
    app.start().wait_until_handled(sum(map(len, written.values())), 240)
    assert app.drain() == 0
    app.check(written)
    parked = parked_in(app.folder / "parked")
    assert {key: context["condition"] for key, context in parked.items()} == dict.fromkeys(
        DEADLY, "RetryAttemptsExhausted"
    )
    assert {context["approximateInvokeCount"] for context in parked.values()} == {2}


def parked_in(folder: Path) -> dict[str, dict[str, Any]]:
    """For each key that is parked, once, the context."""
    documents = [json.loads(file.read_text()) for file in folder.rglob("[!.]*.json")]
    found = {
        document["record"]["dynamodb"]["Keys"]["pk"]["S"]: document["requestContext"]
        for document in documents
    }
    assert len(found) == len(documents)
    return found


def test_a_fatal_error_stops_one_shard_and_is_the_last_line(
    application: MakeApplication, stream_table: MakeStreamTable, dynamodb_local: DynamoDBLocal
) -> None:
    """Others go on, and the exit code is 4; if all have stopped it ends by itself; mended, they go on."""
    client = dynamodb_local.client()
    stopped, other = stream_table().name, stream_table().name
    written = dict(write_changes(client, stopped, 20, seed=1, keys=2, prefix="a-").per_key)
    put(client, stopped, "fatal", 1)
    behind = write_changes(client, stopped, 20, seed=2, keys=2, prefix="b-").per_key
    app = application(sourceTable=f"{stopped},{other}", processor="handlers:Stops").start()
    line = app.wait_for_line("the shard is stopped by a fatal error")
    written |= write_changes(client, other, 20, seed=3, keys=2, prefix="c-").per_key
    app.wait_until_handled(40)
    assert app.drain() == 4
    reason = f"{line['shard']}: record_processor.errors.FatalError: the table orders_copy is gone"
    assert last_line(app.output()).endswith(f"1 shard was stopped by a fatal error, {reason}")
    app.check(written)

    put(client, other, "fatal, too", 1)
    app.start()
    assert app.wait(90) == 4
    assert "2 shards were stopped by a fatal error, first shardId-" in last_line(app.output())

    (app.folder / "mended").touch()
    app.start().wait_until_handled(62)
    assert app.drain() == 0
    assert app.check({**written, "fatal": [1], "fatal, too": [1], **behind}).repeats == []


def last_line(output: str) -> str:
    """The last thing that was said, with or without JSON around it."""
    line = output.rstrip().splitlines()[-1]
    return str(json.loads(line)["message"]) if line.startswith("{") else line
