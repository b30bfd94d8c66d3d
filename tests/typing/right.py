"""Record processors as users write them: type checkers find nothing to say about any line of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
from pydantic import BaseModel
from pydantic.dataclasses import dataclass as pydantic_dataclass

from record_processor import (
    Checkpointer,
    LeaseLostError,
    Record,
    RecordProcessor,
    ShardContext,
    TeardownReason,
)


class Index:
    """A search index, say."""

    def put(self, key: str, item: Mapping[str, Any], token: int) -> None:
        """Store."""

    def close(self) -> None:
        """Close."""


class PlainOrders(RecordProcessor):
    """Items are dicts."""

    index: Index

    def setup(self, context: ShardContext) -> None:
        """Open what is needed."""
        self.index = Index()
        self.name: str = f"{context.table_name} {context.shard_id} {context.worker_id} {context.stream_arn}"

    def teardown(self, reason: TeardownReason) -> None:
        """Close it."""
        if reason is not TeardownReason.LEASE_LOST:
            self.index.close()

    def on_insert(self, record: Record) -> None:
        """Look at the item."""
        total: int = record.item["total"]
        city: str | None = record.get("address.city")
        self.index.put(f"{total} {city}", record.item, record.fencing_token)

    def on_modify(self, record: Record) -> None:
        """Look at what changed."""
        if record.changed("status"):
            for path, (old, new) in record.changes().items():
                print(path, old, new)
        if record.new_image is not None:
            print(record.new_image["status"], record.new_image.get("note", ""))

    def on_remove(self, record: Record) -> None:
        """Look at what was."""
        when: datetime | None = record.created_at
        if record.is_ttl_delete and record.user_identity and when:
            print(when.isoformat(), record.user_identity.principal_id, record.keys["pk"])


@dataclass
class Order:
    """An item."""

    pk: str
    total: Decimal
    note: str | None = None


class Orders(RecordProcessor[Order]):
    """Items are of a dataclass."""

    model = Order

    def on_insert(self, record: Record[Order]) -> None:
        """Look at the item."""
        total: Decimal = record.item.total
        print(total + 1, record.item.note or "", record.keys["pk"])

    def on_modify(self, record: Record[Order]) -> None:
        """Look at both images."""
        old, new = record.old_image, record.new_image
        if old and new and old.total < new.total:
            print(new.total - old.total, record.changes()["total"], record.get("note"))


class Invoice(msgspec.Struct, frozen=True):
    """An item."""

    pk: str
    lines: list[str]


class Invoices(RecordProcessor[Invoice]):
    """Items are of a Struct, and handled many at once."""

    model = Invoice

    def setup(self, context: ShardContext) -> None:
        """Keep what makes checkpoints."""
        self.checkpointer: Checkpointer = context.checkpointer

    def process_batch(self, records: Sequence[Record[Invoice]]) -> None:
        """Handle all, and store that half of it is done."""
        seen: set[Record[Invoice]] = set(records)
        print(len(seen), [line.upper() for line in self.lines(records)])
        try:
            self.checkpointer.checkpoint(records[len(records) // 2])
            self.checkpointer.checkpoint()
        except LeaseLostError:
            return

    def lines(self, records: Sequence[Record[Invoice]]) -> Iterator[str]:
        """Yield the lines of all."""
        for record in records:
            yield from record.item.lines


class Customer(BaseModel):
    """An item."""

    pk: str
    since: datetime


class Customers(RecordProcessor[Customer]):
    """Items are of a pydantic model."""

    model = Customer

    def process_record(self, record: Record[Customer]) -> None:
        """Handle every kind of change."""
        print(record.event_name, record.item.since.year, record.sequence_number)


@pydantic_dataclass
class Product:
    """An item."""

    pk: str
    stock: int


class Products(RecordProcessor[Product]):
    """Items are of a pydantic dataclass."""

    model: type[Product] | None = Product

    def on_modify(self, record: Record[Product]) -> None:
        """Look at the item."""
        print(record.item.stock + 1)


def by_hand(event: Mapping[str, Any]) -> list[str]:
    """Make records of an event, as a test does."""
    plain = Record.from_dynamodb_json(event)
    order = Record.from_dynamodb_json(event, "shardId-1", 7, Order)
    Orders().process_record(order)
    PlainOrders().process_batch([plain])
    return [plain.item["pk"], order.item.pk, order.to_dynamodb_json()["eventID"]]
