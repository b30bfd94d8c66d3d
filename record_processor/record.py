"""A stream record. Used by handlers; knows nothing of the conversation with the daemon.

Decoding is lazy and happens once: a handler that looks at the event name and the keys does not pay for the
images.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any, Final, NamedTuple

from record_processor.change import Change, Details, broken, change_from_event, event_from_change, read_image
from record_processor.differences import ABSENT, differences, find
from record_processor.errors import ConfigurationError
from record_processor.paths import Path, parse, write
from record_processor.values import ImageDecoder, Value, decode_image

_UNREAD: Final[dict[str, Value]] = {}
"""Stands for an image that nobody has asked for."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)

_WITH_BOTH: Final = ("NEW_AND_OLD_IMAGES",)
"""The stream view types that carry both images; the others as named."""
_WITH_NEW: Final = ("NEW_IMAGE", *_WITH_BOTH)
_WITH_OLD: Final = ("OLD_IMAGE", *_WITH_BOTH)


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


class Reading(NamedTuple):
    """How a worker reads items: the same for all of its records."""

    decode: ImageDecoder = decode_image


AS_IT_COMES: Final = Reading()
"""Whole numbers are `int`."""


class Record:
    """One change of one item, as DynamoDB Streams describes it.

    Fields and their meaning are those of the DynamoDB Streams API's `Record` and `StreamRecord`. Attributes
    are decoded at the first touch, and raise `DecodeError` for a shape that DynamoDB never sends. What the
    stream's view type does not carry raises `ConfigurationError` when it is asked for.

    Two records are equal if they are of one change, by their event id: one that is delivered again is found
    in a set or dict. A record without one goes by its stream and sequence number.
    """

    __slots__ = (
        "_change",
        "_details",
        "_fencing_token",
        "_keys",
        "_new_image",
        "_old_image",
        "_reading",
        "_source",
    )

    def __init__(
        self, change: Change, source: RecordSource, fencing_token: int = 0, reading: Reading = AS_IT_COMES
    ) -> None:
        """Take what changed, where it comes from, the lease's counter, and how items are read."""
        self._change = change
        self._source = source
        self._fencing_token = fencing_token
        self._reading = reading
        self._details: Details | None = None
        self._keys: dict[str, Value] | None = None
        self._new_image: dict[str, Value] | None = _UNREAD
        self._old_image: dict[str, Value] | None = _UNREAD

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
        return Record(self._change, self._source, self._fencing_token, self._reading)

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
        return self._more.event_id or ""

    @property
    def event_name(self) -> str:
        """What happened: `INSERT`, `MODIFY` or `REMOVE`."""
        return self._change.event_name or ""

    @property
    def event_version(self) -> str:
        """The version of the record's format, such as `1.1`."""
        return self._more.event_version or ""

    @property
    def event_source(self) -> str:
        """The service that made the record: `aws:dynamodb`."""
        return self._more.event_source or ""

    @property
    def aws_region(self) -> str:
        """The region of the table."""
        return self._more.aws_region or ""

    @property
    def keys(self) -> dict[str, Value]:
        """The primary key of the item."""
        if self._keys is None:
            self._keys = read_image(self._change, "Keys", self._change.keys, self._reading.decode) or {}
        return self._keys

    @property
    def item(self) -> dict[str, Value]:
        """The item as it is now: the new image, or for a REMOVE the old one.

        Raises ConfigurationError if the stream does not carry it, DecodeError if it is missing all the same.
        """
        item = self._item("item")
        if item is None:
            raise broken(self.sequence_number, "it has no image")
        return item

    @property
    def new_image(self) -> dict[str, Value] | None:
        """The item after the change; None for a REMOVE.

        Raises ConfigurationError if the stream does not carry it.
        """
        image = self._new()
        if image is None and self._change.event_name != "REMOVE":
            self._need("new_image", _WITH_NEW)
        return image

    @property
    def old_image(self) -> dict[str, Value] | None:
        """The item before the change; None for an INSERT.

        Raises ConfigurationError if the stream does not carry it.
        """
        image = self._old()
        if image is None and self._change.event_name != "INSERT":
            self._need("old_image", _WITH_OLD)
        return image

    @property
    def size_bytes(self) -> int | None:
        """The size of the record in bytes, as DynamoDB counts it."""
        return self._more.size_bytes

    @property
    def stream_view_type(self) -> str | None:
        """What the stream carries: `KEYS_ONLY`, `NEW_IMAGE`, `OLD_IMAGE` or `NEW_AND_OLD_IMAGES`."""
        return self._more.stream_view_type

    @property
    def created_at(self) -> datetime | None:
        """When the change was made, in UTC; DynamoDB rounds it to the second.

        It is `ApproximateCreationDateTime`; None if the record has none. Raises DecodeError for a time that
        `datetime` does not have.
        """
        millis = self._more.creation_millis
        try:
            return None if millis is None else _EPOCH + timedelta(milliseconds=millis)
        except OverflowError:
            raise broken(self.sequence_number, "ApproximateCreationDateTime is out of range") from None

    @property
    def user_identity(self) -> UserIdentity | None:
        """Who made the change, when it was not a client; None for the changes that clients make."""
        identity = self._more.user_identity
        return None if identity is None else UserIdentity(identity[0] or "", identity[1] or "")

    @property
    def is_ttl_delete(self) -> bool:
        """Whether the item was removed by DynamoDB's time to live.

        The rule is AWS's own: a REMOVE whose user identity is the service `dynamodb.amazonaws.com`.
        """
        return self.event_name == "REMOVE" and self.user_identity == ("Service", "dynamodb.amazonaws.com")

    def get(self, path: str, default: Any = None) -> Any:
        """Return what is at an attribute's path in `item`, such as `address.city` or `lines[0].price`.

        If there is nothing, return the default. A backslash before `.`, `[`, `]` or a backslash makes it a
        part of a name. Raises ValueError if it is no path, ConfigurationError if the stream does not carry
        the item.
        """
        steps = _steps("get()", path)
        value = find(self._item("get()"), steps)
        return default if value is ABSENT else value

    def changed(self, path: str) -> bool:
        """Return whether what is at an attribute's path differs between the old and the new image.

        What is absent differs from what is present, also from NULL: for an INSERT or a REMOVE, this is
        whether there is something. Raises ValueError if it is no path, ConfigurationError if the stream does
        not carry both images.
        """
        steps = _steps("changed()", path)
        old, new = (find(image, steps) for image in self._both_images("changed()"))
        return any(differences(old, new))

    def changes(self) -> dict[str, tuple[Value, Value]]:
        """Return the path of each difference between the images, with the old and the new value.

        Maps and lists that both images have are compared by their elements: `address.city`, `lines[0].price`.
        What only one of them has is there whole, with None for the other; so an INSERT lists every attribute,
        and a REMOVE too. Raises ConfigurationError if the stream does not carry both images.
        """
        old, new = self._both_images("changes()")
        return {write(path): (before, after) for path, before, after in differences(old, new)}

    def __eq__(self, other: object) -> bool:
        """Whether it is the same change, delivered again perhaps."""
        return self._identity == other._identity if isinstance(other, Record) else NotImplemented

    def __hash__(self) -> int:
        """Equal records have the same."""
        return hash(self._identity)

    def __repr__(self) -> str:
        """Name the record without anything of its content: a repr ends up in logs."""
        return (
            f"<Record {self.event_name} {self.sequence_number} of {self.shard_id}, table {self.table_name}>"
        )

    @property
    def _identity(self) -> str | tuple[str, str]:
        return self._more.event_id or (self.stream_arn, self.sequence_number)

    @property
    def _more(self) -> Details:
        if self._details is None:
            self._details = self._change.details
        return self._details

    def _need(self, asked: str, view_types: tuple[str, ...]) -> None:
        """Refuse what the stream does not carry, with one of these view types it would."""
        view_type = self._more.stream_view_type
        if view_type is None or view_type in view_types:
            return
        raise ConfigurationError(
            f"record.{asked} is not in the stream of table {self.table_name}, whose StreamViewType is "
            f"{view_type}: in the table's StreamSpecification, set StreamViewType to "
            f"{' or '.join(view_types)}"
        )

    def _item(self, asked: str) -> dict[str, Value] | None:
        is_remove = self.event_name == "REMOVE"
        self._need(asked, _WITH_OLD if is_remove else _WITH_NEW)
        return self._old() if is_remove else self._new()

    def _both_images(self, asked: str) -> tuple[dict[str, Value], dict[str, Value]]:
        self._need(asked, _WITH_BOTH)
        return self._old() or {}, self._new() or {}

    def _new(self) -> dict[str, Value] | None:
        if self._new_image is _UNREAD:
            self._new_image = read_image(
                self._change, "NewImage", self._change.new_image, self._reading.decode
            )
        return self._new_image

    def _old(self) -> dict[str, Value] | None:
        if self._old_image is _UNREAD:
            self._old_image = read_image(
                self._change, "OldImage", self._change.old_image, self._reading.decode
            )
        return self._old_image


def _steps(asked: str, path: str) -> Path:
    try:
        return parse(path)
    except ValueError as error:
        raise ValueError(f"record.{asked} takes {error}") from None
