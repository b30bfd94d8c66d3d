"""No repeat at all: the key goes into the same transaction as the effect. For SQLite and for DynamoDB."""

from __future__ import annotations

import sqlite3
import time
from math import ceil
from typing import Any, Final

from record_processor.stores.dynamodb import item_of, row_of
from record_processor.stores.row import COMPLETED, Row
from record_processor.stores.store import TTL_SECONDS

_SCHEMA: Final = (
    """
    CREATE TABLE IF NOT EXISTS record_processor_once (
        id TEXT PRIMARY KEY,
        expiration INTEGER NOT NULL
    ) WITHOUT ROWID
    """,
    "CREATE INDEX IF NOT EXISTS record_processor_once_expiration ON record_processor_once (expiration)",
)


def once_in_sqlite(
    connection: sqlite3.Connection, key: str, ttl_seconds: int = TTL_SECONDS, now: float | None = None
) -> bool:
    """Write a key down in the caller's own transaction; False if it was there: then do nothing more.

    Key and effect are committed together, or neither is. The key is in the table `record_processor_once` of
    the same database, made if it is not there, for `ttl_seconds`; `now` is the Unix time, unless it is the
    clock's.

    Raises ValueError if the connection commits each statement by itself: then begin a transaction before.
    """
    moment = time.time() if now is None else now
    for statement in _SCHEMA:
        connection.execute(statement)
    # It begins the transaction, for connections that do so by themselves.
    connection.execute("DELETE FROM record_processor_once WHERE expiration <= ?", (moment,))
    if not connection.in_transaction:
        raise ValueError("this connection commits each statement by itself; run BEGIN IMMEDIATE before")
    row = (key, ceil(moment + ttl_seconds))
    return connection.execute("INSERT OR IGNORE INTO record_processor_once VALUES (?, ?)", row).rowcount == 1


def once_in_dynamodb(
    table: str, key: str, ttl_seconds: int = TTL_SECONDS, now: float | None = None
) -> dict[str, Any]:
    """Return the entry of `transact_write_items` that writes a key down, and fails if it was there.

    The table is one that DynamoDBStore could use; `now` is the Unix time, unless it is the clock's. Whether
    it was there, `is_repeat` says of the error.
    """
    moment = time.time() if now is None else now
    row = Row(COMPLETED, ceil(moment + ttl_seconds), 0, "", "", 0)
    return {
        "Put": {
            "TableName": table,
            "Item": item_of(key, row),
            "ConditionExpression": "attribute_not_exists(id) OR #expiration <= :now",
            "ExpressionAttributeNames": {"#expiration": "expiration"},
            "ExpressionAttributeValues": {":now": {"N": str(int(moment))}},
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
    }


def is_repeat(error: Exception, position: int = 0) -> bool:
    """Whether a TransactionCanceledException says that the key was there: what it stands for was done before.

    `position` is the place of `once_in_dynamodb`'s entry in `TransactItems`. False for every other error,
    and for every other reason, such as a transaction at the same time: call again then.
    """
    reasons = getattr(error, "response", {}).get("CancellationReasons", ())
    if len(reasons) <= position or reasons[position]["Code"] != "ConditionalCheckFailed":
        return False
    return row_of(reasons[position]["Item"]).status == COMPLETED
