"""Keeps the balance of each account from a table of bookings, in SQLite: right, whenever it is killed.

A booking has the attributes `account` and `amount`. The balances are in `balances.db` in the current folder.
"""

import sqlite3

from record_processor import Record, RecordProcessor, ShardContext
from record_processor.stores import once_in_sqlite


class Balances(RecordProcessor):
    """The key of a booking and what it does to the balance are committed together, or neither is."""

    def setup(self, context: ShardContext) -> None:
        """Open the database, which all shards of this host share."""
        self.database = sqlite3.connect("balances.db", timeout=30)
        with self.database:
            self.database.execute(
                "CREATE TABLE IF NOT EXISTS balances (account TEXT PRIMARY KEY, balance INTEGER)"
            )

    def on_insert(self, record: Record) -> None:
        """Add a booking, unless that was done before."""
        with self.database:
            if once_in_sqlite(self.database, record.event_id):
                self.database.execute(
                    "INSERT INTO balances VALUES (?, ?) "
                    "ON CONFLICT (account) DO UPDATE SET balance = balance + excluded.balance",
                    (record.item["account"], record.item["amount"]),
                )
