"""A record that was given up, and why: what every destination keeps, as one JSON document.

The document is Lambda's failure record with the record itself beside it, so that what people have for the one
reads the other: https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html.
"""

from __future__ import annotations

import hashlib
import json
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from enum import Enum
from typing import Any, Final, Literal
from urllib.parse import quote

import msgspec

from record_processor.record import Record

RECORD: Final = "record"
"""The document's field that holds the whole record."""

_LONGEST_MESSAGE: Final = 1_000
_LONGEST_TRACEBACK: Final = 8_000
_LONGEST_NAME: Final = 200


class Condition(str, Enum):
    """Why a record was given up. The first two are Lambda's words; it has no third."""

    RETRY_ATTEMPTS_EXHAUSTED = "RetryAttemptsExhausted"
    """It failed more often than `maximumRetryAttempts` allows."""
    RECORD_AGE_EXCEEDED = "RecordAgeExceeded"
    """It was older than `maximumRecordAgeInSeconds`, tried or not."""
    PARK_REQUESTED = "ParkRequested"
    """The handler raised ParkRecordError."""


@dataclass(frozen=True, slots=True)
class ErrorInfo:
    """The exception of the last attempt, of bounded length. Its message may quote the item."""

    type: str
    """The qualified name of its class, such as `myapp.orders.BadTotal`."""
    message: str
    traceback: str
    """As Python prints it; of a long one, the end."""

    @classmethod
    def of(cls, error: BaseException) -> ErrorInfo:
        """Take what people need of an exception, even if its str() fails."""
        return cls(
            _qualified_name(type(error))[:_LONGEST_NAME],
            _message(error)[:_LONGEST_MESSAGE],
            "".join(traceback.format_exception(error))[-_LONGEST_TRACEBACK:],
        )


@dataclass(frozen=True, slots=True)
class Parked:
    """One record that was given up, and why."""

    record: Mapping[str, Any]
    """The whole record, as AWS's event: `Record.to_dynamodb_json()`."""
    condition: str
    """One of `Condition`."""
    error: ErrorInfo | None
    """Why the last attempt failed; None if there was none."""
    attempts: int
    """How often it was handed out."""
    shard_id: str
    stream_arn: str
    """Empty if the daemon did not say."""
    table_name: str
    sequence_number: str
    application_name: str
    worker_id: str
    parked_at: datetime
    """In UTC, to the millisecond."""

    @classmethod
    def of(
        cls,
        record: Record[Any],
        condition: str,
        error: BaseException | None,
        attempts: int,
        *,
        application_name: str,
        worker_id: str,
        now: datetime,
    ) -> Parked:
        """Make it of a record as it came, for a `Condition`.

        Raises DecodeError if the record has a malformed image: such a one cannot be parked whole.
        """
        return cls(
            record=record.to_dynamodb_json(),
            condition=Condition(condition).value,
            error=None if error is None else ErrorInfo.of(error),
            attempts=attempts,
            shard_id=record.shard_id,
            stream_arn=record.stream_arn,
            table_name=record.table_name,
            sequence_number=record.sequence_number,
            application_name=application_name,
            worker_id=worker_id,
            parked_at=_to_the_millisecond(now),
        )

    @property
    def id(self) -> str:
        """The same whenever this application parks this record again, and nothing of the item's content."""
        parts = (self.application_name, self.stream_arn or self.table_name, self.shard_id)
        text = "\n".join((*parts, self.sequence_number))
        return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:32]

    @property
    def path(self) -> str:
        """Its place among others, `application/table/shard/sequence.json`; each part a safe file name."""
        folders = (self.application_name, self.table_name, self.shard_id)
        return "/".join((*map(_file_name, folders), _file_name(f"{self.sequence_number}.json")))

    def to_json(self) -> dict[str, Any]:
        """Return the document, which `json.dumps` takes and `from_json` reads."""
        arrival = _arrival(self.record)
        error = self.error
        document = {
            "version": "1.0",
            "timestamp": _iso(self.parked_at),
            "requestContext": {
                "requestId": self.id,
                "functionArn": self.application_name,
                "condition": self.condition,
                "approximateInvokeCount": self.attempts,
            },
            "responseContext": error
            and {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
            "DDBStreamBatchInfo": _present(
                {
                    "shardId": self.shard_id,
                    "startSequenceNumber": self.sequence_number,
                    "endSequenceNumber": self.sequence_number,
                    "approximateArrivalOfFirstRecord": arrival,
                    "approximateArrivalOfLastRecord": arrival,
                    "batchSize": 1,
                    "streamArn": self.stream_arn,
                }
            ),
            "applicationName": self.application_name,
            "workerId": self.worker_id,
            "tableName": self.table_name,
            "error": error and {"type": error.type, "message": error.message, "traceback": error.traceback},
            RECORD: dict(self.record),
        }
        return _present(document)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Parked:
        """Read the document. Raises ValueError, which says what is wrong with it and quotes nothing."""
        read = _read(document)
        if isinstance(read, str):
            raise ValueError(read)  # noqa: TRY004  # it is text that is wrong, not a call
        return cls(
            record=read.record,
            condition=read.request_context.condition,
            error=read.error,
            attempts=read.request_context.approximate_invoke_count,
            shard_id=read.batch.shard_id,
            stream_arn=read.batch.stream_arn,
            table_name=read.table_name,
            sequence_number=read.batch.start_sequence_number,
            application_name=read.application_name,
            worker_id=read.worker_id,
            parked_at=_to_the_millisecond(read.timestamp),
        )


def to_text(document: Mapping[str, Any]) -> str:
    """Write JSON in ASCII: every destination takes it, its length is its size, and odd text survives."""
    return json.dumps(document, separators=(",", ":"))


def from_text(text: str | bytes) -> dict[str, Any]:
    """Read a JSON object. Raises ValueError, which says what is wrong and quotes nothing."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("it is no JSON") from None
    if not isinstance(document, dict):
        raise ValueError("it is no JSON object")  # noqa: TRY004  # it is text that is wrong, not a call
    return document


# --- The document's shape ---


class _RequestContext(msgspec.Struct, rename="camel"):
    condition: str
    approximate_invoke_count: int


class _Batch(msgspec.Struct, rename="camel"):
    shard_id: str
    start_sequence_number: str
    stream_arn: str


class _Document(msgspec.Struct, rename="camel"):
    version: Literal["1.0"]
    timestamp: datetime
    request_context: _RequestContext
    batch: _Batch = msgspec.field(name="DDBStreamBatchInfo")
    application_name: str
    worker_id: str
    table_name: str
    record: dict[str, Any]
    error: ErrorInfo | None = None


def _read(document: Mapping[str, Any]) -> _Document | str:
    """Return what is in it, or what is wrong with it."""
    try:
        read = msgspec.convert(dict(document), _Document)
    except msgspec.ValidationError as error:
        return f"it is no parked record: {error}"
    return read if read.batch.start_sequence_number.isdecimal() else "its sequence number is no number"


def _arrival(record: Mapping[str, Any]) -> str | None:
    """Return when the change was made, if the record says so and `datetime` has it."""
    seconds = record.get("dynamodb", {}).get("ApproximateCreationDateTime")
    try:
        return None if seconds is None else _iso(datetime.fromtimestamp(seconds, timezone.utc))
    except (ValueError, OverflowError, OSError):
        return None


def _present(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _iso(time: datetime) -> str:
    return time.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _to_the_millisecond(time: datetime) -> datetime:
    return time.astimezone(timezone.utc).replace(microsecond=time.microsecond // 1000 * 1000)


# --- Names ---


def _file_name(text: str) -> str:
    """Write a text as a file name that is none of `.`, `..`, hidden or too long. Different texts differ."""
    name = quote(text, safe="", errors="surrogatepass")
    if not name or name.startswith("."):
        name = f"%{name}"
    if len(name) > _LONGEST_NAME:
        digest = hashlib.sha256(name.encode()).hexdigest()
        name = (
            f"{name[: _LONGEST_NAME - len(digest) - 6]}-{digest}{'.json' if name.endswith('.json') else ''}"
        )
    return name


def _qualified_name(kind: type) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001  # the user's own __str__
        return "its message cannot be shown"
