"""How long to wait before the daemon is started again."""

from __future__ import annotations

import random
from typing import Final

_FIRST_SECONDS: Final = 1.0
_LONGEST_SECONDS: Final = 30.0
_JITTER: Final = 0.25


class Backoff:
    """One second, doubling to thirty, each varied by a quarter so that hosts do not come back in step."""

    def __init__(self) -> None:
        """Begin with the shortest."""
        self._seconds = _FIRST_SECONDS

    def next_seconds(self) -> float:
        """Return the next wait."""
        seconds, self._seconds = self._seconds, min(2 * self._seconds, _LONGEST_SECONDS)
        return seconds * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311  # no secret

    def reset(self) -> None:
        """Begin with the shortest again."""
        self._seconds = _FIRST_SECONDS
