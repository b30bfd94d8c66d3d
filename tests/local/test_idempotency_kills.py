"""Effects that come again when a worker or the whole host is killed: those that docs/idempotency.md states."""

from __future__ import annotations

import secrets
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any, Final

import pytest

from record_processor.testing import DynamoDBLocal, wait_until, write_changes
from record_processor.testing.plugin import MakeStreamTable
from tests.local.application import Application, MakeApplication, is_alive, kill, kills

pytestmark = [pytest.mark.local, pytest.mark.timeout(0)]

KILLS: Final = kills(3)
"""At each moment."""
CHANGES: Final = 40


@pytest.fixture
def handled_table(dynamodb_local: DynamoDBLocal) -> Iterator[str]:
    """Give a table for keys."""
    name = f"handled-{secrets.token_hex(4)}"
    client = dynamodb_local.client()
    client.create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    client.update_time_to_live(
        TableName=name, TimeToLiveSpecification={"Enabled": True, "AttributeName": "expiration"}
    )
    yield name
    client.delete_table(TableName=name)


class Story:
    """Kills at every moment of a record's way, and then of the whole host before its checkpoint."""

    def __init__(self, app: Application, client: Any, table: str, moments: Sequence[str]) -> None:
        self.app = app
        self.client = client
        self.table = table
        self.killed: dict[str, list[str]] = {
            moment: [f"{moment}-{number}" for number in range(KILLS)] for moment in moments
        }
        self.last: set[tuple[str, int]] = set()
        """What was handled when the host was killed, and is in no checkpoint."""
        self.written: dict[str, Sequence[int]] = {}

    def run(self) -> None:
        """Play it."""
        self.app.start()
        for number in range(KILLS):
            for keys in self.killed.values():
                self._put(keys[number], 1, 2)
            self._all_handled()
        (row,) = self.app.leases()
        self.last = self._write(CHANGES)
        self._all_handled()
        self._kill_the_host()
        assert self.app.leases()[0]["checkpoint"] == row["checkpoint"]
        self._put("after all of them", 1)
        self.app.start()
        self._all_handled()
        assert self.app.drain() == 0
        self.app.check(self.written)

    def repeats(self) -> Counter[tuple[str, int]]:
        """How often the effect of each change came again."""
        effects = Counter((entry.key, entry.n) for entry in self.app.history.handled())
        return effects - Counter(effects.keys())

    def _put(self, key: str, *numbers: int) -> None:
        for n in numbers:
            self.client.put_item(TableName=self.table, Item={"pk": {"S": key}, "n": {"N": str(n)}})
        self.written |= {key: list(numbers)}

    def _write(self, count: int) -> set[tuple[str, int]]:
        part = write_changes(self.client, self.table, count, seed=1, keys=5)
        self.written |= part.per_key
        return {(key, n) for key, numbers in part.per_key.items() for n in numbers}

    def _all_handled(self) -> None:
        self.app.wait_until_handled(sum(map(len, self.written.values())))

    def _kill_the_host(self) -> None:
        pids = [self.app.daemon_pid(), *self.app.worker_pids()]
        with self.app.disruption("host killed"):
            kill(self.app.pid)
            self.app.wait()
            wait_until(lambda: not any(map(is_alive, pids)), 30, "the end of its processes")


def story(
    app: Application, dynamodb_local: DynamoDBLocal, table: str, moments: Sequence[str], **properties: object
) -> Story:
    """Prepare one: no checkpoint is made but when a worker is replaced."""
    app.properties |= {"checkpointIntervalMillis": 1_000_000, "failoverTimeMillis": 2000, **properties}
    app.environment |= {
        name: value for name, value in dynamodb_local.environment().items() if "ENDPOINT" not in name
    }
    return Story(app, dynamodb_local.client(), table, moments)


@pytest.mark.parametrize("store", ["sqlite", "dynamodb"])
def test_an_effect_is_repeated_once_for_a_kill_between_it_and_its_completion(
    application: MakeApplication,
    stream_table: MakeStreamTable,
    dynamodb_local: DynamoDBLocal,
    handled_table: str,
    store: str,
) -> None:
    """No effect is repeated for any other kill, of the whole host neither: what was completed is known."""
    table = stream_table().name
    app = application(sourceTable=table, processor="handlers:Killed")
    url = f"dynamodb://{handled_table}" if store == "dynamodb" else f"sqlite://{app.folder}/handled.db"
    told = story(app, dynamodb_local, table, ["begun", "done", "completed"], idempotency=url)
    told.run()
    assert told.repeats() == Counter({(key, 1): 1 for key in told.killed["done"]})


def test_memory_is_gone_with_its_process(
    application: MakeApplication, stream_table: MakeStreamTable, dynamodb_local: DynamoDBLocal
) -> None:
    """After a kill what was handled and not checkpointed comes again, completed or not."""
    table = stream_table().name
    app = application(sourceTable=table, processor="handlers:Killed")
    told = story(app, dynamodb_local, table, ["begun", "done", "completed"], idempotency="memory")
    told.run()
    repeats = told.repeats()
    for key in (*told.killed["done"], *told.killed["completed"]):
        assert repeats[key, 1] >= 1
    assert {change: repeats[change] for change in told.last} == dict.fromkeys(told.last, 1)


def test_with_the_key_in_its_transaction_no_effect_is_repeated(
    application: MakeApplication, stream_table: MakeStreamTable, dynamodb_local: DynamoDBLocal
) -> None:
    """Killed in the transaction, after it, and as a whole host: each effect is in the database once."""
    table = stream_table().name
    app = application(sourceTable=table, processor="handlers:Ledger")
    told = story(app, dynamodb_local, table, ["begun", "done"])
    told.run()
    assert told.repeats()  # of calls: there was something to recognize
    with closing(sqlite3.connect(app.folder / "ledger.db")) as database:
        effects = database.execute("SELECT pk, n FROM effects").fetchall()
    assert Counter(effects) == Counter((key, n) for key, numbers in told.written.items() for n in numbers)
