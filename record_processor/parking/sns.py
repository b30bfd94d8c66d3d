"""`sns://ARN`: one message for each parked record."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from record_processor.errors import ConfigurationError
from record_processor.parking.clients import LazyClient, told
from record_processor.parking.destination import Destination, Entry, Foreign
from record_processor.parking.messages import attributes_of, size_bytes
from record_processor.parking.overflow import Overflow
from record_processor.parking.parked import Parked

_LARGEST_MESSAGE_BYTES: Final = 256 * 1024


class SnsDestination(Destination):
    """A topic passes records on and keeps none: they are read from a queue that subscribes to it."""

    def __init__(self, arn: str, client: LazyClient, overflow: Overflow) -> None:
        """Take the topic's ARN and a client for its region; nothing is called yet."""
        self._arn = arn
        self._client = client
        self._overflow = overflow

    def check(self) -> None:
        """Find out whether the topic is there."""
        name = self._arn.rpartition(":")[2]
        nothing = (
            f"there is no topic {self._arn}; create it: "
            f"aws sns create-topic --name {name} --region {self._client.region_name}"
        )
        with told(f"topic {name}", {"NotFound": nothing, "NotFoundException": nothing}):
            self._client().get_topic_attributes(TopicArn=self._arn)
        self._overflow.check()

    def put(self, parked: Parked) -> None:
        """Publish the record."""
        attributes = attributes_of(parked)
        message = self._overflow.fit(
            parked, lambda text: size_bytes(text, attributes) <= _LARGEST_MESSAGE_BYTES
        )
        self._client().publish(TopicArn=self._arn, Message=message, MessageAttributes=attributes)

    def entries(self) -> Iterator[Entry | Foreign]:
        """Raise ConfigurationError."""
        raise self._cannot_be_read()

    def delete(self, entry: Entry) -> None:
        """Raise ConfigurationError."""
        raise self._cannot_be_read()

    def _cannot_be_read(self) -> ConfigurationError:
        return ConfigurationError(
            f"a topic keeps nothing: subscribe a queue to {self._arn}, and name the queue as "
            "onFailureDestination in a copy of this file"
        )
