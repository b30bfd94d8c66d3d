"""What a filter keeps back never reaches Python, counts as handled, and is counted."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from record_processor.testing import DynamoDBLocal, wait_until
from record_processor.testing.plugin import MakeStreamTable
from tests.local.application import Application, MakeApplication

pytestmark = pytest.mark.local

KEYS: Final = [f"k{number}" for number in range(5)]


def pattern(**conditions: Any) -> str:
    """FilterCriteria with one filter, as Lambda takes it."""
    return json.dumps({"Filters": [{"Pattern": json.dumps(conditions)}]})


PAID: Final = pattern(dynamodb={"NewImage": {"status": {"S": ["paid"]}}})
NOTHING: Final = pattern(eventName=["REMOVE"], dynamodb={"Keys": {"pk": {"S": ["nobody"]}}})


def write(client: Any, table: str) -> None:
    """For each key: an insertion, three modifications of which the second changes the status, a removal."""
    for key in KEYS:
        for n, status in enumerate(["open", "open", "paid", "paid"], 1):
            client.put_item(
                TableName=table,
                Item={"pk": {"S": key}, "n": {"N": str(n)}, "status": {"S": status}},
            )
        client.delete_item(TableName=table, Key={"pk": {"S": key}})


def handled(app: Application) -> list[tuple[str, int]]:
    """What handlers saw, in order."""
    return [(entry.key, entry.n) for entry in app.history.handled()]


def test_only_what_passes_is_handled_and_the_rest_is_never_read_again(
    application: MakeApplication, stream_table: MakeStreamTable, dynamodb_local: DynamoDBLocal
) -> None:
    """Both filters together; then without them, from the checkpoint."""
    table = stream_table()
    client = dynamodb_local.client()
    app = application(sourceTable=table.name, filterCriteria="@paid.json", changedAttributes="status")
    (app.folder / "paid.json").write_text(json.dumps(json.loads(PAID), indent=2), "utf-8")
    (app.folder / "paid.json").chmod(0o600)
    write(client, table.name)
    app.start().wait_until_handled(len(KEYS))
    assert app.drain() == 0
    assert handled(app) == [(key, 3) for key in KEYS]
    assert app.lines("20 of 25 records were filtered out")
    del app.properties["filterCriteria"], app.properties["changedAttributes"]
    app.start()
    client.put_item(TableName=table.name, Item={"pk": {"S": "last"}, "n": {"N": "1"}})
    app.wait_until_handled(len(KEYS) + 1)
    assert app.drain() == 0
    assert handled(app) == [*((key, 3) for key in KEYS), ("last", 1)]


def test_a_shard_of_which_nothing_passes_is_checkpointed_while_it_runs(
    application: MakeApplication, stream_table: MakeStreamTable, dynamodb_local: DynamoDBLocal
) -> None:
    """Else a host that dies would leave a day of records to be read again."""
    table = stream_table()
    client = dynamodb_local.client()
    app = application(sourceTable=table.name, filterCriteria=NOTHING, checkpointIntervalMillis=100)
    write(client, table.name)
    app.start_and_wait()
    last = _sequence_numbers(dynamodb_local, table.stream_arn)[-1]
    wait_until(lambda: _checkpoint(app) == last, 30, "a checkpoint at the last record")
    assert app.drain() == 0
    assert handled(app) == []


def _checkpoint(app: Application) -> int | None:
    checkpoint = app.leases()[0]["checkpoint"]
    return int(checkpoint) if checkpoint.isdigit() else None


def _sequence_numbers(dynamodb_local: DynamoDBLocal, stream_arn: str) -> list[int]:
    streams = dynamodb_local.client("dynamodbstreams")
    (shard,) = streams.describe_stream(StreamArn=stream_arn)["StreamDescription"]["Shards"]
    iterator = streams.get_shard_iterator(
        StreamArn=stream_arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]
    records = streams.get_records(ShardIterator=iterator)["Records"]
    return [int(record["dynamodb"]["SequenceNumber"]) for record in records]


@pytest.mark.parametrize("changed", [{"filterCriteria": PAID}, {"changedAttributes": "status"}])
def test_a_stream_that_lacks_what_the_filter_looks_at_is_an_error_at_start(
    application: MakeApplication, stream_table: MakeStreamTable, changed: dict[str, str]
) -> None:
    """Else every record would be filtered out, or none."""
    table = stream_table("KEYS_ONLY")
    app = application(sourceTable=table.name, **changed).start()
    assert app.wait() == 2
    assert "its StreamViewType is KEYS_ONLY; give the table a stream with NEW_AND_OLD_IMAGES" in app.output()
