"""One bad record stops nothing: it is parked whole, the others are handled, and it can be redriven."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from record_processor.testing import DynamoDBLocal, Handled, Mark, wait_until, write_changes
from record_processor.testing.aws_server import AwsServer
from record_processor.testing.plugin import MakeStreamTable
from record_processor.testing.sockets import free_port
from tests.local.application import Application, MakeApplication, is_alive, kill

pytestmark = [pytest.mark.local, pytest.mark.timeout(600)]

RETRIES: Final = 3
POISON: Final[Mapping[str, Any]] = {
    "pk": {"S": "poison"},
    "n": {"N": "2"},
    "text": {"S": "zażółć 🐢\n\x00"},
    "bytes": {"B": b"\x00\xff"},
    "tags": {"SS": ["x"]},
    "lines": {"L": [{"M": {"price": {"N": "12.5"}, "note": {"NULL": True}}}]},
    "blob": {"S": "x" * 300_000},
}
"""More than a queue and a topic take."""


class Writer:
    """Writes changes, and what is to be handled of them."""

    def __init__(self, local: DynamoDBLocal, table: str) -> None:
        self._client = local.client()
        self.table = table
        self._seed = 0
        self.written: dict[str, Sequence[int]] = {}

    def others(self, count: int, keys: int = 100) -> None:
        """Write changes of new keys."""
        self._seed += 1
        part = write_changes(
            self._client, self.table, count, seed=self._seed, keys=keys, prefix=f"{self._seed}-"
        )
        self.written |= part.per_key

    def poison(self, key: str = "poison") -> None:
        """Write three changes of a key, of which the second cannot be handled."""
        for item in (_item(key, 1), {**POISON, "pk": {"S": key}}, _item(key, 3)):
            self._client.put_item(TableName=self.table, Item=item)
        self.written |= {key: [1, 3]}

    @property
    def total(self) -> int:
        """How many changes are to be handled."""
        return sum(map(len, self.written.values()))


def _item(key: str, n: int) -> dict[str, Any]:
    return {"pk": {"S": key}, "n": {"N": str(n)}}


@pytest.fixture
def writer(dynamodb_local: DynamoDBLocal, stream_table: MakeStreamTable) -> Writer:
    """Give what writes to a new table."""
    return Writer(dynamodb_local, stream_table().name)


@dataclass
class Place:
    """Where records are parked."""

    properties: dict[str, str]
    """Of the application."""
    reading: dict[str, str] = field(default_factory=dict)
    """For `parked`, where they differ."""
    environment: dict[str, str] = field(default_factory=dict)
    is_empty: Callable[[], bool] = lambda: True
    """Whether nothing is left that the command does not list."""


@pytest.fixture(scope="module")
def aws() -> Iterator[AwsServer]:
    """Give a server for all tests of this module."""
    with AwsServer() as server:
        yield server


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Give the place that the test's parameter names."""
    if request.param == "file":
        return folder(tmp_path)
    server = request.getfixturevalue("aws")
    return PLACES[request.param](server, request.getfixturevalue("dynamodb_local"))


def folder(parent: Path) -> Place:
    """A folder."""
    return Place({"onFailureDestination": f"file://{parent}/parked"})


def bucket(aws: AwsServer, _: DynamoDBLocal) -> Place:
    """A bucket."""
    name = _create_bucket(aws)
    return Place(
        {"onFailureDestination": f"s3://{name}/failed"},
        environment=aws.environment(),
        is_empty=partial(_is_empty, aws, name),
    )


def queue(aws: AwsServer, _: DynamoDBLocal) -> Place:
    """A queue, with a bucket for what is too large."""
    return _limited(aws, f"sqs://{_create_queue(aws)[0]}")


def topic(aws: AwsServer, _: DynamoDBLocal) -> Place:
    """A topic, with a queue that subscribes to it."""
    name, arn = _create_queue(aws)
    client = aws.client("sns")
    topic = client.create_topic(Name=f"topic-{secrets.token_hex(6)}")["TopicArn"]
    client.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    return _limited(aws, f"sns://{topic}", {"onFailureDestination": f"sqs://{name}"})


def table(aws: AwsServer, local: DynamoDBLocal) -> Place:
    """A table."""
    name = f"parked-{secrets.token_hex(6)}"
    local.client().create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    return _limited(aws, f"dynamodb://{name}")


PLACES: Final = {"s3": bucket, "sqs": queue, "sns": topic, "dynamodb": table}


def _limited(aws: AwsServer, url: str, reading: dict[str, str] | None = None) -> Place:
    overflow = _create_bucket(aws)
    return Place(
        {"onFailureDestination": url, "onFailureOverflow": f"s3://{overflow}/large"},
        reading or {},
        aws.environment(),
        partial(_is_empty, aws, overflow),
    )


def _create_bucket(aws: AwsServer) -> str:
    name = f"bucket-{secrets.token_hex(6)}"
    aws.client("s3").create_bucket(
        Bucket=name, CreateBucketConfiguration={"LocationConstraint": AwsServer.region}
    )
    return name


def _create_queue(aws: AwsServer) -> tuple[str, str]:
    name = f"queue-{secrets.token_hex(6)}"
    size = {"MaximumMessageSize": str(256 * 1024)}
    aws.client("sqs").create_queue(QueueName=name, Attributes=size)
    return name, f"arn:aws:sqs:{AwsServer.region}:{AwsServer.account}:{name}"


def _is_empty(aws: AwsServer, name: str) -> bool:
    return bool(aws.client("s3").list_objects_v2(Bucket=name)["KeyCount"] == 0)


# --- One poison among many ---


@pytest.mark.parametrize(
    ("case", "place"),
    [
        (("PoisonedBatches", 1, 10_000), "file"),
        (("Poisoned", 10, 10_000), "file"),
        (("Poisoned", 1, 300), "s3"),
        (("PoisonedBatches", 10, 300), "sqs"),
        (("Poisoned", 10, 300), "sns"),
        (("PoisonedBatches", 1, 300), "dynamodb"),
    ],
    indirect=["place"],
    ids=lambda case: case if isinstance(case, str) else "-".join(map(str, case)),
)
def test_a_poison_is_parked_whole_and_the_others_are_handled(
    application: MakeApplication, writer: Writer, case: tuple[str, int, int], place: Place
) -> None:
    """Others wait for its pauses at most; redriven, once the handler is mended, it is handled and removed."""
    processor, factor, count = case
    pause_millis = 2000 if count > 1000 else 200
    app = application(
        sourceTable=writer.table,
        processor=f"handlers:{processor}",
        parallelizationFactor=factor,
        bisectBatchOnFunctionError="true",
        maximumRetryAttempts=RETRIES,
        retryBackoffMillis=pause_millis,
        maximumRetryBackoffMillis=pause_millis,
        **place.properties,
    )
    app.environment |= place.environment
    app.start()
    writer.others(count // 2)
    writer.poison()
    writer.others(count - count // 2 - 3)
    app.wait_until_handled(writer.total, 240)
    assert app.drain() == 0
    assert writer.total == count - 1
    assert app.check(writer.written).repeats == []
    app.properties |= place.reading
    document = the_only_one(app)
    check_document(app, document)
    delay_seconds = delay_of_neighbours(app, document["DDBStreamBatchInfo"]["startSequenceNumber"])
    pauses_seconds = RETRIES * pause_millis / 1000
    print("the poison's neighbours waited for", delay_seconds, "s, its pauses are", pauses_seconds)
    if count > 1000:  # with pauses that are long against what the host does meanwhile
        assert delay_seconds < pauses_seconds * (2 if factor == 1 else 1)
    (app.folder / "mended").touch()
    redriven = app.parked("redrive", "--yes")
    assert redriven.returncode == 0, redriven.stderr
    assert redriven.stderr.endswith("1 of 1 redriven, 0 failed\n")
    assert [(entry.key, entry.n) for entry in app.history.handled()[count - 1 :]] == [("poison", 2)]
    assert listed(app) == []
    assert place.is_empty()


def listed(app: Application) -> list[dict[str, Any]]:
    """What `parked list` shows."""
    done = app.parked("list", "--json")
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def the_only_one(app: Application) -> dict[str, Any]:
    """All that `parked show` shows of the only record there is."""
    (line,) = listed(app)
    done = app.parked("show", line["id"], "--json")
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def check_document(app: Application, document: dict[str, Any]) -> None:
    """The record is the one that was written, and why it is here."""
    change = document["record"]["dynamodb"]
    assert change["NewImage"] == {
        **POISON,
        "bytes": {"B": base64.b64encode(POISON["bytes"]["B"]).decode()},
    }
    assert change["OldImage"] == _item("poison", 1)
    assert document["requestContext"]["condition"] == "RetryAttemptsExhausted"
    assert document["requestContext"]["approximateInvokeCount"] == RETRIES + 1
    assert document["error"]["message"] == "the search index refuses it"
    assert document["tableName"] == app.properties["sourceTable"]
    assert len(app.lines("given up after 4 attempts, RetryAttemptsExhausted")) == 1


def delay_of_neighbours(app: Application, sequence_number: str) -> float:
    """How long after the poison's first failure the records of other keys next to it were handled."""
    first = next(
        entry.monotonic_seconds
        for entry in app.history.entries()
        if isinstance(entry, Mark) and entry.kind == "poison"
    )
    others = [entry for entry in app.history.handled() if entry.key != "poison"]
    before = sorted((each for each in others if place_of(each) < int(sequence_number)), key=place_of)
    behind = sorted((each for each in others if place_of(each) > int(sequence_number)), key=place_of)
    return max(entry.monotonic_seconds for entry in [*before[-10:], *behind[:10]]) - first


def place_of(entry: Handled) -> int:
    """Where a change is in its shard."""
    return int(entry.sequence_number)


# --- A kill between parking and acknowledgement ---


@pytest.mark.parametrize("victim", ["worker", "jvm", "launcher"])
@pytest.mark.fault(4)
def test_killed_while_it_is_parked_a_record_is_parked_all_the_same(
    application: MakeApplication, writer: Writer, tmp_path: Path, victim: str
) -> None:
    """Before it is in its place and after that: the checkpoint has not passed it, and the next worker parks it."""
    app = application(
        sourceTable=writer.table,
        processor="handlers:StopsParking",
        maximumRetryAttempts=1,
        retryBackoffMillis=20,
        failoverTimeMillis=2000,
        checkpointIntervalMillis=200,
        **folder(tmp_path).properties,
    )
    hold, holding = app.folder / "hold", app.folder / "holding"
    app.start()
    for moment in ("before", "after"):
        hold.write_text(moment)
        writer.others(20)
        writer.poison(f"poison {moment}")
        writer.others(20)
        wait_until(holding.exists, 90, "a record on its way to its destination")
        keys = ["poison before", "poison after"] if moment == "after" else []
        assert sorted(parked_keys(app)) == sorted(keys)
        worker, jvm = app.a_worker(), app.daemon_pid()
        pid = {"worker": worker, "jvm": jvm, "launcher": app.pid}[victim]
        with app.disruption(f"{victim} killed"):
            kill(pid)
            if victim == "launcher":
                app.wait()
            dead = {"worker": [worker], "jvm": [worker, jvm], "launcher": [worker, jvm]}[victim]
            wait_until(lambda pids=dead: not any(map(is_alive, pids)), 30, "the end of its processes")  # type: ignore[misc]
        assert last_before_poison(app, f"poison {moment}") >= checkpoint(app)
        hold.unlink()
        holding.unlink()
        if victim == "launcher":
            app.start()
        app.wait_until_handled(writer.total)
    assert app.drain() == 0
    app.check(writer.written)
    assert sorted(parked_keys(app)) == ["poison after", "poison before"]
    assert len(app.lines("given up after")) == 2


def last_before_poison(app: Application, key: str) -> int:
    """The sequence number of the change before the poison."""
    (number,) = {int(entry.sequence_number) for entry in app.history.handled() if entry.key == key}
    return number


def checkpoint(app: Application) -> int:
    """How far the shard is checkpointed; 0 if it is not."""
    (row,) = app.leases()
    return int(row["checkpoint"]) if row["checkpoint"].isdigit() else 0


def parked_keys(app: Application) -> list[str]:
    """The keys of what is in the folder."""
    files = (app.folder / "parked").rglob("[!.]*.json")
    return [json.loads(file.read_text())["record"]["dynamodb"]["Keys"]["pk"]["S"] for file in files]


# --- A destination that is down ---


class BrokenFolder:
    """A folder in whose place there is something else for a while."""

    def __init__(self, parent: Path) -> None:
        self._folder, self._aside = parent / "parked", parent / "aside"
        self.place = folder(parent)

    def break_(self) -> None:
        """Put a file in its place."""
        self._folder.rename(self._aside)
        self._folder.touch()

    def mend(self) -> None:
        """Put it back."""
        self._folder.unlink()
        self._aside.rename(self._folder)

    def close(self) -> None:
        """There is nothing to close."""


class BrokenServer:
    """A bucket on a server that is gone for a while."""

    def __init__(self) -> None:
        self._server = AwsServer(free_port()).__enter__()  # the same port after it has been away
        self._create()
        self.place = Place(
            {"onFailureDestination": "s3://failed"},
            environment={**self._server.environment(), "AWS_MAX_ATTEMPTS": "1"},
        )

    def _create(self) -> None:
        self._server.client("s3").create_bucket(
            Bucket="failed", CreateBucketConfiguration={"LocationConstraint": AwsServer.region}
        )

    def break_(self) -> None:
        """End it."""
        self._server.stop()

    def mend(self) -> None:
        """Start it again, with a bucket as before."""
        self._server.__enter__()
        self._create()

    def close(self) -> None:
        """End it for good."""
        self._server.stop()


@pytest.fixture(params=["folder", "server"])
def broken(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BrokenFolder | BrokenServer]:
    """Give a place that can be broken."""
    made = BrokenFolder(tmp_path) if request.param == "folder" else BrokenServer()
    yield made
    made.close()


@pytest.mark.fault(4)
def test_while_its_destination_is_down_a_record_waits_and_other_keys_go_on(
    application: MakeApplication, writer: Writer, broken: BrokenFolder | BrokenServer
) -> None:
    """Loudly: nothing is passed over, the checkpoint stays before it; once the destination is back it is parked."""
    app = application(
        sourceTable=writer.table,
        processor="handlers:Poisoned",
        parallelizationFactor=10,
        maximumRetryAttempts=1,
        retryBackoffMillis=50,
        maximumRetryBackoffMillis=500,
        checkpointIntervalMillis=200,
        **broken.place.properties,
    )
    app.environment |= broken.place.environment
    app.start_and_wait()
    broken.break_()
    writer.others(100)
    writer.poison()
    writer.others(100)
    line = app.wait_for_line("onFailureDestination did not take it", count=3)
    assert line["level"] == "ERROR"
    assert "next attempt in" in line["message"]
    app.wait_until_handled(writer.total - 1)
    writer.others(20)
    app.wait_until_handled(writer.total - 1)
    before = last_before_poison(app, "poison")
    wait_until(lambda: checkpoint(app) == before, 30, "the checkpoint before it")
    assert app.lines("given up after") == []
    broken.mend()
    app.wait_until_handled(writer.total)
    assert app.drain() == 0
    assert app.check(writer.written).repeats == []
    assert checkpoint(app) > before
    document = the_only_one(app)
    assert document["record"]["dynamodb"]["Keys"] == {"pk": {"S": "poison"}}
    assert document["requestContext"]["approximateInvokeCount"] == 2


def test_a_drain_ends_the_wait_for_a_destination_and_the_next_start_goes_on_there(
    application: MakeApplication, writer: Writer, tmp_path: Path
) -> None:
    """Nothing is acknowledged past what is not parked; a start without the destination is refused in one line."""
    broken = BrokenFolder(tmp_path)
    app = application(
        sourceTable=writer.table,
        processor="handlers:Poisoned",
        maximumRetryAttempts=0,
        retryBackoffMillis=50,
        **broken.place.properties,
    ).start_and_wait()
    broken.break_()
    writer.others(20)
    writer.poison()
    app.wait_for_line("onFailureDestination did not take it")
    assert app.drain() == 0
    assert checkpoint(app) == last_before_poison(app, "poison")
    assert app.start().wait() == 2
    (line,) = app.lines(
        f"onFailureDestination: {tmp_path}/parked cannot be written: Not a directory; name a folder"
    )
    assert line == app.lines()[-1]
    broken.mend()
    app.start().wait_until_handled(writer.total)
    assert app.drain() == 0
    assert app.check(writer.written).repeats == []
    assert parked_keys(app) == ["poison"]
