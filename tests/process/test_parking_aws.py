"""The destinations s3://, sqs:// and sns://, on moto as a server."""

from __future__ import annotations

import json
import os
import secrets
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from record_processor.aws import Aws
from record_processor.errors import ConfigurationError, StartError
from record_processor.parking import Destination, Entry, Foreign, Parked, destination_at
from record_processor.parking.sqs import SqsDestination
from record_processor.testing import wait_until
from record_processor.testing.aws_server import AwsServer
from tests.destination_suite import DestinationSuite, Place, read, records
from tests.parked_records import parked

LARGE = "x" * 1024 * 1024
"""More than a queue takes."""


@pytest.fixture(scope="module")
def aws() -> Iterator[AwsServer]:
    """Give a server for all tests of this module."""
    with AwsServer() as server:
        yield server


@pytest.fixture(autouse=True)
def environment(aws: AwsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every client reach the server."""
    for name, value in aws.environment().items():
        monkeypatch.setenv(name, value)


@pytest.fixture(autouse=True)
def nothing_is_held() -> Iterator[None]:
    """See that a test gives back what it read: its thread would go on beside other tests."""
    yield
    assert not [thread for thread in threading.enumerate() if thread.name == "held messages"]


@pytest.fixture
def bucket(aws: AwsServer) -> str:
    """Give the name of an empty bucket."""
    name = f"bucket-{secrets.token_hex(6)}"
    aws.client("s3").create_bucket(
        Bucket=name, CreateBucketConfiguration={"LocationConstraint": AwsServer.region}
    )
    return name


@pytest.fixture
def queue(aws: AwsServer) -> str:
    """Give the URL of an empty queue."""
    return make_queue(aws)


def make_queue(aws: AwsServer, suffix: str = "", **attributes: str) -> str:
    """Create a queue; return its URL."""
    name = f"queue-{secrets.token_hex(6)}{suffix}"
    url: str = aws.client("sqs").create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    return url


def name_of(url: str) -> str:
    """Return the name of the queue at a URL."""
    return url.rpartition("/")[2]


def at(url: str, overflow: str | None = None) -> Destination:
    """Return a destination."""
    return destination_at(url, overflow, Aws(AwsServer.region))


def on_a_dead_port(url: str, overflow: str | None = None) -> Destination:
    """Return a destination whose client was made for a port where nobody listens."""
    destination: Any = at(url, overflow)
    before = os.environ["AWS_ENDPOINT_URL"]
    os.environ["AWS_ENDPOINT_URL"] = "http://127.0.0.1:1"
    try:
        bucket = getattr(destination, "_bucket", None)
        (bucket or destination)._client()
    finally:
        os.environ["AWS_ENDPOINT_URL"] = before
    return destination  # type: ignore[no-any-return]


def empty_bucket(client: Any, bucket: str) -> None:
    """Remove every object."""
    for found in client.list_objects_v2(Bucket=bucket).get("Contents", ()):
        client.delete_object(Bucket=bucket, Key=found["Key"])


class TestS3(DestinationSuite):
    """The suite, in a bucket."""

    @pytest.fixture
    def place(self, aws: AwsServer, bucket: str) -> Place:
        """Give an empty bucket."""
        client = aws.client("s3")
        numbers = iter(range(1000))

        def add_foreign(text: str) -> None:
            client.put_object(Bucket=bucket, Key=f"failed/{next(numbers)}", Body=text.encode())

        destination = at(f"s3://{bucket}/failed")
        return Place(
            destination,
            destination,
            add_foreign,
            lambda: at("s3://no-such-bucket/failed"),
            lambda: on_a_dead_port(f"s3://{bucket}/failed"),
            begin=lambda: empty_bucket(client, bucket),
        )

    def test_a_key_names_application_table_shard_and_record(self, aws: AwsServer, bucket: str) -> None:
        """And the type is JSON's; a folder that a console made is no record."""
        client = aws.client("s3")
        client.put_object(Bucket=bucket, Key="failed/", Body=b"")
        at(f"s3://{bucket}/failed").put(parked("100"))
        at(f"s3://{bucket}").put(parked("101"))
        keys = [found["Key"] for found in client.list_objects_v2(Bucket=bucket)["Contents"]]
        path = f"orders-to-search/orders/{parked().shard_id}"
        assert sorted(keys) == ["failed/", f"failed/{path}/100.json", f"{path}/101.json"]
        found = client.get_object(Bucket=bucket, Key=f"{path}/101.json")
        assert found["ContentType"] == "application/json"
        assert json.loads(found["Body"].read()) == parked("101").to_json()
        assert records(at(f"s3://{bucket}/failed")) == [parked("100")]


def _empty_queue(client: Any, url: str) -> None:
    while messages := client.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        for message in messages:
            client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


def _queue_place(aws: AwsServer, bucket: str, url: str, send: Any = None, **order: str) -> Place:
    """Return a place that is a queue, with a bucket for what is too large."""
    client, overflow = aws.client("sqs"), f"s3://{bucket}/large"
    destination = at(f"sqs://{name_of(url)}", overflow)

    def add_foreign(text: str) -> None:
        more = {name: value or secrets.token_hex(8) for name, value in order.items()}
        client.send_message(QueueUrl=url, MessageBody=text, **more)

    return Place(
        send or destination,
        destination,
        add_foreign,
        lambda: at(f"sqs://no-such-queue{'.fifo' if order else ''}", overflow),
        lambda: on_a_dead_port(f"sqs://{name_of(url)}", overflow),
        overwrites=False,
        begin=lambda: _empty_queue(client, url),
    )


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait for messages: moto has them at once."""
    monkeypatch.setattr("record_processor.parking.sqs._WAIT_SECONDS", 0)


@pytest.mark.usefixtures("quick")
class TestSqs(DestinationSuite):
    """The suite, in a queue."""

    EXAMPLES = 10

    @pytest.fixture
    def place(self, aws: AwsServer, bucket: str, queue: str) -> Place:
        """Give an empty queue."""
        return _queue_place(aws, bucket, queue)


@pytest.mark.usefixtures("quick")
class TestSnsToSqs(DestinationSuite):
    """The suite, through a topic, from a queue that subscribes to it: messages are wrapped."""

    EXAMPLES = 10
    IS_RAW = "false"

    @pytest.fixture
    def place(self, aws: AwsServer, bucket: str, queue: str) -> Place:
        """Give a topic with a queue."""
        client = aws.client("sns")
        topic = client.create_topic(Name=f"topic-{secrets.token_hex(6)}")["TopicArn"]
        asked = {"QueueUrl": queue, "AttributeNames": ["QueueArn"]}
        arn = aws.client("sqs").get_queue_attributes(**asked)["Attributes"]["QueueArn"]
        subscription = client.subscribe(
            TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": self.IS_RAW}
        )
        assert subscription["SubscriptionArn"]
        overflow = f"s3://{bucket}/large"
        place = _queue_place(aws, bucket, queue, send=at(f"sns://{topic}", overflow))
        place.missing = lambda: at(f"sns://{topic}-no-such", overflow)
        place.unreachable = lambda: on_a_dead_port(f"sns://{topic}", overflow)
        return place

    def test_a_topic_cannot_be_listed(self, place: Place) -> None:
        """What to do instead is said."""
        for attempt in (
            place.destination.entries,
            lambda: place.destination.delete(Entry(parked(), "", "")),
        ):
            with pytest.raises(ConfigurationError, match="subscribe a queue to arn:aws:sns:"):
                attempt()


class TestSnsToSqsRaw(TestSnsToSqs):
    """The same with raw delivery: messages are as they were sent."""

    IS_RAW = "true"


# --- What only queues do ---


@pytest.mark.usefixtures("quick")
def test_a_fifo_queue_keeps_a_shards_order_and_drops_repeats(aws: AwsServer, bucket: str) -> None:
    """The shard is the group, and what is parked twice within five minutes is there once."""
    url = make_queue(aws, ".fifo", FifoQueue="true")
    destination = at(f"sqs://{name_of(url)}", f"s3://{bucket}")
    destination.check()
    for number in ("1", "2", "3", "2"):
        destination.put(parked(number))
    assert [each.sequence_number for each in records(destination)] == ["1", "2", "3"]
    received = aws.client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10, AttributeNames=["All"])
    bodies = [Parked.from_json(json.loads(each["Body"])) for each in received["Messages"]]
    assert [each.sequence_number for each in bodies] == ["1", "2", "3"]
    assert {each["Attributes"]["MessageGroupId"] for each in received["Messages"]} == {parked().shard_id}


def test_a_queue_is_found_by_its_arn(aws: AwsServer, bucket: str) -> None:
    """In the region of the ARN, whatever the properties file's."""
    sqs = aws.client("sqs")
    name = f"queue-{secrets.token_hex(6)}"
    elsewhere = Aws("us-west-2")
    sqs_there = elsewhere.client("sqs")
    sqs_there.create_queue(QueueName=name)
    arn = f"arn:aws:sqs:us-west-2:{AwsServer.account}:{name}"
    destination = at(f"sqs://{arn}", f"s3://{bucket}")
    destination.check()
    destination.put(parked())
    with pytest.raises(sqs.exceptions.QueueDoesNotExist):
        sqs.get_queue_url(QueueName=name)
    assert "Messages" in sqs_there.receive_message(
        QueueUrl=sqs_there.get_queue_url(QueueName=name)["QueueUrl"]
    )


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("maximum", [128 * 1024, 256 * 1024])
def test_a_message_is_filled_to_the_last_byte(maximum: int, aws: AwsServer, bucket: str) -> None:
    """With the queue's own limit exactly, attributes included, a record goes in the message; one more, and not."""
    url = make_queue(aws, MaximumMessageSize=str(maximum))
    client, destination = aws.client("sqs"), at(f"sqs://{name_of(url)}", f"s3://{bucket}/large")

    def sent(given: Parked) -> tuple[int, dict[str, Any]]:
        destination.put(given)
        (message,) = client.receive_message(QueueUrl=url, MessageAttributeNames=["All"])["Messages"]
        client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        attributes = sum(
            len(name) + len("String") + len(each["StringValue"])
            for name, each in message["MessageAttributes"].items()
        )
        return len(message["Body"].encode()) + attributes, json.loads(message["Body"])

    empty, _ = sent(parked(data=""))
    full, document = sent(parked(data="x" * (maximum - empty)))
    assert full == maximum
    assert "record" in document
    over, document = sent(parked(data="x" * (maximum - empty + 1)))
    assert over < 2_000
    assert "record" not in document
    assert document["recordLocation"] == f"s3://{bucket}/large/{parked().path}"


def test_the_largest_error_fits_without_its_record(aws: AwsServer, bucket: str) -> None:
    """The smallest queue that check() accepts takes the longest message and traceback."""
    url = make_queue(aws, MaximumMessageSize=str(128 * 1024))
    destination = at(f"sqs://{name_of(url)}", f"s3://{bucket}/large")
    destination.check()
    destination.put(parked(data="x" * 200_000, error=ValueError("🐢" * 100_000)))


def test_a_queue_for_small_messages_is_refused(aws: AwsServer, bucket: str) -> None:
    """Else a record would be tried for ever."""
    url = make_queue(aws, MaximumMessageSize="1024")
    with pytest.raises(ConfigurationError, match="takes messages of 1024 bytes only; set its Max"):
        at(f"sqs://{name_of(url)}", f"s3://{bucket}").check()


def test_messages_can_be_filtered_by_their_attributes(aws: AwsServer, bucket: str, queue: str) -> None:
    """Application, condition and table are there without opening the body; nothing of the item is."""
    at(f"sqs://{name_of(queue)}", f"s3://{bucket}").put(parked(pk="canary"))
    (message,) = aws.client("sqs").receive_message(QueueUrl=queue, MessageAttributeNames=["All"])["Messages"]
    assert {name: each["StringValue"] for name, each in message["MessageAttributes"].items()} == {
        "applicationName": "orders-to-search",
        "condition": "RetryAttemptsExhausted",
        "tableName": "orders",
    }


@pytest.mark.usefixtures("quick")
def test_what_is_listed_is_hidden_until_it_is_released(aws: AwsServer, bucket: str, queue: str) -> None:
    """Two people who redrive do not get the same record; what is left is there for the next at once."""
    url, overflow = f"sqs://{name_of(queue)}", f"s3://{bucket}"
    ours, theirs = at(url, overflow), at(url, overflow)
    ours.put(parked())
    assert len(list(ours.entries())) == 1
    assert list(theirs.entries()) == []
    ours.release()
    assert len(read(theirs)[0]) == 1


@pytest.mark.usefixtures("quick")
def test_what_is_read_for_long_stays_hidden(aws: AwsServer, bucket: str, queue: str) -> None:
    """A redrive may take longer than SQS hides a message."""
    url, overflow = f"sqs://{name_of(queue)}", f"s3://{bucket}"
    ours, theirs = at(url, overflow), at(url, overflow)
    assert isinstance(ours, SqsDestination)
    hidden: list[dict[str, str]] = []
    ours._held.hide_seconds = 1
    ours.put(parked())
    (entry,) = ours.entries()
    client = ours._client()
    client.meta.events.register("before-call.sqs.ChangeMessageVisibilityBatch", lambda **_: hidden.append({}))
    wait_until(lambda: len(hidden) >= 5, what="SQS told to hide it further")
    assert list(theirs.entries()) == []
    assert isinstance(entry, Entry)
    ours.delete(entry)
    ours.release()
    assert list(theirs.entries()) == []


# --- What is too large ---


@pytest.mark.usefixtures("quick")
def test_a_message_that_names_anothers_object_is_not_followed(
    aws: AwsServer, bucket: str, queue: str
) -> None:
    """Who may send to the queue cannot have us read or delete what they cannot."""
    client, s3 = aws.client("sqs"), aws.client("s3")
    s3.put_object(Bucket=bucket, Key="secret", Body=b"{}")
    document = parked().to_json()
    del document["record"]
    document["recordLocation"] = f"s3://{bucket}/secret"
    client.send_message(QueueUrl=queue, MessageBody=json.dumps(document))
    entries, (foreign,) = read(at(f"sqs://{name_of(queue)}", f"s3://{bucket}/large"))
    assert entries == []
    assert "its record is not where onFailureOverflow would have it" in foreign.reason


@pytest.mark.usefixtures("quick")
def test_a_record_that_is_gone_is_told(aws: AwsServer, bucket: str, queue: str) -> None:
    """A message whose record somebody removed is reported, and nothing breaks."""
    destination = at(f"sqs://{name_of(queue)}", f"s3://{bucket}")
    destination.put(parked(data=LARGE))
    empty_bucket(aws.client("s3"), bucket)
    entries, (foreign,) = read(destination)
    assert entries == []
    assert foreign.reason == f"its record, s3://{bucket}/{parked().path}: it is gone"


@pytest.mark.usefixtures("quick")
def test_without_its_bucket_nothing_is_sent(aws: AwsServer, queue: str) -> None:
    """The record goes first: no message may say where there is nothing."""
    destination = at(f"sqs://{name_of(queue)}", "s3://no-such-bucket")
    with pytest.raises(ClientError, match="NoSuchBucket"):
        destination.put(parked(data=LARGE))
    assert read(destination) == ([], [])
    with pytest.raises(ConfigurationError, match="there is no bucket no-such-bucket; create it: aws s3 mb"):
        destination.check()


@pytest.mark.usefixtures("quick")
def test_the_message_goes_before_its_record(aws: AwsServer, bucket: str, queue: str) -> None:
    """If deleting ends between the two, what is left is an object that nothing names."""
    destination = at(f"sqs://{name_of(queue)}", f"s3://{bucket}")
    assert isinstance(destination, SqsDestination)
    destination.put(parked(data=LARGE))
    (entry,) = destination.entries()
    assert isinstance(entry, Entry)
    s3 = destination._overflow._bucket._client()

    def fail(**_more: Any) -> None:
        raise BotoCoreError

    s3.meta.events.register("before-call.s3.DeleteObject", fail)
    with pytest.raises(BotoCoreError):
        destination.delete(entry)
    destination.release()
    assert read(destination) == ([], [])
    assert aws.client("s3").list_objects_v2(Bucket=bucket)["KeyCount"] == 1


# --- What people read ---


def test_every_missing_place_says_how_to_create_it(aws: AwsServer, bucket: str) -> None:
    """The command in the line creates it: word for word."""
    overflow = f"s3://{bucket}"
    account = AwsServer.account
    lines = {
        "s3://no-bucket": "there is no bucket no-bucket; create it: aws s3 mb s3://no-bucket --region eu-west-1",
        "sqs://no-queue": "there is no queue no-queue in eu-west-1; create it: "
        "aws sqs create-queue --queue-name no-queue --region eu-west-1",
        "sqs://no-queue.fifo": "there is no queue no-queue.fifo in eu-west-1; create it: "
        "aws sqs create-queue --queue-name no-queue.fifo --attributes FifoQueue=true --region eu-west-1",
        f"sns://arn:aws:sns:us-west-2:{account}:no-topic": f"there is no topic arn:aws:sns:us-west-2:{account}:"
        "no-topic; create it: aws sns create-topic --name no-topic --region us-west-2",
    }
    for url, line in lines.items():
        with pytest.raises(ConfigurationError) as told:
            at(url, overflow).check()
        assert str(told.value) == line


def test_no_credentials_is_one_line(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And no stack trace of boto3's."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(StartError, match="there are no AWS credentials"):
        at(f"s3://{bucket}").check()


@pytest.mark.parametrize(
    ("code", "line"),
    [
        ("AccessDenied", "queue q: AWS denies GetQueueUrl; allow it, as docs/parking.md lists"),
        ("ExpiredToken", r"queue q: AWS refuses the credentials \(ExpiredToken\); renew them"),
        ("Throttled", "queue q: GetQueueUrl failed with Throttled: slow down"),
    ],
)
def test_what_aws_refuses_is_one_line(code: str, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The action that is denied is named."""
    destination = at("sqs://q", "s3://bucket")
    assert isinstance(destination, SqsDestination)

    def refuse(**_more: Any) -> None:
        raise ClientError({"Error": {"Code": code, "Message": "slow down"}}, "GetQueueUrl")

    destination._client().meta.events.register("before-call.sqs.GetQueueUrl", refuse)
    with pytest.raises(StartError, match=line):
        destination.check()


def test_discard_keeps_nothing(tmp_path: Path) -> None:
    """Everything is accepted, nothing can be read."""
    destination = at("discard")
    destination.check()
    destination.put(parked())
    with pytest.raises(ConfigurationError, match="discard keeps nothing"):
        destination.entries()


def test_a_foreign_message_says_where_it_is() -> None:
    """So that people can find it."""
    assert Foreign("sqs://q, message 1", "it is no JSON").where == "sqs://q, message 1"
