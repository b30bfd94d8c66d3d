"""DynamoDB as a store, on DynamoDB Local: the rules of every store, and what is its own."""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from record_processor.errors import ConfigurationError, StartError
from record_processor.stores import Begun, DynamoDBStore, Store, is_repeat, once_in_dynamodb
from record_processor.testing import DynamoDBLocal, FaultProxy
from tests.bookings import AMOUNTS
from tests.store_machine import StoreMachine
from tests.store_processes import ROOT, check_fork, check_kills, check_race, run
from tests.store_rules import LOCK_SECONDS, OTHER_HOST, OTHER_SHARD, OURS, TTL_SECONDS, Clock, StoreRules

pytestmark = pytest.mark.local


@pytest.fixture(autouse=True)
def credentials(dynamodb_local: DynamoDBLocal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let stores find credentials as they always do."""
    for name, value in dynamodb_local.environment().items():
        if "ENDPOINT" not in name:
            monkeypatch.setenv(name, value)


@pytest.fixture
def table(dynamodb_local: DynamoDBLocal) -> Iterator[str]:
    """Give a table as it must be."""
    name = f"handled-{secrets.token_hex(4)}"
    client = dynamodb_local.client()
    create(client, name)
    client.update_time_to_live(
        TableName=name, TimeToLiveSpecification={"Enabled": True, "AttributeName": "expiration"}
    )
    yield name
    client.delete_table(TableName=name)


def create(client: Any, name: str, key: str = "id", kind: str = "S") -> None:
    """Create a table."""
    client.create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": kind}],
        KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )


def open_store(table: str, endpoint: str, clock: Clock) -> DynamoDBStore:
    """Return a store with what the rules need."""
    return DynamoDBStore(
        table, "us-east-1", endpoint, lock_seconds=LOCK_SECONDS, ttl_seconds=TTL_SECONDS, now=clock
    )


class TestDynamoDB(StoreRules):
    """The rules."""

    @pytest.fixture
    def store(self, clock: Clock, dynamodb_local: DynamoDBLocal, table: str) -> Iterator[Store]:
        """Give a store of a new table."""
        with closing(open_store(table, dynamodb_local.endpoint, clock)) as store:
            yield store


def test_it_is_as_the_model(dynamodb_local: DynamoDBLocal, table: str) -> None:
    """Random calls, failures and pauses."""
    clock = Clock(4_000_000_000)

    class Machine(StoreMachine):
        pass

    Machine.clock = clock
    with closing(open_store(table, dynamodb_local.endpoint, clock)) as Machine.store:
        run_state_machine_as_test(Machine, settings=settings(max_examples=25, stateful_step_count=25))


def test_each_key_is_claimed_by_one_process(dynamodb_local: DynamoDBLocal, table: str) -> None:
    """Whatever host it is on."""
    check_race(table, dynamodb_local.environment())


def test_it_can_be_used_after_a_fork(dynamodb_local: DynamoDBLocal, table: str) -> None:
    """Each process has its own connection."""
    check_fork(table, dynamodb_local.environment())


def test_an_effect_is_repeated_only_if_its_completion_was_prevented(
    dynamodb_local: DynamoDBLocal, table: str, tmp_path: Path
) -> None:
    """And then once; a successor needs not wait for the lock."""
    check_kills(table, tmp_path, dynamodb_local.environment())


def test_what_is_in_the_table(dynamodb_local: DynamoDBLocal, table: str) -> None:
    """The attributes that docs/idempotency.md names."""
    clock = Clock(4_000_000_000.25)
    with closing(open_store(table, dynamodb_local.endpoint, clock)) as store:
        store.begin("a", OURS)
        item = {
            "id": {"S": "a"},
            "status": {"S": "IN_PROGRESS"},
            "expiration": {"N": "4000003661"},
            "lockUntilMillis": {"N": "4000000060250"},
            "owner": {"S": "host-1/shard-1"},
            "process": {"S": "process-1"},
            "fencingToken": {"N": "7"},
        }
        assert _items(dynamodb_local, table) == [item]
        clock.seconds += 10
        store.complete("a", OURS)
    done = {**item, "status": {"S": "COMPLETED"}, "expiration": {"N": "4000003611"}}
    assert _items(dynamodb_local, table) == [done]


def _items(dynamodb_local: DynamoDBLocal, table: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = dynamodb_local.client().scan(TableName=table)["Items"]
    return items


# --- On the wire ---


@pytest.fixture
def store(fault_proxy: FaultProxy, table: str) -> Iterator[DynamoDBStore]:
    """Give a store behind the proxy."""
    with closing(open_store(table, fault_proxy.endpoint, Clock())) as store:
        yield store


def test_a_record_costs_two_writes(store: DynamoDBStore, fault_proxy: FaultProxy) -> None:
    """A repeat costs one; nothing is read."""
    store.begin("a", OURS)
    store.complete("a", OURS)
    assert fault_proxy.calls.count("PutItem") == 2
    store.begin("a", OURS)
    assert fault_proxy.calls.count("PutItem") == 3
    assert len(fault_proxy.calls.log()) == 3


@pytest.mark.parametrize("operation", ["begin", "complete", "release"])
def test_a_lost_answer_makes_no_difference(
    store: DynamoDBStore, fault_proxy: FaultProxy, operation: str
) -> None:
    """The client asks once more, and finds its own write."""
    if operation != "begin":
        store.begin("a", OURS)
    fault = fault_proxy.reset("*", forwarded=True, times=1)
    getattr(store, operation)("a", OURS)
    assert fault.hits == 1
    if operation == "begin":
        store.complete("a", OURS)
    assert store.begin("a", OTHER_SHARD) is (Begun.CLAIMED if operation == "release" else Begun.DONE)


@pytest.mark.parametrize("code", ["ProvisionedThroughputExceededException", "InternalServerError"])
def test_a_table_that_does_not_answer_is_an_error(
    store: DynamoDBStore, fault_proxy: FaultProxy, code: str
) -> None:
    """Nothing is begun or forgotten; when it answers again, all goes on."""
    store.begin("handled", OURS)
    fault = fault_proxy.fail("*", code)
    with pytest.raises(ClientError, match=code):
        store.begin("a", OURS)
    with pytest.raises(ClientError, match=code):
        store.complete("handled", OURS)
    fault.remove()
    assert store.begin("a", OURS) is Begun.CLAIMED
    assert store.begin("handled", OURS) is Begun.DONE
    assert store.begin("handled", OTHER_HOST) is Begun.DONE


def test_an_item_of_somebody_else_is_named(store: DynamoDBStore, dynamodb_local: DynamoDBLocal) -> None:
    """It is not overwritten."""
    client = dynamodb_local.client()
    client.put_item(TableName=store._table, Item={"id": {"S": "a"}, "status": {"S": "paid"}})
    with pytest.raises(ConfigurationError, match="item a is none of ours; name a table that is for this"):
        store.begin("a", OURS)


# --- At the start ---


def test_check_writes_nothing(store: DynamoDBStore, dynamodb_local: DynamoDBLocal) -> None:
    """It only asks whether it may."""
    store.check()
    assert _items(dynamodb_local, store._table) == []


def test_a_missing_table_is_named_with_what_makes_it(dynamodb_local: DynamoDBLocal) -> None:
    """The commands are AWS's: what they say, done here, is enough."""
    name = f"handled-{secrets.token_hex(4)}"
    store = open_store(name, dynamodb_local.endpoint, Clock())
    with pytest.raises(ConfigurationError) as error:
        store.check()
    message = str(error.value)
    assert message.startswith(f"dynamodb://{name} at {dynamodb_local.endpoint}: there is no such table; run ")
    client = dynamodb_local.client()
    made, waited, lived = (shlex.split(part) for part in message.partition("; run ")[2].split(" && "))
    where = ["--table-name", name, "--region", "us-east-1", "--endpoint-url", dynamodb_local.endpoint]
    assert made[:3] == ["aws", "dynamodb", "create-table"]
    assert waited == ["aws", "dynamodb", "wait", "table-exists", *where]
    assert lived == [
        *("aws", "dynamodb", "update-time-to-live"),
        *where,
        *("--time-to-live-specification", "Enabled=true,AttributeName=expiration"),
    ]
    assert made[3:] == [
        *where,
        *("--attribute-definitions", "AttributeName=id,AttributeType=S"),
        *("--key-schema", "AttributeName=id,KeyType=HASH"),
        *("--billing-mode", "PAY_PER_REQUEST"),
    ]
    create(client, name)
    with pytest.raises(ConfigurationError, match="has no time to live on expiration") as error:
        store.check()
    assert str(error.value).endswith(f"run {shlex.join(lived)}")
    client.delete_table(TableName=name)


@pytest.mark.parametrize(("key", "kind"), [("pk", "S"), ("id", "N")])
def test_a_table_of_another_kind_is_named(dynamodb_local: DynamoDBLocal, key: str, kind: str) -> None:
    """Such as the one whose changes are followed."""
    name = f"orders-{secrets.token_hex(4)}"
    create(dynamodb_local.client(), name, key, kind)
    with pytest.raises(ConfigurationError, match="its key is not the text id alone; name a table"):
        open_store(name, dynamodb_local.endpoint, Clock()).check()
    dynamodb_local.client().delete_table(TableName=name)


@pytest.mark.parametrize("operation", ["DescribeTable", "DescribeTimeToLive", "PutItem", "DeleteItem"])
def test_what_is_not_allowed_is_named(store: DynamoDBStore, fault_proxy: FaultProxy, operation: str) -> None:
    """By its IAM action."""
    fault_proxy.fail(operation, "AccessDeniedException", http_status=400)
    with pytest.raises(StartError, match=f"the credentials may not dynamodb:{operation} on it; allow that"):
        store.check()


def test_nobody_there_is_an_error() -> None:
    """In one line."""
    with pytest.raises(StartError, match=r"^dynamodb://handled at http://127.0.0.1:1: Could not connect"):
        open_store("handled", "http://127.0.0.1:1", Clock()).check()


def test_no_credentials_are_an_error(dynamodb_local: DynamoDBLocal, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one line."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(StartError, match="Unable to locate credentials"):
        open_store("handled", dynamodb_local.endpoint, Clock()).check()
    with pytest.raises(BotoCoreError, match="Unable to locate credentials"):
        open_store("handled", dynamodb_local.endpoint, Clock()).begin("a", OURS)


# --- In the user's own transaction ---


@pytest.fixture
def totals(dynamodb_local: DynamoDBLocal) -> Iterator[str]:
    """Give a table with one effect in it: a number."""
    name = f"totals-{secrets.token_hex(4)}"
    create(dynamodb_local.client(), name)
    yield name
    dynamodb_local.client().delete_table(TableName=name)


def _add(totals: str, amount: int, **conditions: Any) -> dict[str, Any]:
    return {
        "Update": {
            "TableName": totals,
            "Key": {"id": {"S": "total"}},
            "UpdateExpression": "ADD amount :amount",
            "ExpressionAttributeValues": {":amount": {"N": str(amount)}},
            **conditions,
        }
    }


@pytest.mark.parametrize("position", [0, 1])
def test_a_repeat_is_told_from_other_failures(
    dynamodb_local: DynamoDBLocal, table: str, totals: str, position: int
) -> None:
    """By the entry that failed; the user's own condition is another matter."""
    client = dynamodb_local.client()

    def add(key: str, **options: Any) -> str:
        items = [_add(totals, 5, **options)]
        items.insert(position, once_in_dynamodb(table, key))
        try:
            client.transact_write_items(TransactItems=items)
        except client.exceptions.TransactionCanceledException as error:
            return "repeat" if is_repeat(error, position) else "failed"
        return "done"

    fails = {"ConditionExpression": "attribute_not_exists(id)"}
    assert add("a") == "done"
    assert add("a") == "repeat"
    assert add("b", **fails) == "failed"
    assert add("a", **fails) == "repeat"
    assert add("b") == "done"
    (total,) = _items(dynamodb_local, totals)
    assert total["amount"] == {"N": "10"}


def test_what_is_only_begun_is_no_repeat(dynamodb_local: DynamoDBLocal, table: str) -> None:
    """If a store and a transaction share a key, the one waits for the other."""
    client = dynamodb_local.client()
    store = DynamoDBStore(table, "us-east-1", dynamodb_local.endpoint)
    store.begin("a", OURS)
    with pytest.raises(client.exceptions.TransactionCanceledException) as error:
        client.transact_write_items(TransactItems=[once_in_dynamodb(table, "a")])
    assert not is_repeat(error.value)
    store.complete("a", OURS)
    with pytest.raises(client.exceptions.TransactionCanceledException) as error:
        client.transact_write_items(TransactItems=[once_in_dynamodb(table, "a")])
    assert is_repeat(error.value)


def test_what_a_transaction_wrote_down_is_done_for_a_store(dynamodb_local: DynamoDBLocal, table: str) -> None:
    """They are of one kind."""
    once = once_in_dynamodb(table, "a")
    dynamodb_local.client().transact_write_items(TransactItems=[once])
    assert DynamoDBStore(table, "us-east-1", dynamodb_local.endpoint).begin("a", OURS) is Begun.DONE


def test_a_transaction_forgets_after_the_time_to_live(dynamodb_local: DynamoDBLocal, table: str) -> None:
    """Also if DynamoDB has not deleted it yet."""
    client = dynamodb_local.client()

    def write(now: float) -> None:
        once = once_in_dynamodb(table, "a", ttl_seconds=60, now=now)
        client.transact_write_items(TransactItems=[once])

    write(4_000_000_000)
    with pytest.raises(client.exceptions.TransactionCanceledException):
        write(4_000_000_059.5)
    write(4_000_000_060)


def test_the_example_is_exactly_once(dynamodb_local: DynamoDBLocal, tmp_path: Path) -> None:
    """Killed before each request, after each answer and before each return: each amount is there once."""
    client = dynamodb_local.client()
    create(client, "handled")
    create(client, "balances", "account")
    environment = {**dynamodb_local.environment(), "AWS_DEFAULT_REGION": dynamodb_local.region}
    example = ROOT / "examples" / "exactly_once_in_dynamodb.py"
    (runs,) = run(environment, "bookings.py", str(example), "boto3", cwd=tmp_path)
    assert int(runs) == len(AMOUNTS) * 4 + 1
    balances = {
        item["account"]["S"]: int(item["balance"]["N"]) for item in _items(dynamodb_local, "balances")
    }
    assert balances == {str(number): sum(AMOUNTS) for number in range(1, int(runs) + 1)}
    client.delete_table(TableName="handled")
    client.delete_table(TableName="balances")
