"""Makes stream records for tests: `records.insert({"pk": "1"}, {"status": "open"})`.

Each is a real `Record`. Unless the test says otherwise it is the next one of its shard: sequence numbers rise
from one call to the next, and the time is now, to the second, as DynamoDB rounds it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timezone
from itertools import count
from typing import TYPE_CHECKING, Any, Final, TypedDict

from record_processor.record import Record
from record_processor.values import Value, encode_item

if TYPE_CHECKING:
    from typing_extensions import Unpack

REGION: Final = "eu-west-1"
"""The region of all records."""
ACCOUNT: Final = "123456789012"
"""The account in their ARNs."""
SHARD_ID: Final = "shardId-00000001700000000000-a1b2c3d4"
"""The shard that records are of unless said otherwise."""

Item = Mapping[str, Value]
"""Attributes as `Record` shows them; with `dynamodb_json`, as `{"S": "…"}` and so on."""

_TTL: Final = {"type": "Service", "principalId": "dynamodb.amazonaws.com"}
"""https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/time-to-live-ttl-streams.html"""
_CARRIED: Final = {
    "KEYS_ONLY": (),
    "NEW_IMAGE": ("NewImage",),
    "OLD_IMAGE": ("OldImage",),
    "NEW_AND_OLD_IMAGES": ("NewImage", "OldImage"),
}
"""The images that a stream carries, by its StreamViewType."""
_numbers: Final = count(100_000_000_000_000_000_001)
"""As many digits as DynamoDB's have."""


class Details(TypedDict, total=False):
    """What a test may want to say about a record; all of it is optional."""

    stream_view_type: str
    """`KEYS_ONLY`, `NEW_IMAGE`, `OLD_IMAGE` or `NEW_AND_OLD_IMAGES`, which it is unless said otherwise."""
    table_name: str
    """`orders` unless said otherwise."""
    shard_id: str
    sequence_number: str
    created_at: datetime
    """With a time zone; without one it is UTC."""
    fencing_token: int
    model: type[Any]
    """What the images become objects of, for a record that is not given to `run`."""
    dynamodb_json: bool
    """Whether keys and images are in DynamoDB's JSON."""


def insert(keys: Item, new_image: Item | None = None, **details: Unpack[Details]) -> Record[Any]:
    """Return the record of an item that was added. An image always has the keys in it, too.

    Raises TypeError for a value that DynamoDB does not have, such as a float, as boto3 does.
    """
    return _record("INSERT", keys, {"NewImage": new_image}, **details)


def modify(
    keys: Item,
    old_image: Item | None = None,
    new_image: Item | None = None,
    **details: Unpack[Details],
) -> Record[Any]:
    """Return the record of an item that was changed, from the old image to the new one; as `insert`."""
    return _record("MODIFY", keys, {"OldImage": old_image, "NewImage": new_image}, **details)


def remove(keys: Item, old_image: Item | None = None, **details: Unpack[Details]) -> Record[Any]:
    """Return the record of an item that a client deleted; as `insert`."""
    return _record("REMOVE", keys, {"OldImage": old_image}, **details)


def ttl_delete(keys: Item, old_image: Item | None = None, **details: Unpack[Details]) -> Record[Any]:
    """Return the record of an item that DynamoDB's time to live deleted; as `insert`."""
    return _record("REMOVE", keys, {"OldImage": old_image}, _TTL, **details)


def _record(
    event_name: str,
    keys: Item,
    images: Mapping[str, Item | None],
    user_identity: Mapping[str, str] | None = None,
    *,
    stream_view_type: str = "NEW_AND_OLD_IMAGES",
    table_name: str = "orders",
    shard_id: str = SHARD_ID,
    sequence_number: str | None = None,
    created_at: datetime | None = None,
    fencing_token: int = 0,
    model: type[Any] | None = None,
    dynamodb_json: bool = False,
) -> Record[Any]:
    if stream_view_type not in _CARRIED:
        raise ValueError(f"stream_view_type must be one of {', '.join(_CARRIED)}, not {stream_view_type!r}")
    number = str(next(_numbers)) if sequence_number is None else sequence_number
    items = {"Keys": keys} | {
        name: {**keys, **(image or {})}
        for name, image in images.items()
        if name in _CARRIED[stream_view_type]
    }
    written = items if dynamodb_json else {name: _encoded(item) for name, item in items.items()}
    event = {
        "eventID": f"{int(number):032x}",
        "eventName": event_name,
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": REGION,
        "dynamodb": {
            "ApproximateCreationDateTime": _seconds(created_at),
            **written,
            "SequenceNumber": number,
            "SizeBytes": sum(len(json.dumps(item)) for item in written.values()),
            "StreamViewType": stream_view_type,
        },
        "eventSourceARN": _stream_arn(table_name),
        **({"userIdentity": user_identity} if user_identity else {}),
    }
    return Record.from_dynamodb_json(event, shard_id, fencing_token, model)


def _stream_arn(table_name: str) -> str:
    return f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{table_name}/stream/2026-01-01T00:00:00.000"


def _seconds(time: datetime | None) -> int:
    if time is None:
        time = datetime.now(timezone.utc)
    return int((time if time.tzinfo else time.replace(tzinfo=timezone.utc)).timestamp())


def _encoded(item: Item) -> Any:
    try:
        return encode_item(item)
    except (KeyError, TypeError, ValueError):  # a type that DynamoDB does not have, or a set of several
        raise TypeError(
            "an attribute must be str, int, Decimal, bytes, bool, None, list, dict, or a set of str, numbers "
            "or bytes; write a float as Decimal('1.5')"
        ) from None
