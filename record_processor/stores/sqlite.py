"""Keys in an SQLite file: for all processes of one host.

https://www.sqlite.org/wal.html: processes may share the file, but not over a network file system.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from record_processor.errors import ConfigurationError, StartError
from record_processor.stores.per_process import PerProcess
from record_processor.stores.row import Row
from record_processor.stores.store import LOCK_SECONDS, TTL_SECONDS, Clock, Store

_BUSY_SECONDS: Final = 20
_SCHEMA: Final = (
    """
    CREATE TABLE IF NOT EXISTS record_processor_keys (
        id TEXT PRIMARY KEY,
        status TEXT NOT NULL,
        expiration INTEGER NOT NULL,
        lock_until_millis INTEGER NOT NULL,
        owner TEXT NOT NULL,
        process TEXT NOT NULL,
        fencing_token INTEGER NOT NULL
    ) WITHOUT ROWID
    """,
    "CREATE INDEX IF NOT EXISTS record_processor_keys_expiration ON record_processor_keys (expiration)",
)
_READ: Final = f"SELECT {', '.join(Row._fields)} FROM record_processor_keys WHERE id = ?"  # noqa: S608 # fields
_WRITE: Final = "INSERT OR REPLACE INTO record_processor_keys VALUES (?, ?, ?, ?, ?, ?, ?)"
_DELETE: Final = "DELETE FROM record_processor_keys WHERE id = ?"
_SWEEP: Final = """
    DELETE FROM record_processor_keys WHERE id IN (
        SELECT id FROM record_processor_keys WHERE expiration <= ? LIMIT 10
    )
    """


class SqliteStore(Store):
    """Keeps keys in the table `record_processor_keys` of an SQLite file, which is made if it is not there.

    What it has written survives the host's power. A call waits up to 20 seconds for other processes, then it
    raises sqlite3.OperationalError.
    """

    def __init__(
        self,
        file: str | Path,
        *,
        lock_seconds: int = LOCK_SECONDS,
        ttl_seconds: int = TTL_SECONDS,
        now: Clock = time.time,
    ) -> None:
        """Take the file, how long a claim holds, how long a repeat is recognized, and a clock."""
        self._file = Path(file).resolve()
        super().__init__(f"sqlite://{self._file}", lock_seconds, ttl_seconds, now)
        self._connection = PerProcess(self._open)
        self._lock = threading.Lock()

    def swap(self, key: str, expected: Row | None, new: Row | None) -> Row | None:
        """Put one row in the place of another, in one transaction."""
        with self._transaction() as connection:
            found = connection.execute(_READ, (key,)).fetchone()
            seen = None if found is None else Row(*found)
            if seen == expected:
                self._put(connection, key, new)
            return seen

    def check(self) -> None:
        """Make the file and the table, unless they are there, and see whether they can be written."""
        if not self._file.parent.is_dir():
            raise ConfigurationError(f"{self.place}: there is no folder {self._file.parent}; make it")
        try:
            with closing(self._open()) as connection, _committed(connection):
                connection.execute(_DELETE, ("",))
        except OSError as error:
            raise StartError(
                f"{self.place}: {error.strerror}; name a file that this user can write"
            ) from None
        except sqlite3.OperationalError as error:
            raise StartError(
                f"{self.place}: {error}; name a file that this user can write, "
                "and its folder, on a disk that has room"
            ) from None
        except sqlite3.DatabaseError as error:
            raise ConfigurationError(f"{self.place}: {error}; name another file") from None

    def close(self) -> None:
        """Close this process's connection."""
        with self._lock:
            connection = self._connection.take()
            if connection is not None:
                connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, _committed(self._connection.get()) as connection:
            yield connection

    def _open(self) -> sqlite3.Connection:
        # SQLite gives what it writes beside the file the same permissions.
        os.close(os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        # Its own lock, above, keeps two threads apart.
        connection = sqlite3.connect(
            self._file, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            _prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _put(self, connection: sqlite3.Connection, key: str, new: Row | None) -> None:
        if new is None:
            connection.execute(_DELETE, (key,))
            return
        # More than are written, so the file does not grow for ever.
        connection.execute(_SWEEP, (self._now(),))
        connection.execute(_WRITE, (key, *new))


def _prepare(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")  # a completed key survives a loss of power
    with _committed(connection):
        for statement in _SCHEMA:
            connection.execute(statement)


@contextmanager
def _committed(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Commit what the block does, or roll it back if that or the block fails."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
