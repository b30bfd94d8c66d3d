"""`@idempotent`: what a decorated function does when it is called again, fails, or is cancelled."""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from record_processor import FencedError, InProgressError, Record
from record_processor.stores import (
    Begun,
    Claim,
    MemoryStore,
    claim_of_this_process,
    idempotent,
    name_this_process,
    this_process,
)
from record_processor.stores.per_process import PerProcess
from tests.store_rules import LOCK_SECONDS, Broken, Clock


def record(event_id: str = "e1", fencing_token: int = 0) -> Record:
    """Return a record."""
    event = {"eventID": event_id, "eventName": "INSERT", "dynamodb": {"SequenceNumber": "1"}}
    return Record.from_dynamodb_json(event, fencing_token=fencing_token)


@pytest.fixture
def store() -> MemoryStore:
    """Give a store."""
    return MemoryStore()


class Function:
    """What was called, and what calling it comes to; once decorated, plain or asynchronous."""

    def __init__(self, *, is_async: bool) -> None:
        self.called: list[Any] = []
        self.error: BaseException | None = None
        self.is_async = is_async

    def decorated(self, store: MemoryStore, **options: Any) -> Callable[..., Any]:
        """Return a function that is called and returns, whichever it is underneath."""

        def body(*arguments: Any, **named: Any) -> str:
            self.called.append(arguments)
            if self.error is not None:
                raise self.error
            return "result"

        async def async_body(*arguments: Any, **named: Any) -> str:
            await asyncio.sleep(0)
            return body(*arguments, **named)

        if not self.is_async:
            return idempotent(store, **options)(body)
        decorated = idempotent(store, **options)(async_body)
        return lambda *arguments, **named: asyncio.run(decorated(*arguments, **named))


@pytest.fixture(params=[False, True], ids=["plain", "async"])
def function(request: pytest.FixtureRequest) -> Function:
    """Give one of each."""
    return Function(is_async=request.param)


def test_a_repeat_is_not_called(store: MemoryStore, function: Function) -> None:
    """It returns None; the first call returns what the function does."""
    call = function.decorated(store)
    assert call(record()) == "result"
    assert call(record()) is None
    assert call(record("e2")) == "result"
    assert len(function.called) == 2


def test_the_record_may_be_any_argument(store: MemoryStore, function: Function) -> None:
    """The first one counts: behind self, or by name."""
    call = function.decorated(store)
    assert call("self", record()) == "result"
    assert call("other self", one=record()) is None


def test_a_key_of_ones_own(store: MemoryStore, function: Function) -> None:
    """It is given all arguments."""
    call = function.decorated(store, key=lambda order, amount: f"{order}/{amount}")
    assert call("a", amount=1) == "result"
    assert call("a", amount=2) == "result"
    assert call("a", amount=1) is None


def test_functions_are_apart(store: MemoryStore) -> None:
    """Two that handle one record are two things, whatever the key is made of."""

    def first(record: Record) -> str:
        return "first"

    def second(record: Record) -> str:
        return "second"

    for key in (None, lambda _: "key"):
        assert idempotent(store, key=key)(first)(record()) == "first"
        assert idempotent(store, key=key)(second)(record()) == "second"


def test_methods_can_be_decorated(store: MemoryStore) -> None:
    """Each call has its instance."""

    class Handler:
        handled = 0

        @idempotent(store)
        def handle(self, record: Record) -> None:
            self.handled += 1

    handler = Handler()
    for _ in range(2):
        handler.handle(record())
    assert handler.handled == 1


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_exception_gives_the_key_back(
    store: MemoryStore, function: Function, error: type[BaseException]
) -> None:
    """And is passed on: whatever it is, nothing is done."""
    call = function.decorated(store)
    function.error = error()
    with pytest.raises(error):
        call(record())
    function.error = None
    assert call(record()) == "result"


def test_in_progress_elsewhere_is_an_error(store: MemoryStore, function: Function) -> None:
    """It is not called, and not done either."""
    call = function.decorated(store)
    with pytest.raises(InProgressError):
        _within(function, store, lambda: call(record()))
    assert len(function.called) == 1


def _within(function: Function, store: MemoryStore, call: Callable[[], Any]) -> None:
    """Call it, and from within that call, in another thread, once more."""
    errors: list[BaseException] = []

    class Nested(list[Any]):
        def append(self, arguments: Any) -> None:
            super().append(arguments)
            thread = threading.Thread(target=again)
            thread.start()
            thread.join(30)

    def again() -> None:
        try:
            call()
        except InProgressError as error:
            errors.append(error)

    function.called = Nested()
    call()
    raise errors[0]


def test_a_completion_that_fails_is_made_up_for(
    store: MemoryStore, function: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller hears of it, and calls again, as for every exception: then it is only written down."""
    call = function.decorated(store)
    broken = Broken(store, monkeypatch)
    complete = store.complete

    def failing(key: str, claim: Claim) -> None:
        broken.next_failure = "before"
        complete(key, claim)

    monkeypatch.setattr(store, "complete", failing)
    with pytest.raises(ConnectionError):
        call(record())
    assert call(record()) is None
    assert len(function.called) == 1
    (row,) = store._rows.values()
    assert row.status == "COMPLETED"


def test_a_store_that_is_down_calls_nothing(
    store: MemoryStore, function: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rather than a repeat there is an error."""
    Broken(store, monkeypatch).next_failure = "before"
    call = function.decorated(store)
    with pytest.raises(ConnectionError):
        call(record())
    assert function.called == []
    assert call(record()) == "result"


def test_a_key_that_cannot_be_given_back_hides_no_exception(
    store: MemoryStore,
    function: Function,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is in the log, and this process may call again at once."""
    call = function.decorated(store)

    def failing(key: str, claim: Claim) -> None:
        raise ConnectionError

    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        patch.setattr(store, "release", failing)
        function.error = ValueError("wrong")
        with pytest.raises(ValueError, match="wrong"):
            call(record())
    assert "a key was not given back: ConnectionError" in caplog.text


def test_who_lost_the_key_hears_of_it(function: Function) -> None:
    """A lock that is shorter than the function: somebody else has called it, too."""
    clock = Clock()
    store = MemoryStore(lock_seconds=LOCK_SECONDS, now=clock)
    other = Claim("other", "process")
    call = function.decorated(store)

    class Slow(list[Any]):
        def append(self, arguments: Any) -> None:
            clock.seconds += LOCK_SECONDS + 1
            (key,) = store._rows
            assert store.begin(key, other) is Begun.CLAIMED

    function.called = Slow()
    with pytest.raises(FencedError, match="its lock is shorter than that takes"):
        call(record())


def test_the_token_is_the_records(store: MemoryStore, function: Function) -> None:
    """For fencing by the lease."""
    function.decorated(store)(record(fencing_token=7))
    (row,) = store._rows.values()
    assert row.fencing_token == 7


def test_a_call_without_a_record_needs_a_key(store: MemoryStore, function: Function) -> None:
    """One line says so, and nothing is called."""
    with pytest.raises(TypeError, match=r"body got no Record; give idempotent\(\) a key"):
        function.decorated(store)("a")
    with pytest.raises(TypeError, match="must be a str, not int"):
        function.decorated(store, key=lambda _: 5)("a")
    assert function.called == []


def test_a_generator_is_refused(store: MemoryStore) -> None:
    """It does nothing when it is called."""

    def generator(record: Record) -> Iterator[int]:
        yield 1

    async def async_generator(record: Record) -> AsyncIterator[int]:
        yield 1

    for function in (generator, async_generator):
        with pytest.raises(TypeError, match="is a generator"):
            idempotent(store)(function)


def test_an_awaitable_from_a_plain_function_is_refused(store: MemoryStore) -> None:
    """It would be completed before it is done."""

    class Awaitable:
        def __await__(self) -> Iterator[None]:
            yield

    def function(record: Record) -> Awaitable:
        return Awaitable()

    for _ in range(2):
        with pytest.raises(TypeError, match="returns an awaitable; make it an async def"):
            idempotent(store)(function)(record())


def test_it_looks_like_the_function(store: MemoryStore) -> None:
    """Its name, its docstring, and whether it is asynchronous."""

    @idempotent(store)
    async def handle(record: Record) -> None:
        """Handle it."""

    assert (handle.__name__, handle.__doc__) == ("handle", "Handle it.")
    assert inspect.iscoroutinefunction(handle)


# --- Asynchronous ---


def test_a_cancelled_call_gives_the_key_back(store: MemoryStore) -> None:
    """It is as after an exception."""
    calls = []
    called = asyncio.Event()

    @idempotent(store)
    async def handle(record: Record) -> None:
        calls.append(record)
        called.set()
        if len(calls) == 1:
            await asyncio.Event().wait()

    async def main() -> None:
        task = asyncio.create_task(handle(record()))
        await called.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await handle(record())

    asyncio.run(main())
    assert len(calls) == 2


def test_a_call_that_is_cancelled_while_it_begins_gives_the_key_back(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread that asks the store goes on, and what it claims is not left behind."""
    asking, go_on = threading.Event(), threading.Event()
    begin = store.begin

    def slow(key: str, claim: Claim) -> Begun:
        asking.set()
        go_on.wait(30)
        return begin(key, claim)

    @idempotent(store)
    async def handle(record: Record) -> str:
        return "result"

    async def main() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(store, "begin", slow)
            task = asyncio.create_task(handle(record()))
            await asyncio.to_thread(asking.wait, 30)
            task.cancel()
            await asyncio.sleep(0)
            go_on.set()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert await handle(record()) == "result"

    asyncio.run(main())


# --- What a process is called ---


def test_a_process_keeps_its_names() -> None:
    """It has no shard unless it says so."""
    claim = claim_of_this_process()
    assert claim == claim_of_this_process()
    assert not claim.shard_id
    assert claim_of_this_process(7).fencing_token == 7


def test_a_worker_says_its_shard_and_what_it_forks_off_does_not_have_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two processes with one name would take over from each other."""
    monkeypatch.setattr(this_process, "_names", PerProcess(this_process._Names))
    name_this_process("host-1/shard-1")
    worker = claim_of_this_process()
    assert worker.owner == "host-1/shard-1"
    pid = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: pid + 1)
    child = claim_of_this_process()
    assert child.owner != worker.owner
    assert child.process != worker.process


def test_what_was_opened_before_a_fork_is_not_used_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each process opens its own, and closes only that."""
    made: list[object] = []

    def make() -> object:
        made.append(object())
        return made[-1]

    own = PerProcess(make)
    assert own.get() is own.get()
    pid = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: pid + 1)
    assert own.take() is None
    assert own.get() is made[1]
    assert own.take() is made[1]
    assert own.take() is None
