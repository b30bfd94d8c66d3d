"""DynamoDB Local's tables, made as slowly as DynamoDB makes them: 8 s for a table, 90 s for an index."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

from benchmarks.system import Source
from record_processor.testing import FaultProxy
from record_processor.testing.faults import Forward

TABLE_SECONDS: Final = 8.0
INDEX_SECONDS: Final = 90.0
_USES: Final = ("PutItem", "GetItem", "UpdateItem", "DeleteItem", "Scan", "Query")


class _Making:
    """What is being made, and until when, by `time.monotonic()`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tables: dict[str, float] = {}
        self._indexes: dict[str, float] = {}

    def create(self, content: dict[str, Any], forward: Forward) -> dict[str, Any]:
        """Make a table."""
        answer = forward(content)
        if "TableDescription" in answer:
            with self._lock:
                self._tables[content["TableName"]] = time.monotonic() + TABLE_SECONDS
        return self._aged(content["TableName"], answer)

    def update(self, content: dict[str, Any], forward: Forward) -> dict[str, Any]:
        """Make an index, it may be."""
        answer = forward(content)
        if content.get("GlobalSecondaryIndexUpdates"):
            with self._lock:
                self._indexes[content["TableName"]] = time.monotonic() + INDEX_SECONDS
        return self._aged(content["TableName"], answer)

    def describe(self, content: dict[str, Any], forward: Forward) -> dict[str, Any]:
        """Say how far it is."""
        return self._aged(content["TableName"], forward(content))

    def is_missing(self, content: dict[str, Any]) -> bool:
        """Whether a call is for a table that cannot be used yet."""
        return self._is_young(self._tables, content.get("TableName", ""))

    def _is_young(self, things: dict[str, float], table: str) -> bool:
        with self._lock:
            return time.monotonic() < things.get(table, 0)

    def _aged(self, table: str, answer: dict[str, Any]) -> dict[str, Any]:
        description = answer.get("Table") or answer.get("TableDescription")
        if description and self._is_young(self._tables, table):
            description["TableStatus"] = "CREATING"
        if description and self._is_young(self._indexes, table):
            for index in description.get("GlobalSecondaryIndexes", []):
                index["IndexStatus"] = "CREATING"
        return answer


@contextmanager
def slow_tables(source: Source) -> Iterator[Source]:
    """Give the same source behind a proxy that makes tables slowly."""
    making = _Making()
    with FaultProxy(source.endpoint, source.region) as proxy:
        proxy.respond("CreateTable", making.create)
        proxy.respond("UpdateTable", making.update)
        proxy.respond("DescribeTable", making.describe)
        for operation in _USES:
            proxy.fail(operation, "ResourceNotFoundException", match=making.is_missing)
        yield replace(source, endpoint=proxy.endpoint, arn=source.arn.replace("ddblocal", proxy.region))
