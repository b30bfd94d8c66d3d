"""Mistakes that type checkers find: each line that they must report is marked, and they report no other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from pydantic import BaseModel

from record_processor import Record, RecordProcessor, ShardContext, TeardownReason


@dataclass
class Order:
    """An item."""

    pk: str
    total: int


class Invoice(msgspec.Struct):
    """Another."""

    number: int


class Customer(BaseModel):
    """Another."""

    name: str


class WrongSignatures(RecordProcessor):
    """Methods that take something else."""

    def on_insert(self, record: Record, index: int) -> None:  # wrong: takes too much
        """Handle."""

    def on_modify(self) -> None:  # wrong: takes nothing
        """Handle."""

    def on_remove(self, record: ShardContext) -> None:  # wrong: takes another type
        """Handle."""

    def process_batch(self, records: Record) -> None:  # wrong: takes one record
        """Handle."""

    def setup(self) -> None:  # wrong: takes nothing
        """Open."""

    def teardown(self, reason: TeardownReason) -> bool:  # wrong: nobody looks at it
        """Close."""


class WrongAttributes(RecordProcessor[Order]):
    """Attributes that are not there, or not sure to be."""

    model = Order

    def on_insert(self, record: Record[Order]) -> None:
        """Handle."""
        print(record.item.totals)  # wrong: misspelt attribute of the model
        print(record.item["total"])  # wrong: the item is no dict
        print(record.item.total.upper())  # wrong: a number has no upper
        print(record.newimage)  # wrong: misspelt attribute of a record
        print(record.new_image.total)  # wrong: there may be no new image
        print(record.created_at.year)  # wrong: there may be no time
        print(record.user_identity.type)  # wrong: there may be no identity
        print(record.changed())  # wrong: what?
        print(record.get(7))  # wrong: no path
        record.fencing_token = 7  # wrong: it cannot be assigned


class WrongModel(RecordProcessor[Order]):
    """A model that is not the parameter."""

    model = Invoice  # wrong: not an Order


class WrongPydanticModel(RecordProcessor[Order]):
    """Another."""

    model = Customer  # wrong: not an Order


class ModelWithoutParameter(RecordProcessor):
    """A model, but handlers that are said to take dicts."""

    model = Order  # wrong: not a dict


class WrongRecord(RecordProcessor[Order]):
    """Handlers that take records of other items."""

    model = Order

    def on_insert(self, record: Record[Invoice]) -> None:  # wrong: not an Order
        """Handle."""

    def on_modify(self, record: Record) -> None:  # wrong: not a dict
        """Handle."""

    def process_batch(self, records: Sequence[Record[Invoice]]) -> None:  # wrong: not Orders
        """Handle."""


class WrongContext(RecordProcessor):
    """A context that is used wrongly."""

    def setup(self, context: ShardContext) -> None:
        """Open."""
        context.checkpointer.checkpoint("100")  # wrong: a record, not its number
        print(context.shard)  # wrong: misspelt attribute


def misused(record: Record) -> int:
    """Mistakes with plain items."""
    print(record.new_image["total"])  # wrong: there may be no new image
    return record.item  # wrong: an item is no number
