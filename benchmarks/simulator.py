"""Records of 1 KB that the stream simulator serves to a reader which discards them, against DynamoDB Local.

This is a ceiling: nothing that reads from the simulator can be faster.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any, Final
from urllib.parse import urlsplit

from benchmarks.frame import Case
from benchmarks.sources import insert
from record_processor.testing import DynamoDBLocal, StreamSimulator, create_stream_table
from record_processor.testing.aws import local_client

_SHARDS: Final = 4
_SIMULATED_RECORDS: Final = 100_000
_LOCAL_RECORDS: Final = 20_000
_RECORD_BYTES: Final = 1024
_ENVELOPE_BYTES: Final = 26  # keys, and what an item has besides its payload
_WRITERS: Final = 4
_BATCH: Final = 500
"""A writer writes so many at a time."""
_AUTHORIZATION: Final = (
    "AWS4-HMAC-SHA256 Credential=a/20200101/eu-west-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0"
)


@dataclass(frozen=True, slots=True)
class Source:
    """A stream that is served."""

    endpoint: str
    shards: list[tuple[str, int]]
    """An iterator at the beginning of each, and how many records it must find."""


def cases() -> Iterator[Case]:
    """Yield one shard, in records and in megabytes, and as many as there are, read at once."""
    with _simulator() as simulator, _dynamodb_local() as local:
        (simulated, *_), (real,) = simulator.shards, local.shards
        yield Case(
            "1-shard",
            "records/s",
            more_is_better=True,
            ours=lambda: _records_per_second(simulator.endpoint, [simulated]),
            stock=lambda: _records_per_second(local.endpoint, [real]),
        )
        yield Case(
            "1-shard-bytes",
            "MB/s",
            more_is_better=True,
            ours=lambda: _records_per_second(simulator.endpoint, [simulated]) * _RECORD_BYTES / 1e6,
            stock=lambda: _records_per_second(local.endpoint, [real]) * _RECORD_BYTES / 1e6,
        )
        yield Case(
            f"{_SHARDS}-readers",
            "records/s",
            more_is_better=True,
            ours=lambda: _records_per_second(simulator.endpoint, simulator.shards),
            stock=lambda: _records_per_second(local.endpoint, [real] * _SHARDS),
        )


# What serves


@contextmanager
def _simulator() -> Iterator[Source]:
    """Run a simulator in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.simulator"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        ready = json.loads(server.stdout.readline())
        iterators = _iterators(ready["endpoint"], "eu-west-1", ready["arn"])
        yield Source(ready["endpoint"], list(zip(iterators, ready["counts"], strict=True)))
        server.stdin.close()


def _serve() -> None:
    """Be that process: until standard input ends."""
    with StreamSimulator() as simulator:
        stream = simulator.create_stream("orders", _SHARDS, "NEW_IMAGE")
        for n in range(_SIMULATED_RECORDS):
            item = _item(n)
            stream.put({"pk": item["pk"]}, item)
        counts = [shard.written_count for shard in stream.shards]
        print(json.dumps({"endpoint": simulator.endpoint, "arn": stream.arn, "counts": counts}), flush=True)
        sys.stdin.read()


@contextmanager
def _dynamodb_local() -> Iterator[Source]:
    with DynamoDBLocal() as server:
        client = server.client()
        table = create_stream_table(client, "orders", "NEW_IMAGE")
        starts = range(0, _LOCAL_RECORDS, _BATCH)
        with ThreadPoolExecutor(_WRITERS) as writers:
            list(writers.map(lambda start: _write(client, start), starts))
        (iterator,) = _iterators(server.endpoint, "us-east-1", table.stream_arn)
        yield Source(server.endpoint, [(iterator, _LOCAL_RECORDS)])


def _write(client: Any, start: int) -> None:
    items = [_item(n) for n in range(start, start + _BATCH)]
    insert(client, "orders", [{name: {"S": value} for name, value in item.items()} for item in items])


def _item(n: int) -> dict[str, str]:
    return {"pk": f"{n:08}", "text": "x" * (_RECORD_BYTES - _ENVELOPE_BYTES)}


def _iterators(endpoint: str, region: str, arn: str) -> list[str]:
    streams = local_client("dynamodbstreams", endpoint, region)
    shards = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
    return [
        streams.get_shard_iterator(StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON")[
            "ShardIterator"
        ]
        for shard in shards
    ]


# What reads


def _records_per_second(endpoint: str, shards: Sequence[tuple[str, int]]) -> float:
    """Read shards at once, each over a connection of its own."""
    with ThreadPoolExecutor(len(shards)) as readers:
        begin = time.perf_counter()
        counts = list(readers.map(lambda shard: _read_all(endpoint, shard[0]), shards))
        seconds = time.perf_counter() - begin
    assert counts == [expected for _, expected in shards]
    return sum(counts) / seconds


def _read_all(endpoint: str, iterator: str) -> int:
    """Read a shard to its last record; return how many there were."""
    address = urlsplit(endpoint)
    connection = HTTPConnection(address.hostname or "", address.port)
    total = 0
    while page := _page(connection, iterator):
        count, iterator = page
        total += count
    connection.close()
    return total


def _page(connection: HTTPConnection, iterator: str) -> tuple[int, str] | None:
    """Read a page; return how many records it has, and the next iterator. Nothing is decoded but that."""
    headers = {
        "X-Amz-Target": "DynamoDBStreams_20120810.GetRecords",
        "Content-Type": "application/x-amz-json-1.0",
        "Authorization": _AUTHORIZATION,
    }
    connection.request("POST", "/", json.dumps({"ShardIterator": iterator}), headers)
    body = connection.getresponse().read()
    count = body.count(b'"SequenceNumber":')
    begin = body.rindex(b'"NextShardIterator":"') if body[2:3] != b"N" else 1
    following = body[begin + len('"NextShardIterator":"') :].partition(b'"')[0].decode("ascii")
    return (count, following) if count else None


if __name__ == "__main__":
    _serve()
