"""Runs works in processes: for handlers that compute, of which one Python process runs one at a time.

The worker forks them when the shard is set up, before it has threads. Each has its own instance of the user's
class, and its thread in the worker, which hands it records and waits: MessagePack over a socket pair. If
one dies the worker does, too, and the daemon counts that, as for any other worker.
"""

from __future__ import annotations

import os
import select
import socket
import threading
from collections.abc import Callable, Sequence
from functools import partial
from traceback import format_exception
from typing import Final

import msgspec

from record_processor.change import Change
from record_processor.errors import (
    BatchItemFailures,
    FatalError,
    InProgressError,
    ParkRecordError,
    RecordProcessorError,
    RetryableError,
    SkipRecordError,
)
from record_processor.pipeline.call import Handler
from record_processor.pipeline.failures import one_line
from record_processor.pipeline.runner import MakeProcessor, Means
from record_processor.pipeline.threads import ThreadRunner
from record_processor.processor import ShardContext, TeardownReason
from record_processor.record import Record, RecordSource
from record_processor.stores import name_this_process
from record_processor.values import JsonImage
from record_processor.worker import tether

_LENGTH_BYTES: Final = 4
_OUTCOMES: Final[tuple[type[RecordProcessorError], ...]] = (
    FatalError,
    SkipRecordError,
    ParkRecordError,
    InProgressError,
    RetryableError,  # whatever else it is
)
"""What decides about a record; an exception is the first of these that it is one of."""


class ChildDiedError(BaseException):
    """A child ended by itself. No `Exception`: it is not one record's failure, as far as anybody knows."""


class _Sent(msgspec.Struct, array_like=True):
    """A record on its way to a child."""

    sequence_number: str
    event_name: str | None
    parts: tuple[bytes, bytes, bytes, bytes]
    is_json: bool
    fencing_token: int


class _Order(msgspec.Struct, array_like=True):
    """What a child is to do: handle records, or end."""

    records: list[_Sent] = []
    teardown: str | None = None


class _Failure(msgspec.Struct, array_like=True):
    """An exception, as a child tells it."""

    outcome: int
    text: str
    traceback: str


class _Answer(msgspec.Struct, array_like=True):
    """What came of an order."""

    failure: _Failure | None = None
    each: dict[str, _Failure | None] | None = None


class ChildRunner(ThreadRunner):
    """So many processes, each with a thread here."""

    def __init__(self, count: int, means: Means, source: RecordSource) -> None:
        """Take how many there are, what is needed besides the handler, and where records come from."""
        super().__init__(count, means)
        self._source = source
        self._children: list[_Child] = []

    def set_up(self, make_processor: MakeProcessor, context: ShardContext) -> None:
        self._children = [
            _Child(f"{context.worker_id}#{number}/{context.shard_id}", make_processor, context, self._source)
            for number in range(self._count)
        ]
        for child in self._children:
            child.wait_until_set_up()
        self._use([child.handle for child in self._children])
        for child in self._children:
            threading.Thread(target=self._watch, args=(child,), name="watch", daemon=True).start()

    def _watch(self, child: _Child) -> None:
        """See that a child has ended, though it has nothing to do."""
        child.wait_until_ended()
        self._finished.put_end(child.death())

    def tear_down(self, reason: TeardownReason) -> None:
        for child in self._children:
            child.tear_down(reason)


class _Child:
    """One of them, as the worker sees it."""

    def __init__(
        self, name: str, make_processor: MakeProcessor, context: ShardContext, source: RecordSource
    ) -> None:
        ours, theirs = socket.socketpair()
        parent = os.getpid()
        self.pid = os.fork()
        if not self.pid:
            ours.close()
            name_this_process(name)
            _run_child(_Pipe(theirs), parent, make_processor, context, source)
        theirs.close()
        self._pipe = _Pipe(ours)

    def wait_until_set_up(self) -> None:
        """Raises what `setup` raised."""
        if error := self._read():
            raise error

    def wait_until_ended(self) -> None:
        """Wait until nobody has the other end of the pipe."""
        self._pipe.wait_until_closed()

    def handle(self, records: Sequence[Record]) -> Exception | None:
        self._write(_Order([_sent(record) for record in records]))
        return self._read()

    def tear_down(self, reason: TeardownReason) -> None:
        self._write(_Order(teardown=reason.value))
        if error := self._read():
            raise error

    def _write(self, order: _Order) -> None:
        try:
            self._pipe.write(msgspec.msgpack.encode(order))
        except OSError:
            raise self.death() from None

    def _read(self) -> Exception | None:
        try:
            answer = msgspec.msgpack.decode(self._pipe.read(), type=_Answer)
        except (OSError, EOFError):
            raise self.death() from None
        if answer.each is not None:
            return BatchItemFailures(
                {number: _error(each) if each else None for number, each in answer.each.items()}
            )
        return _error(answer.failure) if answer.failure else None

    def death(self) -> ChildDiedError:
        """What the worker ends with."""
        return ChildDiedError(f"process {self.pid} of a parallel handler died")


class _Pipe:
    """Whole messages over a stream socket."""

    def __init__(self, connected: socket.socket) -> None:
        connected.setblocking(True)
        self._fd = connected.fileno()
        self._stream = connected.makefile("rwb")
        connected.close()  # the stream keeps the descriptor

    def write(self, message: bytes) -> None:
        self._stream.write(len(message).to_bytes(_LENGTH_BYTES, "big") + message)
        self._stream.flush()

    def read(self) -> bytes:
        """Raises EOFError."""
        length = int.from_bytes(self._exactly(_LENGTH_BYTES), "big")
        return self._exactly(length)

    def wait_until_closed(self) -> None:
        """Wait for the other side's end, and for nothing that it says."""
        poll = select.poll()
        poll.register(self._fd, 0)
        poll.poll()

    def _exactly(self, count: int) -> bytes:
        data = self._stream.read(count)
        if len(data) < count:
            raise EOFError
        return data


def _run_child(
    pipe: _Pipe, parent: int, make_processor: MakeProcessor, context: ShardContext, source: RecordSource
) -> None:
    """Never returns."""
    status = 1
    try:
        tether.tie_to_parent(parent)
        tether.ignore_signals()
        tether.name_process(f"rp-{context.shard_id[-8:]}-h")
        _serve(pipe, make_processor, context, source)
        status = 0
    except EOFError:
        pass
    finally:
        os._exit(status)


def _serve(pipe: _Pipe, make_processor: MakeProcessor, context: ShardContext, source: RecordSource) -> None:
    processor = None

    def set_up() -> Exception | None:
        nonlocal processor
        processor = make_processor()
        processor.setup(context)
        return None

    _answer(pipe, set_up)
    if processor is None:
        return
    handler = Handler(processor)
    while True:
        order = msgspec.msgpack.decode(pipe.read(), type=_Order)
        if order.teardown is not None:
            _answer(pipe, partial(_tear_down, processor.teardown, TeardownReason(order.teardown)))
            return
        records = [_record(each, source) for each in order.records]
        _answer(pipe, partial(handler, records))


def _tear_down(teardown: Callable[[TeardownReason], object], reason: TeardownReason) -> None:
    teardown(reason)


def _answer(pipe: _Pipe, work: Callable[[], Exception | None]) -> None:
    try:
        error = work()
    except Exception as raised:  # noqa: BLE001  # the worker decides about it
        error = raised
    if isinstance(error, BatchItemFailures):
        each = {number: _failure(reason) if reason else None for number, reason in error.failures.items()}
        answer = _Answer(each=each)
    else:
        answer = _Answer(_failure(error) if error else None)
    pipe.write(msgspec.msgpack.encode(answer))


def _sent(record: Record) -> _Sent:
    change = record._change  # noqa: SLF001  # as it came; nobody else needs it
    return _Sent(
        change.sequence_number,
        change.event_name,
        (bytes(change.keys), bytes(change.new_image), bytes(change.old_image), bytes(change.packed_details)),
        isinstance(change.keys, JsonImage),
        record.fencing_token,
    )


def _record(sent: _Sent, source: RecordSource) -> Record:
    image: type = JsonImage if sent.is_json else msgspec.Raw
    keys, new, old, details = sent.parts
    change = Change(
        sent.sequence_number, sent.event_name, image(keys), image(new), image(old), msgspec.Raw(details)
    )
    return Record(change, source, sent.fencing_token)


def _failure(error: Exception) -> _Failure:
    outcome = next(
        (index for index, kind in enumerate(_OUTCOMES) if isinstance(error, kind)), len(_OUTCOMES) - 1
    )
    text = one_line(error)
    if type(error) is _OUTCOMES[outcome]:  # whose name is said again, when it is raised in the worker
        text = text.removeprefix(f"{type(error).__module__}.{type(error).__qualname__}: ")
    shown = "".join(format_exception(error)).encode(errors="backslashreplace").decode()
    return _Failure(outcome, text, shown)


def _error(failure: _Failure) -> Exception:
    error = _OUTCOMES[failure.outcome](failure.text)
    error.__cause__ = RetryableError(f"raised in a process of its own:\n{failure.traceback}")
    return error
