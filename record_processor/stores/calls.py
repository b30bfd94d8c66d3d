"""What this process is in the midst of, whichever store object it uses.

A row in a store says which process has the key, not whether a thread of it still does. This does, and it
remembers what was handled and could not be written down yet.
"""

from __future__ import annotations

import threading
from typing import Final, NamedTuple

from record_processor.stores.claim import LockedError
from record_processor.stores.row import Row


class Call(NamedTuple):
    """One key that is being handled."""

    place: str
    """The store, as a URL."""
    key: str
    owner: str
    process: str


class Held(NamedTuple):
    """What a call has in the store."""

    row: Row
    done: Row | None = None
    """What is to be in its place: the thing was handled."""


_lock: Final = threading.Lock()
_calls: Final[dict[Call, Held | None]] = {}
"""None: it is asking the store."""


def enter(call: Call) -> None:
    """Begin a call. Raises LockedError if it is under way in another thread."""
    with _lock:
        if call in _calls:
            raise LockedError("another thread of this process is handling it")
        _calls[call] = None


def hold(call: Call, held: Held) -> None:
    """Keep what the call has in the store."""
    with _lock:
        _calls[call] = held


def held(call: Call) -> Held | None:
    """Return what the call has in the store; None if it has nothing."""
    return _calls.get(call)


def leave(call: Call) -> None:
    """End a call, or nothing if it has ended."""
    with _lock:
        _calls.pop(call, None)
