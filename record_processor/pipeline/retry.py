"""How long to pause before something is tried again.

Pauses grow exponentially and are varied at random ("full jitter"), so that shards which failed together,
since they share a dependency, do not come back together.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

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
