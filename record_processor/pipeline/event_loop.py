"""Runs works on an event loop, in a thread of its own: for handlers that are `async def`."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final

from record_processor.errors import RetryableError
from record_processor.pipeline.call import CANCELLED, AsyncCall, Handler
from record_processor.pipeline.outcome import Outcome
from record_processor.pipeline.pipeline import Work
from record_processor.pipeline.runner import (
    Finished,
    MakeProcessor,
    Means,
    Runner,
    parked,
    until_done,
)
from record_processor.processor import ShardContext, TeardownReason

_MOST_THREADS: Final = 32


class EventLoopRunner(Runner):
    """One event loop; each work is a task on it."""

    cancel_seconds = 2.0

    def __init__(self, count: int, means: Means) -> None:
        """Take how many works run at once, and what is needed besides the handler; start the loop."""
        super().__init__(means)
        self._finished = Finished()
        self._tasks: set[asyncio.Task[Outcome | BaseException]] = set()
        # For what blocks: the idempotency store and onFailureDestination.
        self._executor = ThreadPoolExecutor(min(count, _MOST_THREADS), thread_name_prefix="blocking")
        self._loop = asyncio.new_event_loop()
        self._is_closed = False
        self._thread = threading.Thread(target=self._run_loop, name="event-loop", daemon=True)
        self._thread.start()
        self.fd = self._finished.fd

    def _run_loop(self) -> None:
        while not self._is_closed:  # in a worker for ever: the thread ends with its process
            try:
                self._loop.run_forever()
            except BaseException as error:  # noqa: BLE001, PERF203  # SystemExit in a task of the user's own
                self._finished.put_end(error)

    def set_up(self, make_processor: MakeProcessor, context: ShardContext) -> None:
        self._wait_for(self._set_up(make_processor, context))

    async def _set_up(self, make_processor: MakeProcessor, context: ShardContext) -> None:
        self._processor = make_processor()
        await until_done(self._processor.setup(context))
        self._call = AsyncCall(
            Handler(self._processor), self.means.idempotency, self._executor, self.means.timeout_seconds
        )

    def run(self, work: Work) -> None:
        self._loop.call_soon_threadsafe(self._begin, work)

    def _begin(self, work: Work) -> None:
        task = self._loop.create_task(self._run(work))
        self._tasks.add(task)  # the loop itself does not keep it
        task.add_done_callback(partial(self._end, work))

    async def _run(self, work: Work) -> Outcome | BaseException:
        try:
            if work.condition is None:
                return await self._call(work.records)
            return await self._loop.run_in_executor(self._executor, parked, work, self.means.park)
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001  # SystemExit ends the process, not this thread
            return error

    def _end(self, work: Work, task: asyncio.Task[Outcome | BaseException]) -> None:
        self._tasks.discard(task)
        # One that was cancelled before it began has not run a line.
        is_cancelled = task.cancelled()
        self._finished.put(work, Outcome(RetryableError(CANCELLED)) if is_cancelled else task.result())

    def take_finished(self) -> list[tuple[Work, Outcome]]:
        return self._finished.take()

    def cancel(self) -> None:
        self._loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        for task in self._tasks:
            task.cancel()

    def tear_down(self, reason: TeardownReason) -> None:
        self._wait_for(self._tear_down(reason))

    async def _tear_down(self, reason: TeardownReason) -> None:
        await until_done(self._processor.teardown(reason))

    def close(self) -> None:
        self._wait_for(self._finish())
        self._is_closed = True
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._executor.shutdown()
        self._loop.close()
        self._finished.close()

    async def _finish(self) -> None:
        """Wait until no task runs; what comes of them is of no use any more."""
        self._cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _wait_for(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run it on the loop. Raises what it raises, SystemExit too, which would end the loop's thread."""
        error = asyncio.run_coroutine_threadsafe(_caught(coroutine), self._loop).result()
        if error is not None:
            raise error


async def _caught(coroutine: Coroutine[Any, Any, None]) -> BaseException | None:
    try:
        await coroutine
    except BaseException as error:  # noqa: BLE001  # raised again, where it is waited for
        return error
    return None
