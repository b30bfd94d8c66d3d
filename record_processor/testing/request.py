"""Reads from a DynamoDB request what it is about: operation, tables, stream, shard."""

from __future__ import annotations

import json
import re
import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from record_processor.testing.http_wire import Message

_MOST_ITERATORS: Final = 100_000
# The field with a string as its value, in a body that is not decoded, for it may be a megabyte. No item can
# imitate it: an attribute's value is an object, and a quote inside a string is escaped.
_STRING: Final = rb'\s*:\s*("(?:[^"\\]|\\.)*")'
_ITERATORS: Final = {
    "GetShardIterator": re.compile(b'"ShardIterator"' + _STRING),
    "GetRecords": re.compile(b'"NextShardIterator"' + _STRING),
}
_NO_STREAM: Final = ("", "")


@dataclass(frozen=True, slots=True)
class Request:
    """What a request is about. What it does not name is ""."""

    operation: str
    tables: tuple[str, ...]
    stream_arn: str
    shard: str
    content: dict[str, Any]
    """The JSON of its body."""


class Iterators:
    """Which shard an iterator belongs to, learnt from the answers that hand iterators out."""

    def __init__(self) -> None:
        """Begin with none."""
        self._lock = threading.Lock()
        self._shards: OrderedDict[str, tuple[str, str]] = OrderedDict()

    def shard_of(self, iterator: str) -> tuple[str, str]:
        """Return the stream's ARN and the shard's id, both "" for an iterator that never came by."""
        with self._lock:
            return self._shards.get(iterator, _NO_STREAM)

    def learn(self, request: Request, answer: Message) -> None:
        """Remember the iterator that the answer to GetShardIterator or GetRecords hands out."""
        pattern = _ITERATORS.get(request.operation)
        found = pattern.search(answer.body) if pattern and answer.status == 200 else None
        if found is None:
            return
        iterator = json.loads(found[1])
        with self._lock:
            self._shards[iterator] = (request.stream_arn, request.shard)
            if len(self._shards) > _MOST_ITERATORS:
                self._shards.popitem(last=False)


def understand(message: Message, iterators: Iterators) -> Request:
    """Return what the request is about; without an operation if it is not one of DynamoDB's."""
    operation = message.header("X-Amz-Target").rpartition(".")[2]
    content = _json_object(message.body)
    stream_arn, shard = str(content.get("StreamArn", "")), str(content.get("ShardId", ""))
    if operation == "GetRecords":
        stream_arn, shard = iterators.shard_of(str(content.get("ShardIterator", "")))
    return Request(operation, _tables(content, stream_arn), stream_arn, shard, content)


def _tables(content: dict[str, Any], stream_arn: str) -> tuple[str, ...]:
    if stream_arn:
        return (_table_in(stream_arn),)
    if "TableName" in content:
        return (_table_in(str(content["TableName"])),)
    if isinstance(batch := content.get("RequestItems"), dict):
        return tuple(sorted(map(_table_in, batch)))
    return tuple(sorted({_table_in(name) for name in _table_names(content.get("TransactItems"))}))


def _table_names(transaction: object) -> Iterator[str]:
    items = transaction if isinstance(transaction, list) else []
    for action in (action for item in items if isinstance(item, dict) for action in item.values()):
        if isinstance(action, dict) and "TableName" in action:
            yield str(action["TableName"])


def _table_in(name_or_arn: str) -> str:
    """Return the table's name; in an ARN it follows the first slash."""
    return name_or_arn.split("/")[1] if name_or_arn.startswith("arn:") and "/" in name_or_arn else name_or_arn


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        content = json.loads(body or b"{}")
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
