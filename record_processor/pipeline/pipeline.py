"""The way of a shard's records, from their arrival until they are settled: the straight line of this room.

    add → [key_queue] → next → your method, by a runner → finished → [policy] → settled, or next again

It only decides: what may be run now, and what comes of it. It waits for nothing, calls nothing and knows no
threads, so that any order of events can be tried. Driven by the worker's loop, from one thread.
"""

from __future__ import annotations

import heapq
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from itertools import count

from record_processor.errors import FatalError, RetryableError
from record_processor.parking.parked import Condition
from record_processor.pipeline import failures
from record_processor.pipeline.entry import Entry, Portion, Task, item_key
from record_processor.pipeline.key_queue import KeyQueue
from record_processor.pipeline.outcome import HANDLED, Outcome
from record_processor.pipeline.policy import Policy, judge
from record_processor.record import Record


@dataclass(frozen=True, slots=True)
class Batching:
    """How many records are handed out together."""

    size: int = 1
    """At most so many; 1 for handlers that take one."""
    window_seconds: float = 0.0
    """So long it is waited for them."""
    full_bytes: int = 0
    """So much is as good as `size`: the daemon does not send much more before something is handled."""
    series: int = 1
    """Of handlers that take one: so many records are given to a runner at once, to hand out one by one.

    It saves most of what a record costs here. Only for a runner that asks before each: `goes_on`.
    """


@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """Something to run: the handler with these records, or their parking."""

    task: Task
    portion: Portion
    is_series: bool = False
    """Whether its records are handed out one by one, until one fails."""

    @property
    def condition(self) -> Condition | None:
        """Why its only record is given up: it is to be parked."""
        return self.portion.condition

    @property
    def records(self) -> list[Record]:
        """What to handle or to park."""
        return [each.record for each in self.portion.entries]


class Pipeline:
    """The records of one shard that are not settled."""

    def __init__(
        self,
        policy: Policy,
        batching: Batching,
        slots: int = 1,
        *,
        is_stored: Callable[[Record], bool] = lambda _: False,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """Run up to `slots` works at once; with one, all records are handed out in order.

        `is_stored` tells whether a record was checkpointed by hand; the clocks are in seconds, the second is
        that of the records' creation times.
        """
        self._policy = policy
        self._batching = batching
        self._slots = slots
        self._is_stored = is_stored
        self._clock = clock
        self._wall_clock = wall_clock
        self._arrived: deque[Entry] = deque()
        self._queue = KeyQueue()
        self._unfinished: list[tuple[float, int, Task]] = []
        """Tasks whose next portion waits for its time: a heap."""
        self._numbers = count()
        self._waiting_bytes = 0
        self._careful = _Careful()
        self.in_flight = 0
        """How many works run."""
        self.settled: str | None = None
        """The sequence number up to which every record is settled."""
        self.fatal: FatalError | None = None
        """What stopped the shard: nothing more is run."""

    # What comes in

    def be_careful(self, up_to: str, attempts: int) -> None:
        """Hand out records one by one up to this one: processes died of one of them.

        The first record that arrives has ended so many processes that had only it.
        """
        self._careful = _Careful(up_to, attempts)

    def add(self, records: Sequence[Record]) -> None:
        """Take records that arrived, in the shard's order."""
        now = self._clock()
        for record in records:
            size = (record.size_bytes or 0) if self._batching.full_bytes else 0
            entry = Entry(record, item_key(record) if self._slots > 1 else None, now, size)
            self._arrived.append(entry)
            if self._careful.takes(entry):
                entry.key = None
            elif self._careful.is_on:
                self._careful.behind.append(entry)
                continue
            self._enqueue(entry)
        self._end_care()

    def _enqueue(self, entry: Entry) -> None:
        self._queue.add(entry)
        self._waiting_bytes += entry.size_bytes

    # What is to be done

    def next(self) -> Work | None:
        """Return something to run, for which `finished` is called then; None if there is nothing now."""
        if not self._has_room:
            return None
        now = self._clock()
        task = self._unfinished_task(now) or self._new_task(now)
        if task is None:
            return None
        self.in_flight += 1
        self._set_apart_given_up(task)
        return self._work(task)

    def due_in_seconds(self) -> float | None:
        """Return in how many seconds there may be something to run, if nothing happens until then."""
        if not self._has_room:
            return None
        now = self._clock()
        due = [self._unfinished[0][0]] if self._unfinished else []
        first = self._queue.first
        if first is not None:
            is_due = self._is_batch_due(first, now)
            due.append(now if is_due else first.arrived_at + self._batching.window_seconds)
        return max(0.0, min(due) - now) if due else None

    @property
    def _has_room(self) -> bool:
        return not self.fatal and self.in_flight < (1 if self._careful.is_on else self._slots)

    @property
    def is_empty(self) -> bool:
        """Whether every record that arrived is settled."""
        return not self._arrived

    @property
    def is_careful(self) -> bool:
        """Whether each record is to be acknowledged before the next one is handed out."""
        return self._careful.is_on

    def _unfinished_task(self, now: float) -> Task | None:
        if self._unfinished and self._unfinished[0][0] <= now:
            return heapq.heappop(self._unfinished)[2]
        return None

    def _work(self, task: Task) -> Work:
        portion = task.portions[0]
        return Work(task, portion, is_series=self._batching.size == 1 and len(portion.entries) > 1)

    def _new_task(self, now: float) -> Task | None:
        first = self._queue.first
        if first is None or not self._is_batch_due(first, now):
            return None
        entries = self._queue.take(self._batch_size())
        if len(entries) > 1 and self._slots > 1:
            entries.sort(key=lambda each: int(each.record.sequence_number))
        for each in entries:
            self._waiting_bytes -= each.size_bytes
        return Task([Portion(entries)], {each.key for each in entries})

    def _is_batch_due(self, first: Entry, now: float) -> bool:
        batching = self._batching
        return (
            batching.size == 1
            or self._careful.is_on
            or now >= first.arrived_at + batching.window_seconds
            or len(self._queue) >= batching.size
            or self._waiting_bytes >= batching.full_bytes > 0
        )

    def _batch_size(self) -> int:
        """Without a window, what is there is shared out among those that are free to handle it."""
        if self._careful.is_on:
            return 1
        size = max(self._batching.size, self._batching.series)
        if self._slots == 1 or size == 1 or self._batching.window_seconds:
            return size
        free = self._slots - self.in_flight
        return min(size, -(-len(self._queue) // free))

    def _set_apart_given_up(self, task: Task) -> None:
        """Let the first record that is given up be a portion of its own, in its place."""
        portion = task.portions[0]
        if portion.condition or not self._policy.can_park:
            return
        now = self._wall_clock()
        for index, entry in enumerate(portion.entries):
            condition = self._policy.given_up(entry, now)
            if condition:
                before, behind = portion.entries[:index], portion.entries[index + 1 :]
                task.portions[:1] = [
                    *([Portion(before, pauses=portion.pauses)] if before else []),
                    Portion([entry], condition=condition),
                    *([Portion(behind, pauses=portion.pauses)] if behind else []),
                ]
                return

    # What came of it

    def goes_on(self, work: Work) -> Record | None:
        """Hear that the next record of a running series was handled; return the one after it.

        None: there is no more, or it is not to be handed out, and the series has to finish.
        """
        portion = work.portion
        self._settle(portion.entries[portion.settled])
        portion.settled += 1
        self._advance()
        if portion.settled == len(portion.entries):
            return None
        entry = portion.entries[portion.settled]
        is_given_up = self._policy.can_park and self._policy.given_up(entry, self._wall_clock())
        return None if is_given_up else entry.record

    def finished(self, work: Work, outcome: Outcome) -> None:
        """Hear how a work ended."""
        self.in_flight -= 1
        task = work.task
        task.portions.remove(work.portion)
        if work.is_series:
            self._settle_series(work, outcome)
        elif outcome is HANDLED:
            self._settle_work(work)
        elif work.condition:
            self._park_again(work, outcome)
        else:
            self._judge(work, outcome)
        if task.portions:
            heapq.heappush(self._unfinished, (task.portions[0].ready_at, next(self._numbers), task))
        self._release(task)
        self._advance()

    def abandoned(self, work: Work) -> None:
        """Hear that a work has ended of which nothing is to be noted: the shard is another host's."""
        self.in_flight -= 1

    def _settle_work(self, work: Work) -> None:
        if work.condition:
            failures.log_parked(work.portion.entries[0], work.condition)
        elif work.portion.pauses:
            failures.log_handled(work.portion)
        for each in work.portion.entries:
            self._settle(each)

    def _settle_series(self, work: Work, outcome: Outcome) -> None:
        """Take back what was not handed out; what failed is judged as what was handed out alone."""
        portion = work.portion
        rest = portion.entries[portion.settled :]
        failed = 0 if outcome is HANDLED else 1
        if rest[failed:]:
            work.task.portions.insert(0, Portion(rest[failed:]))
        if failed:
            self._judge(Work(work.task, Portion(rest[:1], pauses=portion.pauses)), outcome)

    def _park_again(self, work: Work, outcome: Outcome) -> None:
        portion = work.portion
        portion.pauses += 1
        seconds = self._pause(portion)
        failures.log_not_parked(portion, outcome.error, seconds)
        work.task.portions.insert(0, portion)

    def _judge(self, work: Work, outcome: Outcome) -> None:
        verdict = judge(work.portion, outcome, self._policy, self._is_stored)
        for each in verdict.handled:
            self._settle(each)
        for each in verdict.skipped:
            failures.log_skipped(each)
            self._settle(each)
        self.fatal = self.fatal or verdict.fatal
        work.task.portions[:0] = verdict.again
        pauses = [self._prepare_again(work.portion, portion) for portion in verdict.again]
        if verdict.again and not verdict.fatal:
            error = outcome.error or next(iter(outcome.held.values()))
            failures.log_failed(work.portion, verdict.again, error, pauses[0])

    def _prepare_again(self, before: Portion, portion: Portion) -> float | None:
        """Return the pause before it in seconds, if there is one."""
        for each in portion.entries:
            each.record = each.record.undecoded()  # what a failed handler changed in it is gone
        is_given_up = all(self._policy.given_up(each, self._wall_clock()) for each in portion.entries)
        return self._pause(portion) if portion.pauses > before.pauses and not is_given_up else None

    def _pause(self, portion: Portion) -> float:
        seconds = self._policy.backoff.seconds(portion.pauses)
        portion.ready_at = self._clock() + seconds
        return seconds

    def _settle(self, entry: Entry) -> None:
        entry.is_settled = True
        if entry is not self._arrived[0]:
            entry.record = entry.record.undecoded()  # what was decoded is not kept until those before it are

    def _release(self, task: Task) -> None:
        needed: set[Hashable] = {each.key for portion in task.portions for each in portion.entries}
        self._queue.release(task.held - needed)
        task.held &= needed

    def _advance(self) -> None:
        while self._arrived and self._arrived[0].is_settled:
            entry = self._arrived.popleft()
            self.settled = entry.record.sequence_number
        self._end_care()

    def _end_care(self) -> None:
        if not self._careful.is_on:
            return
        next_number = self._arrived[0].record.sequence_number if self._arrived else None
        if self._careful.is_over(self.settled, next_number):
            behind, self._careful = self._careful.behind, _Careful()
            for each in behind:
                self._enqueue(each)


class _Careful:
    """Up to which record they are handed out one by one, and what arrived behind it."""

    def __init__(self, up_to: str = "", attempts: int = 0) -> None:
        self.is_on = bool(up_to)
        self._up_to = int(up_to or 0)
        self._attempts = attempts
        self.behind: list[Entry] = []

    def takes(self, entry: Entry) -> bool:
        """Return whether this record is one of them; the first has its attempts noted."""
        if not self.is_on or int(entry.record.sequence_number) > self._up_to:
            return False
        if self._attempts:
            entry.attempts = self._attempts
            entry.error = RetryableError(
                f"it ended its process {self._attempts} times, the last without a word"
            )
            self._attempts = 0
        return True

    def is_over(self, settled: str | None, next_number: str | None) -> bool:
        """Whether none of them is left, nor will come: the first that is not settled is behind them."""
        if next_number is not None:
            return int(next_number) > self._up_to
        return settled is not None and int(settled) >= self._up_to
