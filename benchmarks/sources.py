"""Tables and streams for whole-system benchmarks, with changes that say when they were written."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from benchmarks.events import WRITTEN
from benchmarks.system import Source
from record_processor.testing import DynamoDBLocal, SimulatedStream, StreamSimulator, create_stream_table

REGION: Final = "us-east-1"
WRITES_PER_SECOND: Final = 5
_CALL: Final = 25
"""BatchWriteItem takes no more."""

Write = Callable[[], None]
"""Writes one change."""


class Folders:
    """A folder, and an application's name, for each run."""

    def __init__(self, root: Path) -> None:
        """Make them below a folder."""
        self._root = root
        self._numbers = count(1)

    def new(self, name: str = "run") -> tuple[Path, str]:
        """Return the next folder, and the name of its application."""
        folder = self._root / f"{name}-{next(self._numbers)}"
        folder.mkdir(mode=0o700)
        return folder, folder.name


@contextmanager
def folders() -> Iterator[Folders]:
    """Give folders that are deleted at the end."""
    with TemporaryDirectory(ignore_cleanup_errors=True) as root:
        yield Folders(Path(root))


@contextmanager
def local_tables() -> Iterator[Callable[[], tuple[Source, Write]]]:
    """Give what makes a table with a stream in DynamoDB Local, and what writes to it."""
    with DynamoDBLocal() as server:
        client = server.client()
        numbers = count(1)

        def made() -> tuple[Source, Write]:
            table = create_stream_table(client, f"orders-{next(numbers)}")
            changes = count()

            def write() -> None:
                item = _item(next(changes))
                client.put_item(TableName=table.name, Item={name: _typed(item[name]) for name in item})

            return Source(server.endpoint, REGION, table.name, table.stream_arn), write

        yield made


@contextmanager
def simulated_stream(shards: int = 1) -> Iterator[tuple[Source, SimulatedStream, StreamSimulator]]:
    """Give a simulated stream; its leases are in DynamoDB Local."""
    with DynamoDBLocal() as server, StreamSimulator(server.endpoint) as simulator:
        stream = simulator.create_stream("orders", shards, "NEW_IMAGE")
        yield Source(simulator.endpoint, simulator.region, "orders", stream.arn), stream, simulator


def simulated_writer(stream: SimulatedStream) -> Write:
    """Return what writes one change to a simulated stream, to one shard after the other."""
    changes = count()

    def write() -> None:
        item = _item(next(changes))
        stream.put({"pk": item["pk"]}, item)

    return write


def insert(client: Any, table: str, items: Sequence[dict[str, Any]]) -> None:
    """Write items in DynamoDB JSON to a table, one after the other."""
    for start in range(0, len(items), _CALL):
        requests: Any = {table: [{"PutRequest": {"Item": item}} for item in items[start : start + _CALL]]}
        while requests:
            requests = client.batch_write_item(RequestItems=requests)["UnprocessedItems"]


@contextmanager
def writing(write: Write, per_second: float = WRITES_PER_SECOND) -> Iterator[None]:
    """Write so often while the block runs."""
    ended = threading.Event()

    def run() -> None:
        due = time.monotonic()
        while not ended.wait(max(0, due - time.monotonic())):
            write()
            due += 1 / per_second

    writer = threading.Thread(target=run, daemon=True)
    writer.start()
    try:
        yield
    finally:
        ended.set()
        writer.join()


def _item(number: int) -> dict[str, Any]:
    return {"pk": f"{number:08}", WRITTEN: time.monotonic_ns() // 1000, "status": "open"}


def _typed(value: str | int) -> dict[str, str]:
    return {"S": value} if isinstance(value, str) else {"N": str(value)}
