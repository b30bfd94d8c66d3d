"""Runs works in threads: for plain methods of which many wait at once. Used by the worker's loop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue

from record_processor.pipeline.call import Call, Handler
from record_processor.pipeline.outcome import Outcome
from record_processor.pipeline.pipeline import Work
from record_processor.pipeline.runner import Finished, MakeProcessor, Means, Runner, run_here
from record_processor.processor import ShardContext, TeardownReason
from record_processor.record import Record

Handling = Callable[[Sequence[Record]], Exception | None]


class ThreadRunner(Runner):
    """So many threads, which share one instance of the user's class."""

    def __init__(self, count: int, means: Means) -> None:
        """Take how many threads there are at most, and what is needed besides the handler."""
        super().__init__(means)
        self._count = count
        self._works: SimpleQueue[Work | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._finished = Finished()
        self._unstarted: list[Call] = []
        self._running = 0
        self.fd = self._finished.fd

    def set_up(self, make_processor: MakeProcessor, context: ShardContext) -> None:
        self._processor = make_processor()
        self._processor.setup(context)
        self._use([Handler(self._processor)] * self._count)

    def _use(self, handlers: Sequence[Handling]) -> None:
        """Give each thread its handler."""
        self._unstarted = [Call(handler, self.means.idempotency) for handler in handlers]

    def run(self, work: Work) -> None:
        self._running += 1
        if self._unstarted and self._running > self._count - len(self._unstarted):
            call = self._unstarted.pop()
            thread = threading.Thread(target=self._work, args=(call,), name="handler", daemon=True)
            self._threads.append(thread)
            thread.start()
        self._works.put(work)

    def _work(self, call: Call) -> None:
        while (work := self._works.get()) is not None:
            outcome: Outcome | BaseException
            try:
                outcome = run_here(work, call, self.means.park)
            except BaseException as error:  # noqa: BLE001  # SystemExit ends the process, not this thread
                outcome = error
            self._finished.put(work, outcome)

    def take_finished(self) -> list[tuple[Work, Outcome]]:
        finished = self._finished.take()
        self._running -= len(finished)
        return finished

    def tear_down(self, reason: TeardownReason) -> None:
        self._processor.teardown(reason)

    def close(self) -> None:
        for _ in self._threads:
            self._works.put(None)
        for thread in self._threads:
            thread.join()
        self._finished.close()
