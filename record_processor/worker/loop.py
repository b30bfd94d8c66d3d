"""The only loop of a worker: one shard from `initialize` to its end. Called by shard, once."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from record_processor.change import Change
from record_processor.errors import ProtocolError
from record_processor.models import converter
from record_processor.pipeline.deliver import Delivery
from record_processor.pipeline.retry import Backoff
from record_processor.processor import RecordProcessor, ShardContext, TeardownReason
from record_processor.record import Record, RecordSource
from record_processor.values import IMAGE_DECODERS
from record_processor.worker.checkpointer import ShardCheckpointer
from record_processor.worker.conversation import Conversation
from record_processor.worker.messages import (
    Initialize,
    LeaseAnswer,
    LeaseLost,
    ProcessRecords,
    ShardEnded,
    ShutdownRequested,
)

_log = logging.getLogger("record_processor")


@dataclass(frozen=True, slots=True)
class Options:
    """What the settings say about a worker."""

    backoff: Backoff
    numbers: str = "int"
    """`int` or `decimal`, the property's value."""


class SetupFailedError(Exception):
    """The user's `__init__` or `setup` raised; it was logged."""


def run(conversation: Conversation, make_processor: Callable[[], RecordProcessor], options: Options) -> None:
    """Handle one shard, until the daemon ends it.

    Raises SetupFailedError, ProtocolError or DaemonGoneError: after each the daemon replaces the worker.
    """
    message = conversation.receive()
    if not isinstance(message, Initialize):
        raise ProtocolError("the daemon's first message is not initialize")
    checkpointer = ShardCheckpointer(conversation)
    processor = _set_up(make_processor, message, checkpointer)
    conversation.say_done(message.action)
    source = _source(message, processor, options)
    _Shard(conversation, processor, checkpointer, source, options.backoff).run()


def _set_up(
    make_processor: Callable[[], RecordProcessor], shard: Initialize, checkpointer: ShardCheckpointer
) -> RecordProcessor:
    try:
        processor = make_processor()
        processor.setup(
            ShardContext(shard.stream_arn, shard.table_name, shard.shard_id, shard.worker_id, checkpointer)
        )
    except Exception as error:
        _log.exception("%s: setup failed; the worker is replaced", shard.shard_id)
        raise SetupFailedError from error
    return processor


def _source(shard: Initialize, processor: RecordProcessor, options: Options) -> RecordSource:
    model = type(processor).model  # the class's, which was checked; handlers may call anything model
    return RecordSource(
        shard.stream_arn,
        shard.table_name,
        shard.shard_id,
        IMAGE_DECODERS[options.numbers],
        converter(model) if model else None,
    )


class _Shard:
    """A shard whose record processor is set up."""

    def __init__(
        self,
        conversation: Conversation,
        processor: RecordProcessor,
        checkpointer: ShardCheckpointer,
        source: RecordSource,
        backoff: Backoff,
    ) -> None:
        self._conversation = conversation
        self._processor = processor
        self._checkpointer = checkpointer
        self._source = source
        self._delivery = Delivery(processor, checkpointer, backoff, self._is_abandoned)

    def run(self) -> None:
        """Do what the daemon says, message by message."""
        is_over = False
        while not is_over:
            message = self._conversation.receive()
            match message:
                case ProcessRecords():
                    self._process(message.records)
                case LeaseAnswer():
                    pass  # what it says was noted when it came
                case LeaseLost() | ShardEnded() | ShutdownRequested():
                    self._end(message)
                    is_over = True
                case _:
                    raise ProtocolError(f"the daemon's {message.action} came out of turn")

    def _process(self, changes: list[Change]) -> None:
        """Handle a batch. What is abandoned is not acknowledged: it goes to the shard's next worker."""
        token = self._conversation.fencing_token
        self._checkpointer.batch_begins()
        # One after the other: what was decoded of a record that is handled is not kept.
        if self._delivery.deliver(Record(change, self._source, token) for change in changes):
            self._checkpointer.acknowledge()

    def _end(self, message: LeaseLost | ShardEnded | ShutdownRequested) -> None:
        """Leave the shard. The rest is the daemon's: it stores the checkpoint, if the lease is still ours."""
        self._checkpointer.acknowledge()
        self._tear_down(TeardownReason(message.action))
        self._conversation.say_done(message.action)

    def _tear_down(self, reason: TeardownReason) -> None:
        try:
            self._processor.teardown(reason)
        except Exception:  # noqa: BLE001  # whatever it is, the shard is over
            _log.exception("%s: teardown failed", self._source.shard_id)

    def _is_abandoned(self, timeout_seconds: float) -> bool:
        return self._checkpointer.is_lease_lost or self._conversation.is_stopped(timeout_seconds)
