"""Stores in memory and in SQLite: the rules of every store, and what is their own."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from record_processor import settings as properties
from record_processor.errors import ConfigurationError, StartError
from record_processor.stores import (
    Begun,
    Claim,
    DynamoDBStore,
    LockedError,
    MemoryStore,
    SqliteStore,
    Store,
    open_store,
)
from record_processor.stores.store import LOCK_SECONDS as DEFAULT_LOCK_SECONDS
from record_processor.stores.store import TTL_SECONDS as DEFAULT_TTL_SECONDS
from tests.store_machine import StoreMachine
from tests.store_rules import LOCK_SECONDS, OURS, TTL_SECONDS, Clock, StoreRules


class TestMemory(StoreRules):
    """The rules, in memory."""

    @pytest.fixture
    def store(self, clock: Clock) -> Iterator[Store]:
        """Give a store."""
        with closing(MemoryStore(lock_seconds=LOCK_SECONDS, ttl_seconds=TTL_SECONDS, now=clock)) as store:
            yield store


class TestSqlite(StoreRules):
    """The rules, in a file."""

    @pytest.fixture
    def store(self, clock: Clock, tmp_path: Path) -> Iterator[Store]:
        """Give a store of a new file."""
        with closing(_sqlite(tmp_path, clock)) as store:
            yield store


def _sqlite(folder: Path, clock: Clock) -> SqliteStore:
    return SqliteStore(folder / "keys.db", lock_seconds=LOCK_SECONDS, ttl_seconds=TTL_SECONDS, now=clock)


def test_memory_is_as_the_model() -> None:
    """Random calls, failures and pauses."""
    clock = Clock(4_000_000_000)

    class Machine(StoreMachine):
        pass

    Machine.clock = clock
    Machine.store = MemoryStore(lock_seconds=LOCK_SECONDS, ttl_seconds=TTL_SECONDS, now=clock)
    run_state_machine_as_test(Machine, settings=settings(max_examples=200, stateful_step_count=30))


def test_sqlite_is_as_the_model(tmp_path: Path) -> None:
    """The same."""
    clock = Clock(4_000_000_000)

    class Machine(StoreMachine):
        pass

    Machine.clock = clock
    with closing(_sqlite(tmp_path, clock)) as Machine.store:
        run_state_machine_as_test(Machine, settings=settings(max_examples=50, stateful_step_count=30))


# --- In memory ---


def test_memory_forgets_what_has_expired() -> None:
    """However many keys there are, only those of the time to live are kept, and at most as many again."""
    clock = Clock()
    store = MemoryStore(ttl_seconds=100, now=clock)
    for number in range(20_000):
        clock.seconds += 1
        store.begin(str(number), OURS)
        store.complete(str(number), OURS)
    assert len(store._rows) < 3000


def test_memories_are_apart() -> None:
    """What one store has begun says nothing to another."""
    first, second = MemoryStore(), MemoryStore()
    first.begin("a", OURS)
    assert second.begin("a", OURS) is Begun.CLAIMED


# --- In a file ---


def test_the_file_is_for_its_user_only(tmp_path: Path) -> None:
    """And so is all that SQLite writes beside it."""
    with closing(_sqlite(tmp_path, Clock())) as store:
        store.begin("a", OURS)
        files = list(tmp_path.iterdir())
        assert {file.name for file in files} == {"keys.db", "keys.db-wal", "keys.db-shm"}
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_nothing_is_opened_before_it_is_used(tmp_path: Path) -> None:
    """So it can be made before a fork."""
    _sqlite(tmp_path, Clock())
    assert list(tmp_path.iterdir()) == []


def test_two_stores_of_a_file_are_one(tmp_path: Path) -> None:
    """Also for the threads of one process, however the file is named."""
    (tmp_path / "folder").mkdir()
    clock = Clock()
    with (
        closing(_sqlite(tmp_path, clock)) as first,
        closing(_sqlite(tmp_path / "folder" / "..", clock)) as second,
    ):
        assert first.begin("a", OURS) is Begun.CLAIMED
        with pytest.raises(LockedError, match="another thread"):
            second.begin("a", OURS)
        second.complete("a", OURS)
        assert first.begin("a", OURS) is Begun.DONE


def test_the_file_does_not_grow_for_ever(tmp_path: Path) -> None:
    """New keys sweep away those that have expired."""
    clock = Clock()
    with closing(SqliteStore(tmp_path / "keys.db", ttl_seconds=60, now=clock)) as store:
        for number in range(100):
            clock.seconds += 10
            store.begin(str(number), OURS)
            store.complete(str(number), OURS)
        rows = store._connection.get().execute("SELECT count(*) FROM record_processor_keys").fetchone()
    assert rows[0] < 20


def test_a_file_that_another_process_locks_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is begun then, and the next attempt is as the first."""
    monkeypatch.setattr("record_processor.stores.sqlite._BUSY_SECONDS", 0.05)
    with (
        closing(_sqlite(tmp_path, Clock())) as store,
        closing(sqlite3.connect(tmp_path / "keys.db", isolation_level=None)) as other,
    ):
        store.check()
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            store.begin("a", OURS)
        other.execute("ROLLBACK")
        assert store.begin("a", OURS) is Begun.CLAIMED


def test_a_full_disk_is_an_error(tmp_path: Path) -> None:
    """Nothing is begun then; when there is room again, all goes on, and nothing was forgotten."""
    with closing(_sqlite(tmp_path, Clock())) as store:
        store.begin("first", OURS)
        connection = store._connection.get()
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")
        begun: list[str] = []
        with pytest.raises(sqlite3.OperationalError, match="full"):
            _begin_for_ever(store, begun)
        connection.execute("PRAGMA max_page_count = 1000000")
        assert store.begin(f"{len(begun):0100}", OURS) is Begun.CLAIMED
        for key in ["first", *begun]:
            store.complete(key, OURS)
            assert store.begin(key, OURS) is Begun.DONE


def _begin_for_ever(store: Store, begun: list[str]) -> None:
    for number in count():
        store.begin(f"{number:0100}", OURS)
        begun.append(f"{number:0100}")


def test_a_file_without_its_folder_is_named(tmp_path: Path) -> None:
    """It is not made: that would hide a typing error."""
    with pytest.raises(ConfigurationError, match=f"^sqlite://{tmp_path}/none/keys.db: there is no folder"):
        SqliteStore(tmp_path / "none" / "keys.db").check()


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    """And left as it is."""
    (tmp_path / "keys.db").write_text("my diary, " * 100)
    with pytest.raises(ConfigurationError, match="file is not a database; name another file"):
        SqliteStore(tmp_path / "keys.db").check()
    assert (tmp_path / "keys.db").read_text() == "my diary, " * 100


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    """One line says so."""
    with pytest.raises(StartError, match="Is a directory; name a file"):
        SqliteStore(tmp_path).check()


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everything")
def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """One line says so."""
    tmp_path.chmod(0o500)
    with pytest.raises(StartError, match="Permission denied; name a file that this user can write"):
        SqliteStore(tmp_path / "keys.db").check()
    tmp_path.chmod(0o700)


# --- From the settings ---


def _settings(folder: Path, **given: str) -> properties.Settings:
    lines = {
        "processor": "a:B",
        "sourceTable": "orders",
        "applicationName": "app",
        "regionName": "eu-west-1",
        **given,
    }
    file = folder / "x.properties"
    file.write_text("".join(f"{name} = {value}\n" for name, value in lines.items()), "utf-8")
    return properties.load(file, {})


def test_the_settings_name_the_store(tmp_path: Path) -> None:
    """Each of the three, without opening it."""
    assert isinstance(open_store(_settings(tmp_path, idempotency="memory")), MemoryStore)
    in_file = open_store(_settings(tmp_path, idempotency=f"sqlite://{tmp_path}/keys.db"))
    assert isinstance(in_file, SqliteStore)
    assert in_file.place == f"sqlite://{tmp_path}/keys.db"
    in_table = open_store(_settings(tmp_path, idempotency="dynamodb://handled"))
    assert isinstance(in_table, DynamoDBStore)
    assert in_table.place == "dynamodb://handled in eu-west-1"
    local = _settings(tmp_path, idempotency="dynamodb://handled", dynamoDBEndpoint="http://localhost:8000")
    assert open_store(local).place == "dynamodb://handled at http://localhost:8000"


def test_the_settings_say_how_long(tmp_path: Path) -> None:
    """The lock and the time to live."""
    given = {"idempotencyLockSeconds": "5", "idempotencyTtlSeconds": "600"}
    store = open_store(_settings(tmp_path, idempotency="memory", **given))
    assert (store._lock_seconds, store._ttl_seconds) == (5, 600)


def test_defaults_are_those_of_the_settings(tmp_path: Path) -> None:
    """A store that a program makes itself is no other."""
    defaults = _settings(tmp_path)
    assert defaults["idempotencyLockSeconds"] == DEFAULT_LOCK_SECONDS
    assert defaults["idempotencyTtlSeconds"] == DEFAULT_TTL_SECONDS


def test_a_shard_has_no_slash_and_a_worker_may() -> None:
    """Only what follows the last one is compared."""
    assert Claim("team/host-1/shard-1", "p").shard_id == "shard-1"
    assert not Claim("host-1", "p").shard_id
