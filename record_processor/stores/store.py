"""Store: remembers what was handled, so that a repeat is not handled again.

`begin`, then handle it, then `complete`; after an exception `release`. A store of another kind needs one
operation, `swap`: everything else stands on it.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final, TypeAlias

from record_processor.errors import FencedError
from record_processor.stores import calls
from record_processor.stores.calls import Call, Held
from record_processor.stores.claim import Begun, Claim, LockedError
from record_processor.stores.row import Row, begun, completed, decide

LOCK_SECONDS: Final = 60
"""As long as a claim holds unless said otherwise: the default of idempotencyLockSeconds."""
TTL_SECONDS: Final = 172_800
"""As long as a repeat is recognized unless said otherwise: the default of idempotencyTtlSeconds."""

Clock: TypeAlias = Callable[[], float]
"""Returns the Unix time in seconds."""

_MOST_SWAPS: Final = 10


class Store(ABC):
    """Remembers keys. Threads may share one; after a fork each process opens its own connection.

    A key is a text of up to 1024 bytes in UTF-8, such as `idempotency_key` makes. What the place where it is
    kept raises, such as an error of boto3, is passed on: nothing was begun, completed or released then, or
    it was and only the answer was lost. Either way the same call can be made again.
    """

    def __init__(self, place: str, lock_seconds: int, ttl_seconds: int, now: Clock = time.time) -> None:
        """Take its URL, how long a claim holds, how long a repeat is recognized, and a clock."""
        self.place = place
        """Where the keys are, as a URL."""
        self._lock_seconds = lock_seconds
        self._ttl_seconds = ttl_seconds
        self._now = now

    def begin(self, key: str, claim: Claim) -> Begun:
        """Claim the key; DONE if it was completed within the time to live.

        What this process handled and could not complete is completed now, and is DONE, too.

        Raises LockedError, an InProgressError, while another call handles it, and FencedError if that call is
        of a newer owner of the shard.
        """
        call = Call(self.place, key, claim.owner, claim.process)
        held = calls.held(call)
        if held and held.done:
            self._write_down(call, held.row, held.done)
            return Begun.DONE
        calls.enter(call)
        try:
            row = self._claim(key, claim)
        except BaseException:
            calls.leave(call)
            raise
        if row is None:
            calls.leave(call)
            return Begun.DONE
        calls.hold(call, Held(row))
        return Begun.CLAIMED

    def complete(self, key: str, claim: Claim) -> None:
        """Remember that what `begin` claimed was handled.

        If it raises anything but FencedError, that is remembered in this process: this or `begin` completes
        it when called again. Raises FencedError if the claim was lost: its lock expired and another owner
        took it over, whose row stays.
        """
        call = Call(self.place, key, claim.owner, claim.process)
        held = calls.held(call)
        if held is None:
            raise FencedError(f"{key} is not claimed by {claim.owner}: it lost the claim, or never began")
        done = held.done or completed(held.row, self._now(), self._ttl_seconds)
        calls.hold(call, Held(held.row, done))
        self._write_down(call, held.row, done)

    def release(self, key: str, claim: Claim) -> None:
        """Give back what `begin` claimed and was not handled; nothing if this claim does not hold it.

        After `complete` was called, it does nothing either. If it raises, this process may begin again all
        the same, others when the lock has expired.
        """
        call = Call(self.place, key, claim.owner, claim.process)
        held = calls.held(call)
        if held is None or held.done:
            return
        try:
            self.swap(key, held.row, None)
        finally:
            calls.leave(call)

    @abstractmethod
    def swap(self, key: str, expected: Row | None, new: Row | None) -> Row | None:
        """Put `new` in the place of `expected`, or do nothing if something else is there; None is no row.

        Returns what was there; `expected` if it was replaced. It is atomic, and durable when it returns.
        """

    @abstractmethod
    def check(self) -> None:
        """Find out if the store is there and can be written, for a start.

        Raises ConfigurationError if it must be made or another one be named, StartError if it cannot be
        reached or written; in one line that begins with `place`.
        """

    @abstractmethod
    def close(self) -> None:
        """Close what this process opened. The store can be used again."""

    def _claim(self, key: str, claim: Claim) -> Row | None:
        """Put a row of the claim's own into the store, and return it; None if the key was completed."""
        expected = None
        for _ in range(_MOST_SWAPS):
            now = self._now()
            mine = begun(claim, now, self._lock_seconds, self._ttl_seconds)
            seen = self.swap(key, expected, mine)
            if seen == expected:
                return mine
            # It may be mine already, if a client asked once more because the answer was lost: of this owner.
            if decide(seen, claim, now) is Begun.DONE:
                return None
            expected = seen
        raise LockedError(f"{key} is claimed by others all the time; try again later", 1)

    def _write_down(self, call: Call, row: Row, done: Row) -> None:
        seen = self.swap(call.key, row, done)
        calls.leave(call)
        if seen not in (row, done):
            holder = f"{seen.owner} has it" if seen else "nobody has it"
            raise FencedError(
                f"{call.key}: {call.owner} lost its claim while it was handling it, and now {holder}; "
                "its lock is shorter than that takes: raise idempotencyLockSeconds"
            )
