"""A stream record. Used by handlers; knows nothing of the conversation with the daemon.

Decoding is lazy and happens once: a handler that looks at the event name and the keys does not pay for the
images.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any, Final, Generic, NamedTuple

from record_processor.change import Change, broken, change_from_event, checked, event_from_change
from record_processor.differences import ABSENT, differences, find
from record_processor.errors import ConfigurationError, ModelError
from record_processor.models import Converter, Item, Misfit, Model, converter
from record_processor.paths import Path, parse, write
from record_processor.values import Image, ImageDecoder, Value, decode_image

_UNREAD: Final = object()
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
    """Where a worker's records come from, and how their items are read: the same for all of a shard."""

    stream_arn: str
    table_name: str
    shard_id: str
    decode: ImageDecoder = decode_image
    """What numbers become."""
    convert: Converter | None = None
    """Makes objects of the processor's `model`, if it has one."""


class Record(Generic[Item]):
    """One change of one item, as DynamoDB Streams describes it.

    Fields and their meaning are those of the DynamoDB Streams API's `Record` and `StreamRecord`. Attributes
    are decoded at the first touch, and raise `DecodeError` for a shape that DynamoDB never sends. What the
    stream's view type does not carry raises `ConfigurationError` when it is asked for.

    `Record[Order]` is a record whose `item`, `new_image` and `old_image` are of the processor's `model`,
    Order. They are made at the first touch, once, and raise `ModelError` if they do not fit. A bare `Record`
    has them as dicts.

    Two records are equal if they are of one change, by their event id: one that is delivered again is found
    in a set or dict. A record without one goes by its stream and sequence number.

    It is not decoded until it is touched, so it keeps the message alive that it came with, up to 4 MiB: what
    you keep for longer than a batch should be values, not records.
    """

    __slots__ = ("_change", "_fencing_token", "_keys", "_new", "_old", "_source")

    def __init__(self, change: Change, source: RecordSource, fencing_token: int = 0) -> None:
        """Take what changed, where it comes from, and the lease's counter."""
        self._change = change
        self._source = source
        self._fencing_token = fencing_token
        self._keys: dict[str, Value] | None = None
        self._new: Any = _UNREAD
        self._old: Any = _UNREAD

    @classmethod
    def from_dynamodb_json(
        cls,
        event: Mapping[str, Any],
        shard_id: str = "",
        fencing_token: int = 0,
        model: type[Model] | None = None,
    ) -> Record[Model]:
        """Make a record of AWS's event, one of those that Lambda hands to a function, times in seconds.

        Its stream and table are those of `eventSourceARN`, or empty; its items are of the model, or dicts.
        Raises DecodeError if the event has no sequence number or a field of a wrong type; a malformed image
        is found at its first touch.
        The shape is that of https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html.
        """
        change, stream_arn, table_name = change_from_event(event)
        convert = converter(model) if model else None
        return Record(change, RecordSource(stream_arn, table_name, shard_id, convert=convert), fencing_token)

    def to_dynamodb_json(self) -> dict[str, Any]:
        """Return the record as AWS's event, which `from_dynamodb_json` reads and `json.dumps` takes.

        Values are in DynamoDB's JSON, sets sorted; the time is in seconds, an integer when it is whole, else
        a float; what the record does not have is left out. It is the record as it came, whatever a handler
        did to its images. Raises DecodeError for a malformed image.
        """
        return event_from_change(self._change, self.stream_arn)

    def undecoded(self) -> Record[Item]:
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
        return self._change.details.event_id or ""

    @property
    def event_name(self) -> str:
        """What happened: `INSERT`, `MODIFY` or `REMOVE`."""
        return self._change.event_name or ""

    @property
    def event_version(self) -> str:
        """The version of the record's format, such as `1.1`."""
        return self._change.details.event_version or ""

    @property
    def event_source(self) -> str:
        """The service that made the record: `aws:dynamodb`."""
        return self._change.details.event_source or ""

    @property
    def aws_region(self) -> str:
        """The region of the table."""
        return self._change.details.aws_region or ""

    @property
    def keys(self) -> dict[str, Value]:
        """The primary key of the item."""
        if self._keys is None:
            keys = self._source.decode(self._change.keys)
            self._keys = keys if type(keys) is dict else checked(self._change, "Keys", keys) or {}
        return self._keys

    @property
    def item(self) -> Item:
        """The item as it is now: the new image, or for a REMOVE the old one.

        Raises ConfigurationError if the stream does not carry it, DecodeError if it is missing all the same.
        """
        item = self._read_old() if self._is_remove else self._read_new()
        if item is None:
            self._need("item", _WITH_OLD if self._is_remove else _WITH_NEW)
            raise broken(self.sequence_number, "it has no image")
        return item  # type: ignore[no-any-return]

    @property
    def new_image(self) -> Item | None:
        """The item after the change; None for a REMOVE.

        Raises ConfigurationError if the stream does not carry it.
        """
        # Not by _read_new: one more call is 4 % of a small image's time, and handlers come by here.
        if self._new is _UNREAD:
            self._new = self._read("NewImage", self._change.new_image)
        if self._new is None and not self._is_remove:
            self._need("new_image", _WITH_NEW)
        return self._new  # type: ignore[no-any-return]

    @property
    def old_image(self) -> Item | None:
        """The item before the change; None for an INSERT.

        Raises ConfigurationError if the stream does not carry it.
        """
        if self._old is _UNREAD:
            self._old = self._read("OldImage", self._change.old_image)
        if self._old is None and self._change.event_name != "INSERT":
            self._need("old_image", _WITH_OLD)
        return self._old  # type: ignore[no-any-return]

    @property
    def size_bytes(self) -> int | None:
        """The size of the record in bytes, as DynamoDB counts it."""
        return self._change.details.size_bytes

    @property
    def stream_view_type(self) -> str | None:
        """What the stream carries: `KEYS_ONLY`, `NEW_IMAGE`, `OLD_IMAGE` or `NEW_AND_OLD_IMAGES`."""
        return self._change.details.stream_view_type

    @property
    def created_at(self) -> datetime | None:
        """When the change was made, in UTC; DynamoDB rounds it to the second.

        It is `ApproximateCreationDateTime`; None if the record has none. Raises DecodeError for a time that
        `datetime` does not have.
        """
        millis = self._change.details.creation_millis
        try:
            return None if millis is None else _EPOCH + timedelta(milliseconds=millis)
        except OverflowError:
            raise broken(self.sequence_number, "ApproximateCreationDateTime is out of range") from None

    @property
    def user_identity(self) -> UserIdentity | None:
        """Who made the change, when it was not a client; None for the changes that clients make."""
        identity = self._change.details.user_identity
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
        self._need("get()", _WITH_OLD if self._is_remove else _WITH_NEW)
        value = find(self._plain_old() if self._is_remove else self._plain_new(), steps)
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
        return self._change.details.event_id or (self.stream_arn, self.sequence_number)

    @property
    def _is_remove(self) -> bool:
        """Then the item is the old image."""
        return self._change.event_name == "REMOVE"

    def _need(self, asked: str, view_types: tuple[str, ...]) -> None:
        """Refuse what the stream does not carry, with one of these view types it would."""
        view_type = self._change.details.stream_view_type
        if view_type is None or view_type in view_types:
            return
        raise ConfigurationError(
            f"record.{asked} is not in the stream of table {self.table_name}, whose StreamViewType is "
            f"{view_type}: in the table's StreamSpecification, set StreamViewType to "
            f"{' or '.join(view_types)}"
        )

    def _both_images(self, asked: str) -> tuple[dict[str, Value], dict[str, Value]]:
        self._need(asked, _WITH_BOTH)
        return self._plain_old() or {}, self._plain_new() or {}

    def _plain_new(self) -> Any:
        if self._source.convert is None:
            return self._read_new()
        return checked(self._change, "NewImage", self._source.decode(self._change.new_image))

    def _plain_old(self) -> Any:
        if self._source.convert is None:
            return self._read_old()
        return checked(self._change, "OldImage", self._source.decode(self._change.old_image))

    def _read_new(self) -> Any:
        if self._new is _UNREAD:
            self._new = self._read("NewImage", self._change.new_image)
        return self._new

    def _read_old(self) -> Any:
        if self._old is _UNREAD:
            self._old = self._read("OldImage", self._change.old_image)
        return self._old

    def _read(self, name: str, image: Image) -> Any:
        convert = self._source.convert
        if convert is None:
            item = self._source.decode(image)
            return item if type(item) is dict and item else checked(self._change, name, item)
        # From values that nobody else has: a model may keep and change them.
        item = checked(self._change, name, decode_image(image))
        made = None if item is None else convert(item)
        if isinstance(made, Misfit):
            raise ModelError(f"record {self.sequence_number}: its {name} does not fit {made.reason}")
        return made


def _steps(asked: str, path: str) -> Path:
    try:
        return parse(path)
    except ValueError as error:
        raise ValueError(f"record.{asked} takes {error}") from None
