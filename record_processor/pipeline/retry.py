"""Calls something again until it returns, with growing pauses. Called by deliver; never gives up by itself.

Pauses grow exponentially and are varied at random ("full jitter"), so that shards which failed together,
since they share a dependency, do not come back together.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

_MOST_DOUBLINGS = 32


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to pause before the next attempt."""

    first_seconds: float
    """The first pause, and the least of every other."""
    maximum_seconds: float
    """The most that a pause grows to."""
    uniform: Callable[[float, float], float] = random.uniform
    """Chooses between two numbers."""

    def seconds(self, attempt: int) -> float:
        """Return the pause after so many failed attempts, from 1."""
        doubled = self.first_seconds * 2 ** min(attempt - 1, _MOST_DOUBLINGS)
        return self.uniform(self.first_seconds, max(self.first_seconds, min(doubled, self.maximum_seconds)))


def call_until_it_returns(
    call: Callable[[], None],
    failed: Callable[[Exception, int, float], None],
    backoff: Backoff,
    wait: Callable[[float], bool],
) -> bool:
    """Call, and after an exception pause and call again. Return False if `wait` says that it was interrupted.

    `failed` hears of each exception, with the number of the attempt and the pause in seconds before the next.
    What is no `Exception`, such as SystemExit, is not caught: it ends the process, on purpose.
    """
    for attempt in count(1):
        try:
            call()
        except Exception as error:  # noqa: BLE001, PERF203  # whatever the user's code raises, each time
            seconds = backoff.seconds(attempt)
            failed(error, attempt, seconds)
            if wait(seconds):
                return False
        else:
            break
    return True
