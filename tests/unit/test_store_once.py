"""The key in the same transaction as the effect, in SQLite; that of DynamoDB is in tests/local."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any

import pytest

from record_processor.stores import is_repeat, once_in_sqlite


@pytest.fixture(params=["", "DEFERRED", "IMMEDIATE"])
def connection(request: pytest.FixtureRequest) -> Iterator[sqlite3.Connection]:
    """Give a database with one effect in it: a number."""
    with closing(sqlite3.connect(":memory:", isolation_level=request.param)) as connection:
        with connection:
            connection.execute("CREATE TABLE total (amount INTEGER)")
            connection.execute("INSERT INTO total VALUES (0)")
        yield connection


def _add(connection: sqlite3.Connection, key: str, amount: int, **once: Any) -> bool:
    with connection:
        if not once_in_sqlite(connection, key, **once):
            return False
        connection.execute("UPDATE total SET amount = amount + ?", (amount,))
        return True


def _total(connection: sqlite3.Connection) -> int:
    (total,) = connection.execute("SELECT amount FROM total").fetchone()
    return int(total)


def test_a_repeat_is_told(connection: sqlite3.Connection) -> None:
    """False, and the user does nothing."""
    assert _add(connection, "a", 5)
    assert not _add(connection, "a", 5)
    assert _add(connection, "b", 1)
    assert _total(connection) == 6


def test_a_rollback_takes_the_key_back(connection: sqlite3.Connection) -> None:
    """An effect that was not kept was not done."""
    with suppress(ZeroDivisionError), connection:
        assert once_in_sqlite(connection, "a")
        connection.execute("UPDATE total SET amount = 99")
        raise ZeroDivisionError
    assert _add(connection, "a", 5)
    assert _total(connection) == 5


def test_it_forgets_after_the_time_to_live(connection: sqlite3.Connection) -> None:
    """And nothing of it stays in the database."""
    assert _add(connection, "a", 1, ttl_seconds=60, now=1000)
    assert not _add(connection, "a", 1, ttl_seconds=60, now=1059.5)
    assert _add(connection, "b", 1, ttl_seconds=60, now=1060)
    assert _add(connection, "a", 1, ttl_seconds=60, now=1060)
    assert connection.execute("SELECT id FROM record_processor_once ORDER BY id").fetchall() == [
        ("a",),
        ("b",),
    ]


def test_a_transaction_of_the_users_own_will_do() -> None:
    """For connections that begin none by themselves."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.execute("BEGIN")
        assert once_in_sqlite(connection, "a")
        connection.execute("ROLLBACK")
        connection.execute("BEGIN")
        assert once_in_sqlite(connection, "a")
        connection.execute("COMMIT")


def test_without_a_transaction_it_is_refused() -> None:
    """The key would be there before the effect: a kill in between would lose it."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        with pytest.raises(ValueError, match="run BEGIN IMMEDIATE before"):
            once_in_sqlite(connection, "a")
        assert connection.execute("SELECT count(*) FROM record_processor_once").fetchone() == (0,)


class CanceledError(Exception):
    """Boto3's, as far as it is looked at."""

    def __init__(self, *reasons: dict[str, Any]) -> None:
        super().__init__()
        self.response = {"CancellationReasons": list(reasons)}


DONE = {"Code": "ConditionalCheckFailed", "Item": {}}


@pytest.mark.parametrize("error", [ValueError(), CanceledError(), CanceledError({"Code": "None"})])
def test_other_errors_are_no_repeat(error: Exception) -> None:
    """Nor is a transaction that has no such entry."""
    assert not is_repeat(error)
    assert not is_repeat(CanceledError({"Code": "TransactionConflict"}, DONE))
    assert not is_repeat(CanceledError({"Code": "None"}, {"Code": "ConditionalCheckFailed"}))
