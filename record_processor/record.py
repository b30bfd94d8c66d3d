"""A stream record. Used by handlers; knows nothing of the conversation with the daemon.

Decoding is lazy and happens once: a handler that looks at the event name and the keys does not pay for the
images.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any, Final, NamedTuple

from record_processor.change import Change, broken, change_from_event, event_from_change, read_image
from record_processor.errors import ConfigurationError
from record_processor.values import Value, decode_image

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)


class UserIdentity(NamedTuple):
    """Who made the change, when it was not a client: DynamoDB's time to live."""

    type: str
    """`Service` for time to live."""
    principal_id: str
    """`dynamodb.amazonaws.com` for time to live."""


class RecordSource(NamedTuple):
    """Where a worker's records come from: the same for all of a shard."""

    stream_arn: str
    table_name: str
    shard_id: str


class Record:
    """One change of one item, as DynamoDB Streams describes it.

    Fields and their meaning are those of the DynamoDB Streams API's `Record` and `StreamRecord`. Attributes
    are decoded at the first touch, and raise `DecodeError` for a shape that DynamoDB never sends.
    """

    __slots__ = ("_change", "_fencing_token", "_keys", "_new_image", "_old_image", "_source")

    _keys: dict[str, Value]
    _new_image: dict[str, Value] | None
    _old_image: dict[str, Value] | None

    def __init__(self, change: Change, source: RecordSource, fencing_token: int = 0) -> None:
        """Take what changed, where it comes from, and the lease's counter."""
        self._change = change
        self._source = source
        self._fencing_token = fencing_token

    @classmethod
    def from_dynamodb_json(
        cls, event: Mapping[str, Any], shard_id: str = "", fencing_token: int = 0
    ) -> Record:
        """Make a record of AWS's event, one of those that Lambda hands to a function, times in seconds.

        Its stream and table are those of `eventSourceARN`, or empty. Raises DecodeError if the event has no
        sequence number or a field of a wrong type; a malformed image is found at its first touch.
        The shape is that of https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html.
        """
        change, stream_arn, table_name = change_from_event(event)
        return cls(change, RecordSource(stream_arn, table_name, shard_id), fencing_token)

    def to_dynamodb_json(self) -> dict[str, Any]:
        """Return the record as AWS's event, which `from_dynamodb_json` reads and `json.dumps` takes.

        Values are in DynamoDB's JSON, sets sorted; the time is in seconds, an integer when it is whole, else
        a float; what the record does not have is left out. It is the record as it came, whatever a handler
        did to its images. Raises DecodeError for a malformed image.
        """
        return event_from_change(self._change, self.stream_arn)

    def undecoded(self) -> Record:
        """Return the same record with nothing decoded: what a failed handler changed in it is gone."""
        return Record(self._change, self._source, self._fencing_token)

    @property
    def sequence_number(self) -> str:
        """The record's place in its shard; compare two of them as integers."""
        return self._change.sequence_number

    @property
    def stream_arn(self) -> str:
        """The ARN of the stream that the record was read from."""
        return self._source.stream_arn

    @property
    def table_name(self) -> str:
        """The name of the table that changed."""
        return self._source.table_name

    @property
    def shard_id(self) -> str:
        """The shard that the record was read from."""
        return self._source.shard_id

    @property
    def fencing_token(self) -> int:
        """The lease's counter when the record came, for conditional writes; 0 if the daemon does not say.

        It never gets smaller from one record of a shard to the next, also when another worker takes the shard
        over: a store that refuses tokens smaller than the greatest it has seen refuses a worker that lost
        the shard and does not know it yet.
        """
        return self._fencing_token

    @property
    def event_id(self) -> str:
        """A globally unique identifier of this change: use it to recognise a repeat."""
        return self._change.event_id or ""

    @property
    def event_name(self) -> str:
        """What happened: `INSERT`, `MODIFY` or `REMOVE`."""
        return self._change.event_name or ""

    @property
    def event_version(self) -> str:
        """The version of the record's format, such as `1.1`."""
        return self._change.event_version or ""

    @property
    def event_source(self) -> str:
        """The service that made the record: `aws:dynamodb`."""
        return self._change.event_source or ""

    @property
    def aws_region(self) -> str:
        """The region of the table."""
        return self._change.aws_region or ""

    @property
    def keys(self) -> dict[str, Value]:
        """The primary key of the item."""
        try:
            return self._keys
        except AttributeError:
            pass
        self._keys = self._image("Keys", self._change.keys) or {}
        return self._keys

    @property
    def new_image(self) -> dict[str, Value] | None:
        """The item after the change; None when there is none or the stream does not carry it."""
        try:
            return self._new_image
        except AttributeError:
            pass
        self._new_image = self._image("NewImage", self._change.new_image)
        return self._new_image

    @property
    def old_image(self) -> dict[str, Value] | None:
        """The item before the change; None when there was none or the stream does not carry it."""
        try:
            return self._old_image
        except AttributeError:
            pass
        self._old_image = self._image("OldImage", self._change.old_image)
        return self._old_image

    @property
    def size_bytes(self) -> int | None:
        """The size of the record in bytes, as DynamoDB counts it."""
        return self._change.size_bytes

    @property
    def stream_view_type(self) -> str | None:
        """What the stream carries: `KEYS_ONLY`, `NEW_IMAGE`, `OLD_IMAGE` or `NEW_AND_OLD_IMAGES`."""
        return self._change.stream_view_type

    @property
    def approximate_creation_date_time(self) -> datetime | None:
        """When the change was made, in UTC; DynamoDB rounds it to the second."""
        millis = self._change.creation_millis
        try:
            return None if millis is None else _EPOCH + timedelta(milliseconds=millis)
        except OverflowError:
            raise broken(self.sequence_number, "ApproximateCreationDateTime is out of range") from None

    @property
    def user_identity(self) -> UserIdentity | None:
        """Who made the change, when it was not a client; None for the changes that clients make."""
        identity = self._change.user_identity
        return None if identity is None else UserIdentity(identity[0] or "", identity[1] or "")

    @property
    def is_ttl_delete(self) -> bool:
        """Whether the item was removed by DynamoDB's time to live.

        The rule is AWS's own: a REMOVE whose user identity is the service `dynamodb.amazonaws.com`.
        """
        return self.event_name == "REMOVE" and self.user_identity == ("Service", "dynamodb.amazonaws.com")

    def changes(self) -> dict[str, tuple[Value, Value]]:
        """Return each top-level attribute that changed, with its old and its new value.

        An attribute that was added has the old value None, one that was removed the new value None; so an
        insert lists every attribute, and a removal too. Raises ConfigurationError if the stream does not
        carry both images.
        """
        if self.stream_view_type not in (None, "NEW_AND_OLD_IMAGES"):
            raise ConfigurationError(
                f"record.changes() needs both images, and the stream of table {self.table_name} has the view "
                f"type {self.stream_view_type}: give the table a stream with NEW_AND_OLD_IMAGES"
            )
        old, new = self.old_image or {}, self.new_image or {}
        names = [*old, *(name for name in new if name not in old)]
        return {
            name: (old.get(name), new.get(name))
            for name in names
            if name not in old or name not in new or not _is_same(old[name], new[name])
        }

    def __repr__(self) -> str:
        """Name the record without anything of its content: a repr ends up in logs."""
        return f"<Record {self.sequence_number} of {self.shard_id}, table {self.table_name}>"

    def _image(self, name: str, image: bytes | None) -> dict[str, Value] | None:
        return read_image(self._change, name, image, decode_image)


def _is_same(old: Value, new: Value) -> bool:
    """Compare as DynamoDB would: unlike Python's, its true is not 1."""
    if type(old) is not type(new):
        return False
    if isinstance(old, dict):
        return old.keys() == new.keys() and all(_is_same(old[name], new[name]) for name in old)
    if isinstance(old, list):
        return len(old) == len(new) and all(map(_is_same, old, new))
    return bool(old == new)
