"""The fault matrix: what can go wrong, and what must hold. Tests name their row with `@pytest.mark.fault(number)`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Row:
    """One fault."""

    fault: str
    holds: str
    """What must hold."""
    not_here: str = ""
    """Why no test, or no test of all of it, is possible on one machine; "" if there is one."""


ROWS: Final[dict[int, Row]] = {
    1: Row("a worker is killed in the middle of a batch", "nothing is missing; only its shard pauses"),
    2: Row("a worker is killed and a grandchild holds its pipe", "its death is seen all the same"),
    3: Row("a handler raises, once or always", "retried with back-off, loudly; never passed over"),
    4: Row("a record is given up, and killed on its way", "it is parked before the checkpoint passes it"),
    5: Row("setup raises, an import fails, a path is wrong", "one clear error; the exit code is not 0"),
    6: Row("a worker prints junk, forged messages, a line of 1 MB", "no effect; it is in the log"),
    7: Row(
        "a worker hangs: sleep, SIGSTOP, deadlock", "replaced after its limit; no orphan, nothing missing"
    ),
    8: Row("a handler is slow but alive", "it is not killed"),
    9: Row("the JVM is killed", "its children are gone; another JVM goes on, nothing missing"),
    10: Row("the JVM stops for a while and goes on", "another host goes on; no call after the deadline"),
    11: Row("SIGTERM while idle, in a batch, to a deaf worker", "last checkpoint, no repeats, exit code 0"),
    12: Row("SIGTERM to the whole process group", "the same"),
    13: Row("rolling deployments", "nothing missing, no repeats"),
    14: Row("a lease is taken by another host during a long batch", "the old worker hands out nothing more"),
    15: Row("a host that crashes again and again", "shards are read as soon as it stays up"),
    16: Row("a checkpoint is throttled, fails, times out", "repeated until it is stored; nothing missing"),
    17: Row("a checkpoint fails at a shard's end", "repeated; the child shards are read"),
    18: Row("a checkpoint after the lease is lost", "the batch is abandoned; the handler hears of it"),
    19: Row(
        "records are trimmed before they were read", "the shard stops, or the gap is counted; others go on"
    ),
    20: Row("a shard iterator expires, also before a first record", "no gap"),
    21: Row(
        "DescribeStream does not find the stream, or lists no shards", "no lease and no checkpoint is deleted"
    ),
    22: Row("GetRecords does not find a shard that is listed", "it is not taken for the shard's end"),
    23: Row("throttling on each call", "back-off; nothing missing"),
    24: Row("access is denied, at the start and later", "action and resource are named"),
    25: Row("shards split and roll over, also while every host is down", "parents first; nothing missing"),
    26: Row("child shards are listed late", "they are found soon after"),
    27: Row("a restart at LATEST before the first checkpoint", "nothing after the first start is lost"),
    28: Row("items of 400 KB, 1,000 records at once, every type", "they arrive as they were written"),
    29: Row("connections break, hang, drip, end half way", "reading goes on; nothing missing"),
    30: Row("the lease table is gone, slow, deleted", "a clear error; nothing is read anew in silence"),
    31: Row("the same workerId twice", "the younger is refused, on one host before it starts"),
    32: Row(
        "the clock jumps",
        "order and records are not affected",
        not_here="DynamoDB's clock jumps here, as the simulator shows it; the host's own cannot be set",
    ),
    33: Row("the disk is full, descriptors or memory run out", "an error; nothing missing"),
    34: Row(
        "a soak: random faults on two hosts and 20 shards", "nothing missing; memory and threads stay flat"
    ),
    35: Row(
        "the times to the first record",
        "see docs/benchmarks.md",
        not_here="a time is a benchmark's, not a test's: `scripts/bench`",
    ),
}
