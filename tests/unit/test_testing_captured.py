"""Records in files: what is written is read again, what AWS prints is read as it is, mistakes are named."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from record_processor import ConfigurationError, Record
from record_processor.testing import read_records, records, write_records
from tests.stream_records import keys, values

# What `aws dynamodbstreams get-records` prints, and what Lambda hands to a function, of the same change.
FROM_THE_CLI = {
    "eventID": "3a5b",
    "eventName": "REMOVE",
    "eventVersion": "1.1",
    "eventSource": "aws:dynamodb",
    "awsRegion": "eu-west-1",
    "dynamodb": {
        "ApproximateCreationDateTime": "2026-11-24T12:30:15+00:00",
        "Keys": {"pk": {"S": "1"}},
        "OldImage": {"pk": {"S": "1"}, "data": {"B": "AAE="}},
        "SequenceNumber": "42",
        "SizeBytes": 12,
        "StreamViewType": "NEW_AND_OLD_IMAGES",
    },
    "userIdentity": {"PrincipalId": "dynamodb.amazonaws.com", "Type": "Service"},
}
FROM_LAMBDA: dict[str, Any] = {
    **FROM_THE_CLI,
    "dynamodb": {**FROM_THE_CLI["dynamodb"], "ApproximateCreationDateTime": 1795523415},  # type: ignore[dict-item]
    "userIdentity": {"principalId": "dynamodb.amazonaws.com", "type": "Service"},
    "eventSourceARN": "arn:aws:dynamodb:eu-west-1:123456789012:table/orders/stream/2026-11-24T00:00:00.000",
}


def file_with(folder: Path, text: str) -> Path:
    """Write a file."""
    file = folder / "records.jsonl"
    file.write_text(text, encoding="utf-8")
    return file


@given(key=keys, value=values)
def test_what_is_written_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, key: Any, value: Any
) -> None:
    """In its order, over several writes."""
    made = [
        records.insert(key, {"value": value}),
        records.remove(key, {"value": value}),
        records.ttl_delete(key),
    ]
    file = tmp_path_factory.mktemp("captured") / "records.jsonl"
    write_records(file, made[:1])
    write_records(file, made[1:])
    again = read_records(file)
    assert [each.to_dynamodb_json() for each in again] == [each.to_dynamodb_json() for each in made]
    assert [each.shard_id for each in again] == [each.shard_id for each in made]


def test_only_its_owner_reads_the_file(tmp_path: Path) -> None:
    """Items lie in it."""
    write_records(tmp_path / "records.jsonl", [records.insert({"pk": "1"})])
    assert stat.S_IMODE((tmp_path / "records.jsonl").stat().st_mode) == 0o600


@pytest.mark.parametrize("indent", [None, 4])
@pytest.mark.parametrize("event", [FROM_THE_CLI, FROM_LAMBDA], ids=["cli", "lambda"])
def test_what_aws_prints_is_read(tmp_path: Path, event: dict[str, Any], indent: int | None) -> None:
    """As it is, on one line or many."""
    document = {"Records": [event], "NextShardIterator": "arn:aws:…"}
    (record,) = read_records(file_with(tmp_path, json.dumps(document, indent=indent)), "shardId-9")
    assert record.shard_id == "shardId-9"
    assert record.is_ttl_delete
    assert record.old_image == {"pk": "1", "data": b"\0\1"}
    assert record.created_at is not None
    assert record.created_at.isoformat() == "2026-11-24T12:30:15+00:00"


def test_lines_may_be_answers(tmp_path: Path) -> None:
    """One GetRecords after the other, blank lines between them."""
    answer = json.dumps({"Records": [FROM_LAMBDA, FROM_LAMBDA]})
    assert len(read_records(file_with(tmp_path, f"{answer}\n\n{answer}\n"))) == 4
    assert read_records(file_with(tmp_path, "")) == []


GOOD = json.dumps(FROM_LAMBDA)


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        (f"{GOOD}\n{{oops\n", 2, "this is not JSON"),
        ('{"Records": [\n{},\noops]}', 3, "this is not JSON"),
        (f"{GOOD}\n7\n", 2, "it is not an object"),
        (f'{GOOD}\n{{"secret": "canary"}}\n', 2, "this event cannot be decoded"),
        (GOOD.replace("1795523415", '"canary"'), 1, "ApproximateCreationDateTime is no time"),
        (GOOD.replace('"42"', '"canary"'), 1, "cannot be decoded"),
    ],
)
def test_mistakes_are_named_by_their_line(tmp_path: Path, text: str, line: int, reason: str) -> None:
    """In one line, which quotes no item."""
    file = file_with(tmp_path, text)
    with pytest.raises(ConfigurationError, match=re.escape(f"{file}:{line}: ")) as raised:
        read_records(file)
    assert reason in str(raised.value)
    assert "\n" not in str(raised.value)
    assert "canary" not in str(raised.value)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """It is named."""
    with pytest.raises(ConfigurationError, match="there is no such file"):
        read_records(tmp_path / "nothing")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_records(tmp_path)
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match="this is not UTF-8"):
        read_records(tmp_path / "binary")


def test_records_are_records(tmp_path: Path) -> None:
    """They are given to handlers as they are."""
    (record,) = read_records(file_with(tmp_path, GOOD))
    assert isinstance(record, Record)
    assert record.table_name == "orders"
