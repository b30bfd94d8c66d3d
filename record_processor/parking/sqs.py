"""`sqs://queue`: one message for each parked record."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from threading import Lock
from typing import Any, Final, NamedTuple

from record_processor.errors import ConfigurationError
from record_processor.parking.clients import LazyClient, told
from record_processor.parking.destination import Destination, Entry, Foreign
from record_processor.parking.held import HeldMessages
from record_processor.parking.messages import attributes_of, size_bytes
from record_processor.parking.overflow import Overflow
from record_processor.parking.parked import Parked, from_text

_LEAST_MAXIMUM_BYTES: Final = 128 * 1024
"""A document without its record is smaller, whatever the exception said."""
_WAIT_SECONDS: Final = 1
"""Long polling asks all of SQS's servers: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/\
SQSDeveloperGuide/sqs-short-and-long-polling.html"""
_AT_ONCE: Final = 10


class _Queue(NamedTuple):
    """A queue as it was found."""

    url: str
    largest_message_bytes: int


class SqsDestination(Destination):
    """A queue of ours, or one that is subscribed to our topic: SNS may wrap what it passes on."""

    def __init__(self, name: str, client: LazyClient, overflow: Overflow) -> None:
        """Take the queue's name or ARN, and a client for its region; nothing is called yet."""
        self._arn = name if name.startswith("arn:") else ""
        self._name = name.rpartition(":")[2]
        self._client = client
        self._overflow = overflow
        self._found: _Queue | None = None
        self._lock = Lock()
        self._held = HeldMessages(client)

    def check(self) -> None:
        """Find out whether the queue is there and takes messages that are large enough."""
        fifo = " --attributes FifoQueue=true" if self._is_fifo else ""
        nothing = (
            f"there is no queue {self._arn or self._name} in {self._client.region_name}; create it: "
            f"aws sqs create-queue --queue-name {self._name}{fifo} --region {self._client.region_name}"
        )
        codes = ("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist")
        with told(f"queue {self._name}", dict.fromkeys(codes, nothing)):
            queue = self._queue()
        if queue.largest_message_bytes < _LEAST_MAXIMUM_BYTES:
            raise ConfigurationError(
                f"queue {self._name} takes messages of {queue.largest_message_bytes} bytes only; "
                f"set its MaximumMessageSize to {_LEAST_MAXIMUM_BYTES} or more"
            )
        self._overflow.check()

    def put(self, parked: Parked) -> None:
        """Send the record."""
        queue, attributes = self._queue(), attributes_of(parked)
        body = self._overflow.fit(
            parked, lambda text: size_bytes(text, attributes) <= queue.largest_message_bytes
        )
        order = (
            {"MessageGroupId": parked.shard_id or "none", "MessageDeduplicationId": parked.id}
            if self._is_fifo
            else {}
        )
        self._client().send_message(
            QueueUrl=queue.url, MessageBody=body, MessageAttributes=attributes, **order
        )

    def entries(self) -> Iterator[Entry | Foreign]:
        """Receive until nothing comes any more; of a FIFO queue's shard, SQS shows ten at a time."""
        url = self._queue().url
        receive = partial(
            self._client().receive_message,
            QueueUrl=url,
            MaxNumberOfMessages=_AT_ONCE,
            VisibilityTimeout=self._held.hide_seconds,
            WaitTimeSeconds=_WAIT_SECONDS,
        )
        while messages := receive().get("Messages"):
            new = [message for message in messages if self._held.hold(url, message)]
            for message in new:
                yield self._read(message)

    def delete(self, entry: Entry) -> None:
        """Remove the message, then what it refers to."""
        self._client().delete_message(QueueUrl=self._queue().url, ReceiptHandle=self._held.take(entry.handle))
        self._overflow.delete(entry)

    def release(self) -> None:
        """Let others see what was listed and not deleted."""
        self._held.give_back()

    @property
    def _is_fifo(self) -> bool:
        return self._name.endswith(".fifo")

    def _queue(self) -> _Queue:
        """Look the queue up, once. Raises what boto3 does."""
        with self._lock:
            if self._found is None:
                self._found = self._look_up()
            return self._found

    def _look_up(self) -> _Queue:
        client = self._client()
        owner = {"QueueOwnerAWSAccountId": self._arn.split(":")[4]} if self._arn else {}
        url = client.get_queue_url(QueueName=self._name, **owner)["QueueUrl"]
        asked = ["MaximumMessageSize"]
        attributes = client.get_queue_attributes(QueueUrl=url, AttributeNames=asked)["Attributes"]
        return _Queue(url, int(attributes["MaximumMessageSize"]))

    def _read(self, message: dict[str, Any]) -> Entry | Foreign:
        where = f"sqs://{self._name}, message {message['MessageId']}"
        return self._overflow.entry(_unwrapped(message["Body"]), where, message["MessageId"])


def _unwrapped(body: str) -> str:
    """Return what was published, if this is a message as SNS wraps it; else what it is."""
    try:
        document = from_text(body)
    except ValueError:
        return body
    inner = document.get("Message")
    return inner if document.get("Type") == "Notification" and isinstance(inner, str) else body
