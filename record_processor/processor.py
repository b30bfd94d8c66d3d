"""RecordProcessor, the class users subclass, and what it is given.

The worker makes one instance for each shard, in a process of its own. Unless handlers run at once, which
parallelizationFactor says, it calls it from one thread.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Generic, Protocol, TypeAlias

from record_processor.errors import BatchItemFailures
from record_processor.models import Item
from record_processor.record import Record

Done: TypeAlias = Awaitable[None] | None
"""What a handler returns: nothing, from a plain method or from an `async def`."""
BatchDone: TypeAlias = BatchItemFailures | Mapping[str, Any] | None
"""What `process_batch` returns: nothing, or which records failed, in our words or in Lambda's."""


class TeardownReason(str, Enum):
    """Why a shard leaves this worker. The words are KCL's."""

    LEASE_LOST = "leaseLost"
    """Another worker owns the shard now, from the last checkpoint on; nothing can be checkpointed."""
    SHARD_ENDED = "shardEnded"
    """Every record of the shard was handled; its children follow."""
    SHUTDOWN_REQUESTED = "shutdownRequested"
    """This host drains; what was handled is checkpointed."""


class Checkpointer(Protocol):
    """Stores by hand how far a shard was handled. Nobody must: `checkpointIntervalMillis` does it, too."""

    def checkpoint(self, record: Record[Any] | None = None) -> None:
        """Store now that `record` and all before it are done; without one, every record handled so far.

        Call it from the worker's first thread: where handlers run that are plain methods, without
        parallelizationFactor. Raises a CheckpointError: LeaseLostError,
        ThrottlingError, DependencyError, InvalidStateError, or CheckpointError itself when `record` lies
        beyond what was handed out, or the thread is another one.

        Even if storing failed, the daemon takes as done what was declared so: a worker that replaces this one
        does not get it again.
        """


@dataclass(frozen=True, slots=True)
class ShardContext:
    """What a record processor is told about its shard."""

    stream_arn: str
    """The ARN of the stream; empty if the daemon does not say."""
    table_name: str
    """The table that the stream belongs to; empty if the daemon does not say."""
    shard_id: str
    """The shard, such as `shardId-00000001700000000000-a1b2c3d4`."""
    worker_id: str
    """The host's `workerId`, as in the lease table; empty if the daemon does not say."""
    checkpointer: Checkpointer
    """Stores by hand how far the shard was handled."""


class RecordProcessor(Generic[Item]):
    """Handles the changes of a table. Subclass it and override what you need; `__init__` takes no arguments.

    Override `on_insert`, `on_modify` and `on_remove`; or `process_record` for all of them; or `process_batch`
    to handle many at once. A method that returns says that its records are done, their effects durable. One
    that raises is called again with the same records, after a growing pause, until it returns, or until the
    properties say that they are given up; some exceptions say what else becomes of a record. No record
    behind it of the same key runs ahead. See docs/error-handling.md.

    A bare `RecordProcessor` is given items as dicts, `RecordProcessor[Order]` as objects of its `model`,
    Order.
    """

    model: type[Item] | None = None
    """What a record's `item`, `new_image` and `old_image` are made of; None for dicts.

    It is a dataclass, a msgspec.Struct, a pydantic model or a pydantic dataclass. An item that does not fit
    raises ModelError when the handler touches it.
    """

    cpu_bound: bool = False
    """Whether its handlers compute, rather than wait. With parallelizationFactor > 1 they run in processes.

    Each process has an instance of its own. Not for `async def`.
    """

    def setup(self, context: ShardContext) -> Done:
        """Open clients and connections, before the first record of a shard.

        An exception ends the worker, and it is replaced after a pause.
        """

    def teardown(self, reason: TeardownReason) -> Done:
        """Close what `setup` opened, after the last record of a shard. Not called when the process is killed.

        An exception is logged and changes nothing.
        """

    def on_insert(self, record: Record[Item]) -> Done:
        """Handle an item that was added."""

    def on_modify(self, record: Record[Item]) -> Done:
        """Handle an item that was changed."""

    def on_remove(self, record: Record[Item]) -> Done:
        """Handle an item that was deleted, by a client or by time to live (`record.is_ttl_delete`)."""

    def process_record(self, record: Record[Item]) -> Done:
        """Handle one record; unless overridden, by `on_insert`, `on_modify` or `on_remove`.

        Raises ValueError for an event name that DynamoDB Streams does not have.
        """
        match record.event_name:
            case "INSERT":
                return self.on_insert(record)
            case "MODIFY":
                return self.on_modify(record)
            case "REMOVE":
                return self.on_remove(record)
            case _:
                raise ValueError(f"record {record.sequence_number} is neither INSERT, MODIFY nor REMOVE")

    def process_batch(self, records: Sequence[Record[Item]]) -> Awaitable[BatchDone] | BatchDone:
        """Handle a batch, in the order of its records; unless overridden, by `process_record` for each.

        If it raises, it is called again with the same records, without those checkpointed by hand. It may
        return or raise BatchItemFailures to say which records failed, or return Lambda's response; anything
        else but None is an error.
        """
        for record in records:
            self.process_record(record)
        return None
