"""The only loop of a worker: one shard from `initialize` to its end. Called by shard, once."""

from __future__ import annotations

import logging
import time
from typing import Any, Final

from record_processor.errors import ProtocolError
from record_processor.pipeline.failures import one_line
from record_processor.pipeline.pipeline import Pipeline, Work
from record_processor.pipeline.runner import Runner
from record_processor.processor import RecordProcessor, ShardContext, TeardownReason
from record_processor.record import Record, RecordSource
from record_processor.settings import Settings
from record_processor.stores import name_this_process
from record_processor.worker.assembly import Parts, source_of
from record_processor.worker.checkpointer import ShardCheckpointer
from record_processor.worker.conversation import Conversation
from record_processor.worker.messages import (
    Initialize,
    LeaseAnswer,
    LeaseLost,
    Message,
    ProcessRecords,
    ShardEnded,
    ShutdownRequested,
)

_log = logging.getLogger("record_processor")

_PROGRESS_PER_TIMEOUT: Final = 20
"""So often, within timeoutInSeconds, the daemon hears that handlers get on."""


class SetupFailedError(Exception):
    """The user's `__init__` or `setup` raised; it was logged."""


class HungError(Exception):
    """A handler takes longer than timeoutInSeconds, and cannot be ended without its process."""


def run(
    conversation: Conversation,
    processor: type[RecordProcessor[Any]],
    settings: Settings,
    parts: Parts = Parts(),  # noqa: B008  # it is immutable
) -> None:
    """Handle one shard, until the daemon ends it.

    Raises SetupFailedError, HungError, ProtocolError or DaemonGoneError: after each the daemon replaces the
    worker.
    """
    message = conversation.receive()
    if not isinstance(message, Initialize):
        raise ProtocolError("the daemon's first message is not initialize")
    name_this_process(f"{message.worker_id}/{message.shard_id}")
    checkpointer = ShardCheckpointer(conversation, parts.clock)
    source = source_of(message, processor, settings)
    runner = parts.runner_of(message, processor, settings, source)
    _set_up(runner, processor, message, checkpointer)
    conversation.say_done(message.action)
    pipeline = parts.pipeline_of(processor, settings, runner, checkpointer.is_stored)
    if message.one_by_one_up_to:
        pipeline.be_careful(message.one_by_one_up_to, message.attempts)
    _Shard(conversation, checkpointer, pipeline, runner, source).run()


def _set_up(
    runner: Runner,
    processor: type[RecordProcessor[Any]],
    shard: Initialize,
    checkpointer: ShardCheckpointer,
) -> None:
    context = ShardContext(shard.stream_arn, shard.table_name, shard.shard_id, shard.worker_id, checkpointer)
    try:
        runner.set_up(processor, context)
    except Exception as error:
        _log.exception("%s: setup failed; the worker is replaced", shard.shard_id)
        raise SetupFailedError from error


class _Shard:
    """A shard whose record processor is set up."""

    def __init__(
        self,
        conversation: Conversation,
        checkpointer: ShardCheckpointer,
        pipeline: Pipeline,
        runner: Runner,
        source: RecordSource,
    ) -> None:
        self._conversation = conversation
        self._checkpointer = checkpointer
        self._pipeline = pipeline
        self._runner = runner
        self._source = source
        self._timeout_seconds = runner.means.timeout_seconds
        self._progress_at = 0.0
        self._began: dict[Work, float] = {}
        """When what runs began, in seconds of `time.monotonic`."""
        self._ending: LeaseLost | ShardEnded | ShutdownRequested | None = None
        """The daemon's last words."""
        runner.goes_on = self._goes_on
        if runner.fd is not None:
            conversation.wake_on(runner.fd)

    def run(self) -> None:
        """Hear the daemon and have handlers run, until the shard is over."""
        while not self._is_over:
            for message in self._conversation.arrived(self._seconds_to_wait()):
                self._hear(message)
            self._take_finished()
            self._run_what_may_run()
        self._end()

    @property
    def _is_over(self) -> bool:
        """What runs when the shard is left is waited for; at its own end, all that came before that."""
        if self._pipeline.in_flight:
            return False
        if isinstance(self._ending, ShardEnded):
            return self._pipeline.is_empty or self._pipeline.fatal is not None
        return bool(self._ending or self._pipeline.fatal)

    # What the daemon says

    def _hear(self, message: Message) -> None:
        match message:
            case ProcessRecords():
                token = self._conversation.fencing_token
                self._pipeline.add([Record(change, self._source, token) for change in message.records])
            case LeaseAnswer():
                pass  # what it says was noted when it came
            case LeaseLost():
                self._ending = message
                self._runner.cancel()  # another host does it now
            case ShardEnded() | ShutdownRequested():
                self._ending = message
            case _:
                raise ProtocolError(f"the daemon's {message.action} came out of turn")

    # What is run

    def _run_what_may_run(self) -> None:
        """Begin with everything that may run now: the lease's deadline is looked at before each."""
        while self._may_run() and (work := self._pipeline.next()):
            entries = work.portion.entries
            self._checkpointer.handing_out(entries[0 if work.is_series else -1].record)
            self._say_progress()
            self._began[work] = time.monotonic()
            self._runner.run(work)
            if self._runner.fd is None:
                self._take_finished()
                return  # the daemon may have said something meanwhile

    def _goes_on(self, work: Work) -> Record | None:
        """Do, between two records of a series, what is done between two works."""
        record = self._pipeline.goes_on(work)
        self._checkpointer.handled(self._pipeline.settled)
        if record is not None:
            self._conversation.look()
            if not self._may_run():
                return None
            self._checkpointer.handing_out(record)
            self._say_progress()
        return record

    def _may_run(self) -> bool:
        is_ours = not (self._conversation.is_interrupted or self._checkpointer.is_lease_lost)
        return is_ours and self._conversation.seconds_until_lease() is None

    def _take_finished(self) -> None:
        for work, outcome in self._runner.take_finished():
            del self._began[work]
            if self._conversation.is_lease_lost:
                self._pipeline.abandoned(work)
                continue
            is_careful = self._pipeline.is_careful
            self._pipeline.finished(work, outcome)
            self._checkpointer.handled(self._pipeline.settled)
            if is_careful:
                self._checkpointer.acknowledge()

    # What is waited for

    def _seconds_to_wait(self) -> float | None:
        """Return how long nothing can be done but wait, None for ever; what was handled is said before."""
        seconds = self._seconds_until_work()
        if seconds != 0:
            self._checkpointer.acknowledge()
            if self._timeout_seconds and not self._pipeline.is_empty:
                seconds = min(self._seconds_until_progress(), seconds if seconds is not None else 1e9)
        return seconds

    def _seconds_until_work(self) -> float | None:
        if self._conversation.is_interrupted or self._checkpointer.is_lease_lost:
            return None
        due = self._pipeline.due_in_seconds()
        lease = self._conversation.seconds_until_lease() if due is not None else None
        return due if lease is None else lease

    def _seconds_until_progress(self) -> float:
        assert self._timeout_seconds is not None
        self._end_if_hung(self._timeout_seconds)
        self._say_progress()
        return self._timeout_seconds / _PROGRESS_PER_TIMEOUT

    def _say_progress(self) -> None:
        """Let timeoutInSeconds be the limit of one call, not of all that the daemon has sent."""
        if self._timeout_seconds is None:
            return
        now = time.monotonic()
        if now >= self._progress_at:
            self._progress_at = now + self._timeout_seconds / _PROGRESS_PER_TIMEOUT
            self._conversation.say_progress()

    def _end_if_hung(self, timeout_seconds: float) -> None:
        limit = timeout_seconds + self._runner.cancel_seconds
        oldest = next(iter(self._began), None)
        if oldest and time.monotonic() - self._began[oldest] > limit:
            number = oldest.records[0].sequence_number
            raise HungError(
                f"{self._source.shard_id}: record {number}: no answer within "
                f"timeoutInSeconds = {timeout_seconds:g}"
            )

    # The end

    def _end(self) -> None:
        """Leave the shard. The rest is the daemon's: it stores the checkpoint, if the lease is still ours."""
        self._checkpointer.acknowledge()
        if self._ending is None or (isinstance(self._ending, ShardEnded) and self._pipeline.fatal):
            reason = one_line(self._pipeline.fatal)
            _log.error(
                "%s: the shard is stopped: %s", self._source.shard_id, reason, exc_info=self._pipeline.fatal
            )
            self._conversation.say_fatal(reason)
            return
        self._tear_down(TeardownReason(self._ending.action))
        self._conversation.say_done(self._ending.action)

    def _tear_down(self, reason: TeardownReason) -> None:
        try:
            self._runner.tear_down(reason)
        except Exception:  # noqa: BLE001  # whatever it is, the shard is over
            _log.exception("%s: teardown failed", self._source.shard_id)
