"""Prints every change of a table: the smallest record processor.

Run it beside DynamoDB Local with `record-processor run properties/local.properties`.
"""

from record_processor import Record, RecordProcessor


class Print(RecordProcessor):
    """One method for each kind of change; a method that is not overridden ignores its kind."""

    def on_insert(self, record: Record) -> None:
        """Handle an item that was added."""
        print("inserted", record.keys, record.new_image)

    def on_modify(self, record: Record) -> None:
        """Handle an item that was changed: attribute name to its old and new value."""
        print("modified", record.keys, record.changes())

    def on_remove(self, record: Record) -> None:
        """Handle an item that was deleted, by a client or because its time to live was over."""
        print("expired" if record.is_ttl_delete else "removed", record.keys)
