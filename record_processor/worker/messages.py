"""MultiLang's messages as values, each one line of JSON on the wire. Pure: no input or output.

The wire is specified by KCL, in the documentation of its package `software.amazon.kinesis.multilang`; what
the daemon adds is `streamArn`, `tableName` and `workerId` in `initialize`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from record_processor.errors import ProtocolError


@dataclass(frozen=True, slots=True)
class Initialize:
    """The first message: which shard this worker handles."""

    shard_id: str
    stream_arn: str
    table_name: str
    worker_id: str
    action: str = "initialize"


@dataclass(frozen=True, slots=True)
class ProcessRecords:
    """A batch. Its elements are the wire's, each with at least `data` and a numeric `sequenceNumber`."""

    records: list[Mapping[str, Any]]
    action: str = "processRecords"


@dataclass(frozen=True, slots=True)
class CheckpointAnswer:
    """The answer to a request for a checkpoint."""

    error: str | None
    """The name of KCL's exception; None if the checkpoint was stored."""
    action: str = "checkpoint"


@dataclass(frozen=True, slots=True)
class LeaseLost:
    """Another worker owns the shard."""

    action: str = "leaseLost"


@dataclass(frozen=True, slots=True)
class ShardEnded:
    """Every record of the shard was acknowledged."""

    action: str = "shardEnded"


@dataclass(frozen=True, slots=True)
class ShutdownRequested:
    """The host drains."""

    action: str = "shutdownRequested"


_SEQUENCE_NUMBER: Final = re.compile(r"[0-9]{1,100}")

Message: TypeAlias = (
    Initialize | ProcessRecords | CheckpointAnswer | LeaseLost | ShardEnded | ShutdownRequested
)


def parse(line: bytes) -> Message:
    """Parse a line from the daemon. Raises ProtocolError, whose message quotes nothing of a record."""
    try:
        content = json.loads(line)
    except (ValueError, RecursionError):
        raise ProtocolError(f"a line of {len(line)} bytes from the daemon is not JSON") from None
    if not isinstance(content, dict):
        raise ProtocolError("a line from the daemon is not a JSON object")
    action = content.get("action")
    make = _MAKERS.get(action) if isinstance(action, str) else None
    if make is None:
        raise ProtocolError("a line from the daemon has no action that this version knows")
    return make(content)


def status(response_for: str) -> bytes:
    """Write the acknowledgement of an action."""
    return _line({"action": "status", "responseFor": response_for})


def checkpoint(sequence_number: str) -> bytes:
    """Write the request to store a checkpoint."""
    return _line({"action": "checkpoint", "sequenceNumber": sequence_number, "subSequenceNumber": None})


def _initialize(content: Mapping[str, Any]) -> Initialize:
    shard_id = content.get("shardId")
    if not isinstance(shard_id, str) or not shard_id:
        raise ProtocolError("the daemon's initialize has no shardId")
    arn, table, worker = (str(content.get(name) or "") for name in ("streamArn", "tableName", "workerId"))
    return Initialize(shard_id, arn, table, worker)


def _checkpoint_answer(content: Mapping[str, Any]) -> CheckpointAnswer:
    error = content.get("error")
    return CheckpointAnswer(None if error is None else str(error))


def _records(content: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    records = content.get("records")
    if isinstance(records, list) and all(map(_is_record, records)):
        return records
    raise ProtocolError("the daemon's processRecords has records without data or sequence number")


def _is_record(record: object) -> bool:
    if not isinstance(record, dict):
        return False
    number = record.get("sequenceNumber")
    is_number = isinstance(number, str) and _SEQUENCE_NUMBER.fullmatch(number)
    return bool(is_number) and isinstance(record.get("data"), str)


def _line(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content).encode()


_MAKERS: Final[Mapping[str, Callable[[Mapping[str, Any]], Message]]] = {
    "initialize": _initialize,
    "processRecords": lambda content: ProcessRecords(_records(content)),
    "checkpoint": _checkpoint_answer,
    "leaseLost": lambda _: LeaseLost(),
    "shardEnded": lambda _: ShardEnded(),
    "shutdownRequested": lambda _: ShutdownRequested(),
}
