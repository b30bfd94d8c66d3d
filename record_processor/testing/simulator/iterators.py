"""Shard iterators: the simulator keeps none, each says itself where it stands and when it was made."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Final

from record_processor.testing.aws_errors import AwsError

LIFETIME_SECONDS: Final = 15 * 60
"""https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_GetShardIterator.html"""


@dataclass(frozen=True, slots=True)
class ShardIterator:
    """A position in a shard."""

    stream_arn: str
    shard_id: str
    position: int
    """What follows this sequence number comes next."""
    made_millis: int
    """When it was made, by the virtual clock, in milliseconds since the epoch."""
    empty_pages: int
    """How many empty pages have been given in a row."""

    def encode(self) -> str:
        """Return it as it goes over the wire."""
        fields = f"{self.shard_id} {self.position} {self.made_millis} {self.empty_pages}"
        return f"{self.stream_arn}|1|{base64.b64encode(fields.encode('ascii')).decode('ascii')}"


def decode_iterator(text: str) -> ShardIterator:
    """Return what `encode` wrote. Raises AwsError, a ValidationException."""
    stream_arn, _, encoded = text.partition("|1|")
    try:
        fields = base64.b64decode(encoded, validate=True).decode("ascii")
        shard_id, position, made_millis, empty_pages = fields.split(" ")
        return ShardIterator(stream_arn, shard_id, int(position), int(made_millis), int(empty_pages))
    except (binascii.Error, ValueError):
        raise AwsError("ValidationException", "Invalid ShardIterator") from None
