"""DynamoDB Streams' API on simulated streams: requests in, answers out; no network here.

The rules are those of https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Operations_Amazon_DynamoDB_Streams.html
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from record_processor.testing.aws_errors import AwsError, encode_json, encoded_answer
from record_processor.testing.http_wire import Message
from record_processor.testing.request import Request
from record_processor.testing.simulator.clock import VirtualClock
from record_processor.testing.simulator.iterators import LIFETIME_SECONDS, ShardIterator, decode_iterator
from record_processor.testing.simulator.shard import Page, SimulatedShard, TrimmedError
from record_processor.testing.simulator.stream import ACCOUNT, SimulatedStream

T = TypeVar("T")

_MOST_RECORDS: Final = 1000
_MOST_LISTED: Final = 100
_PARAMETER: Final = "One or more parameter values were invalid: "


class StreamService:
    """Answers stream calls, and DescribeTable of tables that have a simulated stream."""

    def __init__(self, region: str, clock: VirtualClock) -> None:
        """Begin without a stream."""
        self._region = region
        self._clock = clock
        self._lock = threading.Lock()
        self._tables: dict[str, SimulatedStream] = {}
        self._streams: dict[str, SimulatedStream] = {}
        self._operations: Mapping[str, Callable[[dict[str, Any]], bytes]] = {
            "ListStreams": self._list_streams,
            "DescribeStream": self._describe_stream,
            "GetShardIterator": self._get_shard_iterator,
            "GetRecords": self._get_records,
        }

    # Tables and streams

    def add(self, stream: SimulatedStream) -> None:
        """Make it the stream of its table; an older one of the table's can still be read."""
        with self._lock:
            self._tables[stream.table] = stream
            self._streams[stream.arn] = stream

    def forget_table(self, table: str) -> None:
        """Show the table no more; its stream can still be read. Raises KeyError."""
        with self._lock:
            del self._tables[table]

    def stream_of(self, table: str) -> SimulatedStream:
        """Return the newest stream of a table. Raises KeyError."""
        with self._lock:
            return self._tables[table]

    def has_table(self, table: str) -> bool:
        """Whether there is a simulated table of this name."""
        with self._lock:
            return table in self._tables

    # Calls

    def answer(self, request: Request) -> Message | None:
        """Return the answer, or None for a call that is not about streams. Raises AwsError."""
        if request.operation == "DescribeTable":
            table = request.tables[0] if request.tables else ""
            if not self.has_table(table):
                return None
            return encoded_answer(encode_json({"Table": self._describe_table(self.stream_of(table))}))
        operation = self._operations.get(request.operation)
        return encoded_answer(operation(request.content)) if operation is not None else None

    def _describe_table(self, stream: SimulatedStream) -> dict[str, Any]:
        description = {
            "TableName": stream.table,
            "TableArn": f"arn:aws:dynamodb:{self._region}:{ACCOUNT}:table/{stream.table}",
            "TableStatus": "ACTIVE",
            "CreationDateTime": stream.created_seconds,
            "KeySchema": _key_schema(stream),
            "AttributeDefinitions": [
                {"AttributeName": name, "AttributeType": kind} for name, kind in stream.key_schema.items()
            ],
            "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"},
            "ItemCount": 0,
            "TableSizeBytes": 0,
            "LatestStreamArn": stream.arn,
            "LatestStreamLabel": stream.label,
        }
        if stream.is_enabled:
            description["StreamSpecification"] = {"StreamEnabled": True, "StreamViewType": stream.view_type}
        return description

    def _list_streams(self, content: dict[str, Any]) -> bytes:
        limit = _limit(content, _MOST_LISTED)
        table = content.get("TableName")
        with self._lock:
            streams = sorted(self._streams.values(), key=lambda stream: stream.arn)
        listed = [stream for stream in streams if table in {None, stream.table} and not stream.is_gone]
        page, has_more = _page(
            listed, lambda stream: stream.arn, content.get("ExclusiveStartStreamArn"), limit
        )
        answer: dict[str, Any] = {
            "Streams": [
                {"StreamArn": stream.arn, "TableName": stream.table, "StreamLabel": stream.label}
                for stream in page
            ]
        }
        if has_more:
            answer["LastEvaluatedStreamArn"] = page[-1].arn
        return encode_json(answer)

    def _describe_stream(self, content: dict[str, Any]) -> bytes:
        stream = self._stream(content)
        limit = _limit(content, _MOST_LISTED)
        shards = _filtered(stream.shards, content.get("ShardFilter"))
        page, has_more = _page(shards, lambda shard: shard.id, content.get("ExclusiveStartShardId"), limit)
        description: dict[str, Any] = {
            "StreamArn": stream.arn,
            "StreamLabel": stream.label,
            "StreamStatus": "ENABLED" if stream.is_enabled else "DISABLED",
            "StreamViewType": stream.view_type,
            "CreationRequestDateTime": stream.created_seconds,
            "TableName": stream.table,
            "KeySchema": _key_schema(stream),
            "Shards": [_shard(shard) for shard in page],
        }
        if has_more:
            description["LastEvaluatedShardId"] = page[-1].id
        return encode_json({"StreamDescription": description})

    def _get_shard_iterator(self, content: dict[str, Any]) -> bytes:
        stream = self._stream(content)
        shard = _shard_of(stream, str(content.get("ShardId", "")))
        position = _position(stream, shard, content)
        return encode_json({"ShardIterator": self._iterator(stream, shard, position)})

    def _get_records(self, content: dict[str, Any]) -> bytes:
        limit = _limit(content, _MOST_RECORDS)
        iterator = decode_iterator(str(content.get("ShardIterator", "")))
        if 1000 * self._clock.now_seconds() >= iterator.made_millis + 1000 * LIFETIME_SECONDS:
            raise AwsError("ExpiredIteratorException")
        stream = self._stream({"StreamArn": iterator.stream_arn})
        shard = _shard_of(stream, iterator.shard_id)
        try:
            page = shard.read(iterator.position, limit)
        except TrimmedError:
            raise AwsError("TrimmedDataAccessException") from None
        return self._records_answer(stream, shard, iterator, page)

    def _records_answer(
        self, stream: SimulatedStream, shard: SimulatedShard, iterator: ShardIterator, page: Page
    ) -> bytes:
        if page.records and iterator.empty_pages < stream.empty_pages:
            same = self._iterator(stream, shard, iterator.position, iterator.empty_pages + 1)
            return encode_json({"NextShardIterator": same, "Records": []})
        # The iterator stands first, where the fault proxy finds it without looking through the records.
        following = (
            "" if page.is_end else f'"NextShardIterator":"{self._iterator(stream, shard, page.position)}",'
        )
        records = b",".join([record.encoded for record in page.records])
        return b'{%s"Records":[%s]}' % (following.encode("ascii"), records)

    def _iterator(
        self, stream: SimulatedStream, shard: SimulatedShard, position: int, empty_pages: int = 0
    ) -> str:
        made_millis = int(1000 * self._clock.now_seconds())
        return ShardIterator(stream.arn, shard.id, position, made_millis, empty_pages).encode()

    def _stream(self, content: dict[str, Any]) -> SimulatedStream:
        arn = content.get("StreamArn")
        if not arn:
            raise AwsError("ValidationException", "Invalid StreamArn")
        with self._lock:
            stream = self._streams.get(arn)
        if stream is None or stream.is_gone:
            raise AwsError(
                "ResourceNotFoundException", f"Requested resource not found: Stream: {arn} not found"
            )
        return stream


def _key_schema(stream: SimulatedStream) -> list[dict[str, str]]:
    names = zip(stream.key_schema, ("HASH", "RANGE"), strict=False)
    return [{"AttributeName": name, "KeyType": role} for name, role in names]


def _shard(shard: SimulatedShard) -> dict[str, Any]:
    numbers = {"StartingSequenceNumber": str(shard.first_number)}
    if shard.last_number is not None:
        numbers["EndingSequenceNumber"] = str(shard.last_number)
    described: dict[str, Any] = {"ShardId": shard.id, "SequenceNumberRange": numbers}
    if shard.parent_id is not None:
        described["ParentShardId"] = shard.parent_id
    return described


def _filtered(shards: list[SimulatedShard], shard_filter: Any) -> list[SimulatedShard]:
    if not shard_filter:
        return shards
    if shard_filter.get("Type") != "CHILD_SHARDS" or not shard_filter.get("ShardId"):
        raise AwsError("ValidationException", _PARAMETER + "Invalid ShardFilter")
    return [shard for shard in shards if shard.parent_id == shard_filter["ShardId"]]


def _shard_of(stream: SimulatedStream, shard_id: str) -> SimulatedShard:
    try:
        return stream.shard(shard_id)
    except KeyError:
        message = f"Requested resource not found: Shard: {shard_id} in Stream: {stream.arn} not found"
        raise AwsError("ResourceNotFoundException", message) from None


def _position(stream: SimulatedStream, shard: SimulatedShard, content: dict[str, Any]) -> int:
    """Return the sequence number behind which an iterator stands."""
    kind, text = content.get("ShardIteratorType"), content.get("SequenceNumber")
    if kind in {"TRIM_HORIZON", "LATEST"}:
        if text is not None:
            message = "SequenceNumber should not be passed for this iterator type"
            raise AwsError("ValidationException", _PARAMETER + message)
        return shard.horizon() if kind == "TRIM_HORIZON" else stream.last_number()
    if kind not in {"AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER"}:
        raise AwsError("ValidationException", "Invalid ShardIteratorType.")
    number = _sequence_number(stream, shard, text)
    return number if kind == "AFTER_SEQUENCE_NUMBER" else number - 1


def _sequence_number(stream: SimulatedStream, shard: SimulatedShard, text: Any) -> int:
    if not isinstance(text, str) or not (text.isascii() and text.isdigit()):
        raise AwsError("ValidationException", _PARAMETER + "Invalid SequenceNumber")
    number = int(text)
    last = stream.last_number() if shard.last_number is None else shard.last_number
    if not shard.first_number <= number <= last:
        raise AwsError("ValidationException", "Invalid SequenceNumber for the shard")
    if shard.is_trimmed(number):
        raise AwsError("TrimmedDataAccessException")
    return number


def _limit(content: dict[str, Any], most: int) -> int:
    limit = content.get("Limit", most)
    if type(limit) is not int or not 1 <= limit <= most:
        raise AwsError("ValidationException", f"{_PARAMETER}Limit must be from 1 to {most}")
    return limit


def _page(
    things: Sequence[T], key: Callable[[T], str], exclusive_start: str | None, limit: int
) -> tuple[Sequence[T], bool]:
    """Return those that follow one, which may be gone by now, and whether there are more. They are sorted."""
    rest = [thing for thing in things if exclusive_start is None or key(thing) > exclusive_start]
    return rest[:limit], len(rest) > limit
