"""One call of the user's handler, and what it says came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

import pytest

from record_processor import BatchItemFailures, Record, RecordProcessor, RetryableError, SkipRecordError
from record_processor.pipeline.call import AsyncCall, Call, Handler, is_async, takes_batches
from record_processor.pipeline.idempotency import Idempotency
from record_processor.pipeline.outcome import HANDLED
from record_processor.stores.memory import MemoryStore

T = TypeVar("T")


def _record(number: int) -> Record:
    return Record.from_dynamodb_json(
        {"eventName": "INSERT", "dynamodb": {"SequenceNumber": str(number)}}, "shardId-1"
    )


RECORDS = [_record(1), _record(2)]


def _answers(answer: Callable[[Any], Any], name: str = "process_batch") -> RecordProcessor:
    """Make a processor whose handler does this."""
    kind: type[RecordProcessor] = type("Answers", (RecordProcessor,), {name: lambda _, given: answer(given)})
    return kind()


def _raise(error: BaseException, given: Any) -> Any:
    raise error


def _return(returned: Any, given: Any) -> Any:
    return returned


def _idempotency(store: MemoryStore | None = None) -> Idempotency:
    return Idempotency(store or MemoryStore(), lambda record: record.sequence_number)


# --- Plain handlers ---


def test_one_record_or_many() -> None:
    """A handler of batches is given the batch, any other one record."""
    seen: list[Any] = []
    assert Handler(_answers(seen.append))(RECORDS) is None
    assert Handler(_answers(seen.append, "process_record"))(RECORDS[:1]) is None
    assert Handler(_answers(seen.append, "on_insert"))(RECORDS[:1]) is None
    assert seen == [RECORDS, RECORDS[0], RECORDS[0]]


def test_what_it_raises_is_returned() -> None:
    """Whatever it is, as long as it is no end of the process."""
    error = ValueError()
    assert Handler(_answers(partial(_raise, error)))(RECORDS) is error
    for end in (SystemExit(3), KeyboardInterrupt()):
        handler = Handler(_answers(partial(_raise, end)))
        with pytest.raises(type(end)):
            handler(RECORDS)


def test_what_a_batch_handler_returns_counts() -> None:
    """Failures in our words or in Lambda's; anything else is an error."""
    failures = BatchItemFailures(["1"])
    assert Handler(_answers(lambda _: failures))(RECORDS) is failures
    response = {"batchItemFailures": [{"itemIdentifier": "2"}]}
    error = Handler(_answers(lambda _: response))(RECORDS)
    assert isinstance(error, BatchItemFailures)
    assert error.failures == {"2": None}
    assert isinstance(Handler(_answers(lambda _: "fine"))(RECORDS), TypeError)


def test_what_another_handler_returns_does_not_count() -> None:
    """It is often what the last call of it returned."""
    for returned in (0, False, "failed", {"batchItemFailures": [{"itemIdentifier": "1"}]}):
        assert Handler(_answers(partial(_return, returned), "on_insert"))(RECORDS[:1]) is None


@pytest.mark.parametrize("name", ["process_record", "process_batch"])
def test_an_awaitable_that_nobody_awaits_is_an_error(name: str) -> None:
    """Nothing of it has run: it must not look like success, nor leave a warning of Python's."""

    async def write() -> None:
        raise AssertionError

    loop = asyncio.new_event_loop()
    for returned in (write(), loop.create_future()):
        error = Handler(_answers(partial(_return, returned), name))(RECORDS[:1])
        assert isinstance(error, TypeError)
        assert str(error) == "the handler returned an awaitable, which nobody awaits: make it an async def"
    loop.close()


def test_a_call_without_a_store() -> None:
    """Its outcome is the handler's."""
    assert Call(lambda _: None)(RECORDS) is HANDLED
    error = ValueError()
    outcome = Call(lambda _: error)(RECORDS)
    assert (outcome.error, outcome.done, outcome.held) == (error, frozenset(), {})


def test_a_call_behind_a_store() -> None:
    """The handler is given what was not handled before, and not called for nothing."""
    seen: list[Sequence[Record]] = []
    call = Call(seen.append, _idempotency())
    assert call(RECORDS[:1]) is HANDLED
    assert call(RECORDS) is HANDLED
    assert call(RECORDS) is HANDLED
    assert seen == [RECORDS[:1], RECORDS[1:]]


# --- async def ---


def _awaited(call: Callable[[ThreadPoolExecutor], Awaitable[T]]) -> T:
    async def await_() -> T:
        with ThreadPoolExecutor(1) as executor:
            return await call(executor)

    return asyncio.run(await_())


def _async_answers(answer: Callable[[Any], Awaitable[Any]], name: str = "process_batch") -> RecordProcessor:
    async def handle(self: RecordProcessor, given: Any) -> Any:
        return await answer(given)

    kind: type[RecordProcessor] = type("Answers", (RecordProcessor,), {name: handle})
    return kind()


def _await(
    processor: RecordProcessor,
    records: Sequence[Record],
    timeout_seconds: float | None = None,
    idempotency: Idempotency | None = None,
) -> Any:
    handler = Handler(processor)
    return _awaited(lambda executor: AsyncCall(handler, idempotency, executor, timeout_seconds)(records))


@pytest.mark.parametrize("timeout_seconds", [None, 60])
def test_an_async_handler(timeout_seconds: float | None) -> None:
    """It is awaited; what it returns or raises counts as that of a plain one."""
    seen: list[Any] = []

    async def note(given: Any) -> None:
        await asyncio.sleep(0)
        seen.append(given)

    async def skip(given: Any) -> None:
        raise SkipRecordError

    async def fail_one(given: Any) -> dict[str, Any]:
        return {"batchItemFailures": [{"itemIdentifier": "1"}]}

    assert _await(_async_answers(note), RECORDS, timeout_seconds) is HANDLED
    assert _await(_async_answers(note, "on_insert"), RECORDS[:1], timeout_seconds) is HANDLED
    assert seen == [RECORDS, RECORDS[0]]
    assert isinstance(_await(_async_answers(skip), RECORDS, timeout_seconds).error, SkipRecordError)
    assert isinstance(_await(_async_answers(fail_one), RECORDS, timeout_seconds).error, BatchItemFailures)


def test_an_event_that_no_async_handler_is_for() -> None:
    """What is not overridden is a plain method, and does nothing."""

    async def never(given: Any) -> None:
        raise AssertionError

    assert _await(_async_answers(never, "on_remove"), RECORDS[:1], 60) is HANDLED


def test_too_long() -> None:
    """It is cancelled, which it can clean up after; and has failed."""
    seen: list[str] = []

    async def wait(given: Any) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    error = _await(_async_answers(wait), RECORDS, 0.01).error
    assert type(error) is RetryableError
    assert str(error) == "no answer within timeoutInSeconds = 0.01: cancelled"
    assert seen == ["cancelled"]


def test_a_timeout_of_the_handlers_own_is_its_own() -> None:
    """Such as that of a call that it made: the limit is not over."""

    async def give_up(given: Any) -> None:
        raise asyncio.TimeoutError("the index does not answer")

    error = _await(_async_answers(give_up), RECORDS, 60).error
    assert isinstance(error, asyncio.TimeoutError)
    assert "the index does not answer" in str(error)


def test_an_async_handler_behind_a_store() -> None:
    """The store is asked in another thread, and the rest is the same."""
    idempotency = _idempotency()
    seen: list[Any] = []

    async def note(given: Any) -> None:
        seen.append(given)

    for records in (RECORDS[:1], RECORDS, RECORDS):
        assert _await(_async_answers(note), records, None, idempotency) is HANDLED
    assert seen == [RECORDS[:1], RECORDS[1:]]


def test_a_cancelled_handler_gives_its_claims_back() -> None:
    """Another host is to handle its records, and need not wait until a lock expires."""
    store = MemoryStore()

    async def cancel_it() -> Any:
        began = asyncio.Event()

        async def wait(given: Any) -> None:
            began.set()
            await asyncio.Event().wait()

        with ThreadPoolExecutor(1) as executor:
            call = AsyncCall(Handler(_async_answers(wait)), _idempotency(store), executor, None)
            task = asyncio.ensure_future(call(RECORDS))
            await began.wait()
            assert len(store._rows) == 2
            task.cancel()
            return await task

    outcome = asyncio.run(cancel_it())
    assert str(outcome.error) == "the handler was cancelled"
    assert store._rows == {}


# --- Which kind a class is ---


def test_kinds() -> None:
    """By what it overrides, or inherits."""

    class Plain(RecordProcessor):
        def on_insert(self, record: Record) -> None: ...

    class Batches(Plain):
        def process_batch(self, records: Sequence[Record]) -> None: ...

    class Async(RecordProcessor):
        async def on_modify(self, record: Record) -> None: ...

    class Inherits(Async):
        pass

    kinds = {each: (takes_batches(each), is_async(each)) for each in (Plain, Batches, Async, Inherits)}
    assert kinds == {
        Plain: (False, False),
        Batches: (True, False),
        Async: (False, True),
        Inherits: (False, True),
    }
