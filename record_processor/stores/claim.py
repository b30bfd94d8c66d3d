"""Who wants to handle something, and what a store answers."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from record_processor.errors import InProgressError


class Claim(NamedTuple):
    """Who wants to handle something."""

    owner: str
    """`<workerId>/<shardId>` in a worker; elsewhere a name that only this process has."""
    process: str
    """Different for each process, so that a dead predecessor is told from a thread that is alive."""
    fencing_token: int = 0
    """The lease's counter, `record.fencing_token`; 0 if nobody says. Compared only within one shard."""

    @property
    def shard_id(self) -> str:
        """The shard, or empty for an owner that has none."""
        return shard_of(self.owner)


def shard_of(owner: str) -> str:
    """Return the shard of an owner, or an empty string; it has no slashes, a worker's id may."""
    worker_id, _, shard_id = owner.rpartition("/")
    return shard_id if worker_id else ""


class Begun(Enum):
    """What `Store.begin` found."""

    CLAIMED = "claimed"
    """Go on: nobody has handled it, and until you complete or release it, nobody else begins."""
    DONE = "done"
    """It was completed before: do not handle it."""


class LockedError(InProgressError):
    """Another call is handling the same thing, and holds its lock."""

    def __init__(self, message: str, seconds: float | None = None) -> None:
        """Take what is wrong, and in how many seconds the lock expires; None if it does not."""
        super().__init__(message)
        self.seconds = seconds
        """When to try again at the latest; None if that depends on another thread of this process."""
