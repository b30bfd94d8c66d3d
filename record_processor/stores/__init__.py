"""Remembers what was handled, so that a repeat is not handled again: docs/idempotency.md."""

from __future__ import annotations

from record_processor import locations
from record_processor.settings import Settings
from record_processor.stores.claim import Begun, Claim, LockedError
from record_processor.stores.decorator import idempotent
from record_processor.stores.dynamodb import DynamoDBStore
from record_processor.stores.keys import idempotency_key
from record_processor.stores.memory import MemoryStore
from record_processor.stores.once import is_repeat, once_in_dynamodb, once_in_sqlite
from record_processor.stores.row import Row
from record_processor.stores.sqlite import SqliteStore
from record_processor.stores.store import Store
from record_processor.stores.this_process import claim_of_this_process, name_this_process

__all__ = [
    # One function
    "idempotent",
    # The key in the same transaction as the effect
    "once_in_sqlite",
    "once_in_dynamodb",
    "is_repeat",
    # Where keys are kept
    "MemoryStore",
    "SqliteStore",
    "DynamoDBStore",
    "open_store",
    # What is asked of them
    "Store",
    "Row",
    "Claim",
    "Begun",
    "LockedError",
    "idempotency_key",
    "claim_of_this_process",
    "name_this_process",
]


def open_store(settings: Settings) -> Store:
    """Return the store that the property idempotency names. Nothing is opened before it is first used.

    Raises ValueError if the property is not set.
    """
    where = locations.parse(str(settings["idempotency"]), ("dynamodb", "sqlite", "memory"))
    lock_seconds, ttl_seconds = _seconds(settings, "Lock"), _seconds(settings, "Ttl")
    if where.scheme == "memory":
        return MemoryStore(lock_seconds=lock_seconds, ttl_seconds=ttl_seconds)
    if where.scheme == "sqlite":
        return SqliteStore(where.name, lock_seconds=lock_seconds, ttl_seconds=ttl_seconds)
    endpoint = settings["dynamoDBEndpoint"]
    return DynamoDBStore(
        where.name,
        str(settings["regionName"]),
        None if endpoint is None else str(endpoint),
        lock_seconds=lock_seconds,
        ttl_seconds=ttl_seconds,
    )


def _seconds(settings: Settings, which: str) -> int:
    seconds = settings[f"idempotency{which}Seconds"]
    assert isinstance(seconds, int)
    return seconds
