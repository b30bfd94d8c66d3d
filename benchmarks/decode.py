"""Bytes on the wire to Python values: our worker's reading, and amazon_kclpy's with boto3's deserialiser.

Both read the same records from a file, as the daemon's real encoders wrote them for each. Cases are named by
the size of the items and by what the handler looks at: the keys, the keys and the new image, or all there is.
Stock's program decodes a record before it looks at it, as there is nothing lazy in its parts; in the cases
`sparing` it is one that takes care to decode only what it looks at.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any, Final

from amazon_kclpy import kcl
from amazon_kclpy.v3.processor import RecordProcessorBase
from boto3.dynamodb.types import TypeDeserializer

from benchmarks import encoder, orders
from benchmarks.frame import Case, per_cpu_second
from benchmarks.java import ROOT
from record_processor.record import Record, RecordSource
from record_processor.worker.channel import DaemonGoneError, FrameChannel
from record_processor.worker.conversation import Conversation
from record_processor.worker.messages import FRAMES, ProcessRecords

BUILD: Final = ROOT / "target" / "benchmarks"
"""Where what was encoded is kept."""

BATCHES: Final = 5
"""How many are in a file."""

TOUCHED: Final[dict[str, tuple[str, ...]]] = {
    "keys": ("Keys",),
    "image": ("Keys", "NewImage"),
    "all": ("Keys", "NewImage", "OldImage"),
}
"""What the handler looks at, by the stream record's names."""

EVERYTHING: Final = TOUCHED["all"]
SPARING: Final = ("keys", "image")

OURS: Final = {"Keys": "keys", "NewImage": "new_image", "OldImage": "old_image"}
"""What they are called in a Record."""

_SOURCE: Final = RecordSource(
    "arn:aws:dynamodb:eu-west-1:123456789012:table/orders/stream/2026-11-23T23:45:06.970",
    "orders",
    "shardId-1",
)
_deserialize = TypeDeserializer().deserialize


def cases() -> Iterator[Case]:
    """Give the cases of each size."""
    for size in orders.SIZES:
        frames, lines = encoded(size)
        for name, attributes in TOUCHED.items():
            yield _case(f"{size}-{name}", frames, attributes, lines, EVERYTHING)
        for name in SPARING:
            yield _case(f"{size}-{name}-sparing", frames, TOUCHED[name], lines, TOUCHED[name])


def _case(name: str, frames: Path, ours: Sequence[str], lines: Path, stock: Sequence[str]) -> Case:
    look = attrgetter(*(OURS[attribute] for attribute in ours))
    return Case(
        name,
        unit="records/s",
        more_is_better=True,
        ours=per_cpu_second(partial(read_ours, frames, look)),
        stock=per_cpu_second(partial(read_stock, lines, partial(deserialized, stock))),
    )


def read_ours(frames: Path, handle: Callable[[Record], object]) -> int:
    """Read a file of frames, handing on one record at a time; return how many."""
    count = 0
    conversation = Conversation(FrameChannel(os.open(frames, os.O_RDONLY)), FRAMES)
    with closing(conversation), suppress(DaemonGoneError):  # which is the file's end
        while True:
            message = conversation.receive()
            assert isinstance(message, ProcessRecords)
            for change in message.records:
                handle(Record(change, _SOURCE, message.fencing_token))
                count += 1
    return count


def read_stock(lines: Path, handle: Callable[[dict[str, Any]], object]) -> int:
    """Read a file of lines by amazon_kclpy's loop, handing on each record's JSON; return how many."""
    program, errors = _Program(handle), io.StringIO()
    with lines.open(encoding="utf-8") as standard_input:
        kcl.KCLProcess(program, standard_input, io.StringIO(), errors).run()
    if errors.getvalue():  # it goes on after an exception
        raise RuntimeError(errors.getvalue())
    return program.count


class _Program(RecordProcessorBase):  # type: ignore[misc]
    """What people write for amazon_kclpy to follow a table."""

    def __init__(self, handle: Callable[[dict[str, Any]], object]) -> None:
        self._handle = handle
        self.count = 0

    def process_records(self, process_records_input: Any) -> None:
        for record in process_records_input.records:
            self._handle(json.loads(record.binary_data)["dynamodb"])
            self.count += 1


def deserialized(attributes: Sequence[str], change: dict[str, Any]) -> list[dict[str, Any]]:
    """Return keys and images as boto3 makes them."""
    return [
        {name: _deserialize(value) for name, value in change[attribute].items()} for attribute in attributes
    ]


def encoded(size: str) -> tuple[Path, Path]:
    """Return the files with a size's batches: of frames, and of lines. What was encoded once is kept."""
    batches = orders.batches(size, BATCHES)
    folder = BUILD / hashlib.sha256(f"{encoder.PROGRAM.version()} {json.dumps(batches)}".encode()).hexdigest()
    frames, lines = folder / f"{size}.frames", folder / f"{size}.lines"
    if not lines.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with encoder.Encoder() as jvm:
            both = [jvm.encode(batch) for batch in batches]
        _write(frames, b"".join(each.frame for each in both))
        _write(lines, b"".join(each.line for each in both))
    return frames, lines


def _write(path: Path, content: bytes) -> None:
    """Write a file in one step, so that there is never half of one."""
    new = path.with_suffix(f".{os.getpid()}")
    new.write_bytes(content)
    new.replace(path)
