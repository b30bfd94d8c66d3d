"""What a store keeps of a key, and who may put their own row in its place. Pure; the same for every store."""

from __future__ import annotations

from math import ceil
from typing import Final, NamedTuple

from record_processor.errors import FencedError
from record_processor.stores.claim import Begun, Claim, LockedError, shard_of

IN_PROGRESS: Final = "IN_PROGRESS"
COMPLETED: Final = "COMPLETED"


class Row(NamedTuple):
    """What a store keeps of a key. No two begins of a process make equal ones."""

    status: str
    """IN_PROGRESS or COMPLETED."""
    expiration: int
    """The Unix time, in seconds, from which the row is as if it were not there."""
    lock_until_millis: int
    """The Unix time, in milliseconds, from which another owner may take it over."""
    owner: str
    process: str
    fencing_token: int


def begun(claim: Claim, now: float, lock_seconds: int, ttl_seconds: int) -> Row:
    """Return the row of what is being handled from `now` on, Unix time in seconds."""
    lock_until = now + lock_seconds
    return Row(IN_PROGRESS, ceil(lock_until + ttl_seconds), ceil(lock_until * 1000), *claim)


def completed(row: Row, now: float, ttl_seconds: int) -> Row:
    """Return the row of what was handled."""
    return row._replace(status=COMPLETED, expiration=ceil(now + ttl_seconds))


def decide(row: Row | None, claim: Claim, now: float) -> Begun:
    """Say whether the claim may put its row in the place of this one, or it was handled before.

    Raises LockedError while another owner has it, FencedError if that is a newer owner of the same shard.
    """
    if row is None or row.expiration <= now:
        return Begun.CLAIMED
    if row.status == COMPLETED:
        return Begun.DONE
    # A dead process of the same shard on the same worker: there are never two. Or it is of this process,
    # whose threads know of each other: then nobody is handling it any more.
    if row.owner == claim.owner:
        return Begun.CLAIMED
    if _is_fenced(row, claim):
        raise FencedError(f"{row.owner} has shard {claim.shard_id} now, and is handling the record")
    seconds = row.lock_until_millis / 1000 - now
    if seconds > 0:
        raise LockedError(
            f"{row.owner} is handling it; if that is dead, its lock expires in {ceil(seconds)} s", seconds
        )
    return Begun.CLAIMED


def _is_fenced(row: Row, claim: Claim) -> bool:
    """Whether the row is of a newer owner. Tokens of two shards say nothing of each other; 0 says nothing."""
    is_same_shard = bool(claim.shard_id) and shard_of(row.owner) == claim.shard_id
    return is_same_shard and 0 < claim.fencing_token < row.fencing_token
