"""Every value that DynamoDB can hold arrives as it was written, in every view, whatever the locale."""

from __future__ import annotations

import ast
import json
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from record_processor.testing import DynamoDBLocal, wait_until
from record_processor.testing.plugin import MakeStreamTable
from tests.items import typed
from tests.local.application import MakeApplication
from tests.stream_records import Form, names, values, written

pytestmark = pytest.mark.local

# DynamoDB's JSON and the Python value that a handler must see.
VALUES: Final[dict[str, tuple[dict[str, Any], object]]] = {
    "digits38": ({"N": "12345678901234567890123456789012345678"}, 12345678901234567890123456789012345678),
    "boto3_fails": (
        {"N": "110111111111111110000000000000000000000"},
        110111111111111110000000000000000000000,
    ),
    "fraction": (
        {"N": "-3.1415926535897932384626433832795028841"},
        Decimal("-3.1415926535897932384626433832795028841"),
    ),
    "smallest": ({"N": "1E-130"}, Decimal("1E-130")),
    "largest": ({"N": "9.99E+125"}, 999 * 10**123),
    "zero": ({"N": "0"}, 0),
    "text": ({"S": "zażółć gęślą jaźń 🐢 \u0000 \n \u001b[31m"}, "zażółć gęślą jaźń 🐢 \u0000 \n \u001b[31m"),
    "empty": ({"S": ""}, ""),
    "bytes": ({"B": bytes(range(256))}, bytes(range(256))),
    "no_bytes": ({"B": b""}, b""),
    "yes": ({"BOOL": True}, True),
    "nothing": ({"NULL": True}, None),
    "texts": ({"SS": ["a", "ż", "🐢"]}, {"a", "ż", "🐢"}),
    "numbers": ({"NS": ["1", "2.5", "1E-130"]}, {1, Decimal("2.5"), Decimal("1E-130")}),
    "byteses": ({"BS": [b"\x00", b"\xff"]}, {b"\x00", b"\xff"}),
    "list": ({"L": [{"N": "1"}, {"L": []}, {"M": {}}, {"NULL": True}]}, [1, [], {}, None]),
    "map": ({"M": {"ü": {"M": {"deep": {"L": [{"B": b"\x01"}]}}}}}, {"ü": {"deep": [b"\x01"]}}),
}
MOST_ITEM_BYTES: Final = 300_000
"""Less than DynamoDB takes, since this counts characters."""
BOTH: Final = "NEW_AND_OLD_IMAGES"
VIEWS: Final = ("KEYS_ONLY", "NEW_IMAGE", "OLD_IMAGE", BOTH)


def value_of(shown: str) -> Any:
    """Read what `repr` wrote: Python's literals, and Decimal."""

    def of(node: ast.AST) -> Any:
        match node:
            case ast.Call(func=ast.Name(id="Decimal"), args=[ast.Constant(value=str(digits))]):
                return Decimal(digits)
            case ast.Dict(keys=keys, values=values):
                return {
                    of(key): of(value) for key, value in zip(keys, values, strict=True) if key is not None
                }
            case ast.List(elts=elements):
                return [of(element) for element in elements]
            case ast.Set(elts=elements):
                return {of(element) for element in elements}
        return ast.literal_eval(node)

    return of(ast.parse(shown, mode="eval").body)


@pytest.mark.fault(28)
def test_every_type_arrives_in_every_view_under_any_locale(
    application: MakeApplication, stream_table: MakeStreamTable, dynamodb_local: DynamoDBLocal
) -> None:
    """Four tables, one for each stream view type, read by one application under LC_ALL=C."""
    client = dynamodb_local.client()
    tables = {stream_table(view).name: view for view in VIEWS}
    item = {"pk": {"S": "klucz-ż"}, **{name: wire for name, (wire, _) in VALUES.items()}}
    for table in tables:
        client.put_item(TableName=table, Item=item)
        client.put_item(TableName=table, Item={"pk": {"S": "klucz-ż"}, "n": {"N": "2"}})
        client.delete_item(TableName=table, Key={"pk": {"S": "klucz-ż"}})
    app = application(sourceTable=",".join(tables), processor="handlers:Dumps")
    app.environment |= {"LC_ALL": "C", "LANG": "C"}
    app.start()
    dump = app.folder / "dump.jsonl"

    def all_there() -> bool:
        return dump.exists() and len(dump.read_text("utf-8").splitlines()) >= 12

    wait_until(all_there, 90, "twelve records")
    assert app.drain() == 0
    key = {"pk": "klucz-ż"}
    full = key | {name: value for name, (_, value) in VALUES.items()}
    second = key | {"n": 2}
    expected = {
        "INSERT": (None, full),
        "MODIFY": (full, second),
        "REMOVE": (second, None),
    }
    seen = set()
    for line in dump.read_text("utf-8").splitlines():
        record = json.loads(line)
        table, name = value_of(record["table_name"]), value_of(record["event_name"])
        view = tables[table]
        seen.add((view, name))
        old, new = expected[name]
        assert value_of(record["keys"]) == key
        carries_old, carries_new = view in {"OLD_IMAGE", BOTH}, view in {"NEW_IMAGE", BOTH}
        assert value_of(record["old_image"]) == (old if carries_old or old is None else "refused")
        assert value_of(record["new_image"]) == (new if carries_new or new is None else "refused")
        assert value_of(record["stream_view_type"]) == view
        assert value_of(record["event_source"]) == "aws:dynamodb"
        assert value_of(record["event_version"]) == "1.1"
        assert len(value_of(record["event_id"])) > 10
        assert value_of(record["size_bytes"]) > 0
        assert f"table/{table}/stream/" in value_of(record["stream_arn"])
        assert value_of(record["shard_id"]).startswith("shardId-")
        assert value_of(record["user_identity"]) is None
        created = datetime.fromisoformat(record["created"])
        assert abs((datetime.now(timezone.utc) - created).total_seconds()) < 3600
    assert seen == {(view, name) for view in VIEWS for name in expected}


@pytest.mark.fault(28)
def test_whatever_is_written_arrives_as_it_was(
    application: MakeApplication, stream_table: MakeStreamTable, dynamodb_local: DynamoDBLocal
) -> None:
    """100 items that hypothesis makes up, through the running application; both of its ways to the worker."""
    table, client = stream_table(), dynamodb_local.client()
    items: list[dict[str, Any]] = []

    @settings(max_examples=100, suppress_health_check=list(HealthCheck))
    @given(st.dictionaries(names, values, max_size=5))
    def write(item: dict[str, Any]) -> None:
        item |= {"pk": str(len(items))}
        wire = written(item, Form(binary=bytes))["M"]
        assume(len(str(wire)) < MOST_ITEM_BYTES)
        client.put_item(TableName=table.name, Item=wire)
        items.append(item)

    write()
    app = application(sourceTable=table.name, processor="handlers:Dumps").start()
    dump = app.folder / "dump.jsonl"
    wait_until(
        lambda: dump.exists() and dump.read_bytes().count(b"\n") >= len(items), 60, f"{len(items)} records"
    )
    assert app.drain() == 0
    images = [value_of(json.loads(line)["new_image"]) for line in dump.read_text("utf-8").splitlines()]
    by_key = {image["pk"]: image for image in images}
    assert [typed(by_key[item["pk"]]) for item in items] == [typed(item) for item in items]


@pytest.mark.fault(28)
def test_items_of_400_kb_arrive_with_both_images(
    application: MakeApplication, stream_table: MakeStreamTable, dynamodb_local: DynamoDBLocal
) -> None:
    """Twenty changes of the largest items that DynamoDB takes: 16 MB of images in one run."""
    table = stream_table()
    client = dynamodb_local.client()
    size = 400 * 1024 - 100
    for n in range(20):
        client.put_item(TableName=table.name, Item={"pk": {"S": "k"}, "blob": {"B": bytes([n]) * size}})
    app = application(sourceTable=table.name, processor="handlers:Sizes").start()
    sizes = app.folder / "sizes.jsonl"
    wait_until(lambda: sizes.exists() and len(sizes.read_text().splitlines()) >= 20, 90, "twenty records")
    assert app.drain() == 0
    assert [json.loads(line) for line in sizes.read_text().splitlines()] == [[0, size], *[[size, size]] * 19]


def test_a_removal_by_time_to_live_says_so(
    application: MakeApplication, stream_table: MakeStreamTable, dynamodb_local: DynamoDBLocal
) -> None:
    """DynamoDB's own removals carry its user identity; a client's carry none."""
    table = stream_table()
    client = dynamodb_local.client()
    client.update_time_to_live(
        TableName=table.name, TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires"}
    )
    expired = str(int(datetime.now(timezone.utc).timestamp()) - 3600)
    client.put_item(TableName=table.name, Item={"pk": {"S": "old"}, "expires": {"N": expired}})
    app = application(sourceTable=table.name, processor="handlers:Dumps").start()
    dump = app.folder / "dump.jsonl"

    def removals() -> list[dict[str, str]]:
        lines = dump.read_text("utf-8").splitlines() if dump.exists() else []
        return [record for record in map(json.loads, lines) if record["event_name"] == "'REMOVE'"]

    (removal,) = wait_until(removals, 60, "the removal")
    assert app.drain() == 0
    assert removal["user_identity"] == ("UserIdentity(type='Service', principal_id='dynamodb.amazonaws.com')")
