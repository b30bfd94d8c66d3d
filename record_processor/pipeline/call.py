"""Calls the user's handler, once, and says what came of it: for plain methods and for `async def`.

With `idempotency` set, what was handled before is kept from it. Used by those who run works, and by redrive.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from time import monotonic
from typing import Any, Final

from record_processor.errors import RetryableError
from record_processor.pipeline.idempotency import Idempotency
from record_processor.pipeline.outcome import HANDLED, Outcome, failures_in
from record_processor.processor import RecordProcessor
from record_processor.record import Record

CANCELLED: Final = "the handler was cancelled"
HANDLERS: Final = ("on_insert", "on_modify", "on_remove", "process_record", "process_batch")
"""The methods that handle records, of which users override what they need."""


def takes_batches(processor: type[RecordProcessor[Any]]) -> bool:
    """Whether its class has overridden `process_batch`, and so is given many records at once."""
    return processor.process_batch is not RecordProcessor.process_batch


def is_async(processor: type[RecordProcessor[Any]]) -> bool:
    """Whether its handlers are `async def`."""
    return any(inspect.iscoroutinefunction(getattr(processor, name)) for name in HANDLERS)


class Handler:
    """The user's handler, as one function of some records."""

    def __init__(self, processor: RecordProcessor[Any]) -> None:
        """Take the user's instance. Unless it takes batches, it is called with one record."""
        self._takes_batches = takes_batches(type(processor))
        self._method: Callable[[Any], Any] = (
            processor.process_batch if self._takes_batches else processor.process_record
        )

    def __call__(self, records: Sequence[Record]) -> Exception | None:
        """Call it; return what it raised, or said by returning something. None: all was handled."""
        try:
            returned = self._method(records if self._takes_batches else records[0])
            return None if returned is None else self._read(returned)
        except Exception as error:  # noqa: BLE001  # whatever the user's code raises
            return error

    def _read(self, returned: Any) -> Exception | None:
        if inspect.isawaitable(returned):
            if inspect.iscoroutine(returned):
                returned.close()  # else Python warns that it was never awaited
            return TypeError("the handler returned an awaitable, which nobody awaits: make it an async def")
        return failures_in(returned) if self._takes_batches else None

    async def await_(self, records: Sequence[Record], timeout_seconds: float | None) -> Exception | None:
        """Do the same with an `async def`, which is cancelled when its time is over."""
        began = monotonic()
        try:
            call = self._method(records if self._takes_batches else records[0])
            # What the user has not overridden has returned by now.
            returned = await asyncio.wait_for(call, timeout_seconds) if inspect.isawaitable(call) else call
            return failures_in(returned) if self._takes_batches else None
        except asyncio.CancelledError:
            return RetryableError(CANCELLED)  # so that the store hears of it: others need not wait
        except Exception as error:  # noqa: BLE001  # the same
            if (
                isinstance(error, asyncio.TimeoutError)
                and timeout_seconds
                and monotonic() - began >= timeout_seconds
            ):
                return RetryableError(f"no answer within timeoutInSeconds = {timeout_seconds:g}: cancelled")
            return error


class Call:
    """Calls a handler behind the idempotency store, if there is one."""

    def __init__(
        self, handler: Callable[[Sequence[Record]], Exception | None], idempotency: Idempotency | None = None
    ) -> None:
        """Take the handler, which returns what it raised."""
        self._handler = handler
        self._idempotency = idempotency

    def __call__(self, records: Sequence[Record]) -> Outcome:
        """Hand out records, and wait until the handler has returned."""
        if self._idempotency is None:
            error = self._handler(records)
            return HANDLED if error is None else Outcome(error)
        begun = self._idempotency.begin(records)
        error = self._handler(begun.records) if begun.records else None
        return self._idempotency.end(begun, error)


class AsyncCall:
    """The same for an `async def`, on the event loop; the store is asked in other threads."""

    def __init__(
        self,
        handler: Handler,
        idempotency: Idempotency | None,
        executor: Executor,
        timeout_seconds: float | None,
    ) -> None:
        """Take the handler, the threads, and how long a call may take."""
        self._handler = handler
        self._idempotency = idempotency
        self._executor = executor
        self._timeout_seconds = timeout_seconds

    async def __call__(self, records: Sequence[Record]) -> Outcome:
        """Hand out records, and wait until the handler has returned."""
        if self._idempotency is None:
            error = await self._handler.await_(records, self._timeout_seconds)
            return HANDLED if error is None else Outcome(error)
        in_thread = asyncio.get_running_loop().run_in_executor
        begun = await in_thread(self._executor, self._idempotency.begin, records)
        error = await self._handler.await_(begun.records, self._timeout_seconds) if begun.records else None
        return await in_thread(self._executor, self._idempotency.end, begun, error)
