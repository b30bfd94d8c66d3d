"""The messages of docs/protocol.md as values, and the two ways to write them. Pure: no input or output."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Final, Generic, NamedTuple, TypeAlias, TypeVar

import msgspec

from record_processor.change import Change, SequenceNumber, change_from_json
from record_processor.errors import DecodeError, ProtocolError
from record_processor.values import UNREADABLE

# --- What the daemon says ---


class _FromDaemon(msgspec.Struct, tag_field="action", rename="camel", frozen=True):
    """What the worker does not need of a message is left out here: unknown fields are ignored."""

    @property
    def action(self) -> str:
        """The message's name on the wire."""
        return str(self.__struct_config__.tag)


class _WithLease(_FromDaemon, frozen=True, kw_only=True):
    """A message that tells of the lease."""

    deadline_nanos: int = 0
    """When the lease ends unless it is renewed, on the clock of `time.monotonic_ns()`; 0 if nobody says."""
    fencing_token: int = 0
    """The lease's counter; 0 if nobody says."""


class Initialize(_WithLease, tag="initialize", frozen=True):
    """The first message: which shard this worker handles."""

    shard_id: str
    stream_arn: str = ""
    table_name: str = ""
    worker_id: str = ""
    one_by_one_up_to: SequenceNumber | None = None
    """Records up to this one have ended processes: each is handed out alone; None if there are none such."""
    attempts: int = 0
    """How many processes have ended at the first record, alone with it."""


_Record = TypeVar("_Record")


class ProcessRecords(_WithLease, Generic[_Record], tag="processRecords", frozen=True):
    """A batch."""

    records: list[_Record]


class CheckpointAnswer(_FromDaemon, tag="checkpoint", frozen=True):
    """The answer to a request for a checkpoint."""

    error: str | None
    """The name of KCL's exception; None if the checkpoint was stored."""


class LeaseAnswer(_WithLease, tag="lease", frozen=True):
    """The answer to a request for a deadline."""


class LeaseLost(_FromDaemon, tag="leaseLost", frozen=True):
    """Another worker owns the shard."""


class ShardEnded(_FromDaemon, tag="shardEnded", frozen=True):
    """Every record of the shard was acknowledged."""


class ShutdownRequested(_FromDaemon, tag="shutdownRequested", frozen=True):
    """The host drains."""


Message: TypeAlias = (
    Initialize
    | ProcessRecords[Change]
    | CheckpointAnswer
    | LeaseAnswer
    | LeaseLost
    | ShardEnded
    | ShutdownRequested
)

# --- What the worker says ---


class _FromWorker(msgspec.Struct, tag_field="action", rename="camel", frozen=True):
    pass


class Hello(_FromWorker, tag="hello", frozen=True):
    """The first message on a socket: who speaks."""

    token: str
    worker: int
    pid: int


class Status(_FromWorker, tag="status", frozen=True):
    """An action is done."""

    response_for: str


class Acknowledge(_FromWorker, tag="acknowledge", frozen=True):
    """Every record up to this one is handled."""

    sequence_number: str


class Checkpoint(_FromWorker, tag="checkpoint", frozen=True):
    """The same, and the request to store a checkpoint there now."""

    sequence_number: str


class Lease(_FromWorker, tag="lease", frozen=True):
    """The request for a deadline that is not over."""


class Progress(_FromWorker, tag="progress", frozen=True):
    """The handler gets on: `timeoutInSeconds` counts anew from here."""


class Fatal(_FromWorker, tag="fatal", frozen=True):
    """The shard must not be handled on, here; the worker then ends."""

    reason: str
    """One line."""


Reply: TypeAlias = Hello | Status | Acknowledge | Checkpoint | Lease | Progress | Fatal

# --- How both are written ---


class _JsonRecord(msgspec.Struct, rename="camel"):
    data: bytes
    sequence_number: SequenceNumber


_PACKED: Final[msgspec.msgpack.Decoder[Message]] = msgspec.msgpack.Decoder(Message)
_Line: TypeAlias = (
    Initialize
    | ProcessRecords[_JsonRecord]
    | CheckpointAnswer
    | LeaseAnswer
    | LeaseLost
    | ShardEnded
    | ShutdownRequested
)
_JSON: Final[msgspec.json.Decoder[_Line]] = msgspec.json.Decoder(_Line)


class Codec(NamedTuple):
    """One of the two ways to write messages."""

    parse: Callable[[bytes | bytearray], Message]
    """Raises ProtocolError, whose message quotes nothing."""
    write: Callable[[Reply], bytes]


def _parse(data: bytes | bytearray, decode: Callable[[bytes | bytearray], Message]) -> Message:
    message = _decoded(data, decode)
    # Raised here, not where it was caught: the exception's context would quote the message.
    if isinstance(message, str):
        raise ProtocolError(f"a message of {len(data)} bytes from the daemon is not understood: {message}")
    return message


def _decoded(data: bytes | bytearray, decode: Callable[[bytes | bytearray], Message]) -> Message | str:
    """Return the message, or what is wrong with it."""
    try:
        message = decode(data)
    except DecodeError as error:
        return str(error)
    except UNREADABLE as error:
        return _reason(error)
    if isinstance(message, Initialize) and not message.shard_id:
        return "its shardId is empty"
    if isinstance(message, Initialize) and not (message.one_by_one_up_to or "0").encode().isdigit():
        return "its oneByOneUpTo is not one to a hundred digits"
    if isinstance(message, ProcessRecords) and not _are_numbers(message.records):
        return "a sequence number is not one to a hundred digits"
    return message


def _are_numbers(records: list[Change]) -> bool:
    """Check sequence numbers all at once, as bytes: one by one, or as text, takes three times as long."""
    return not records or "".join(map(_NUMBER, records)).encode().isdigit()


_NUMBER: Final = attrgetter("sequence_number")


def _reason(error: Exception) -> str:
    """Say what is wrong. Of msgspec's reasons only that of an unknown action quotes anything."""
    if not isinstance(error, msgspec.MsgspecError):
        return "it is malformed"
    return "it has no action that this version knows" if "Invalid value" in str(error) else str(error)


def _decode_line(line: bytes | bytearray) -> Message:
    message = _JSON.decode(line)
    if not isinstance(message, ProcessRecords):
        return message
    changes = [change_from_json(record.data, record.sequence_number) for record in message.records]
    return ProcessRecords(changes, deadline_nanos=message.deadline_nanos, fencing_token=message.fencing_token)


FRAMES: Final = Codec(lambda frame: _parse(frame, _PACKED.decode), msgspec.msgpack.encode)
"""MessagePack, as in the frames on a socket."""
LINES: Final = Codec(lambda line: _parse(line, _decode_line), msgspec.json.encode)
"""JSON, as in the lines on standard streams; without a line's end."""
