"""Waits for a condition, with a deadline: what a test does instead of sleeping."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(
    condition: Callable[[], T], timeout_seconds: float = 30, what: str = "", interval_seconds: float = 0.05
) -> T:
    """Call `condition` until it returns something true, and return that.

    `what` names the awaited thing in the error. Raises TimeoutError, with the last value, after
    `timeout_seconds`; an exception in `condition` ends the wait and is passed on.
    """
    deadline = time.monotonic() + timeout_seconds
    while not (value := condition()):
        if time.monotonic() >= deadline:
            awaited = what or getattr(condition, "__name__", "the condition")
            raise TimeoutError(f"{awaited} did not happen within {timeout_seconds:g} s: last seen {value!r}")
        time.sleep(interval_seconds)
    return value
