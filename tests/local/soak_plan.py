"""What goes wrong in a soak, and when: drawn from a seed, so that the seed gives the same faults again."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

from tests.local.application import VICTIMS

STREAM_CALLS: Final = (*["GetRecords"] * 4, "GetShardIterator", "DescribeStream", "DescribeTable")
LEASE_CALLS: Final = (*["UpdateItem"] * 3, "GetItem", "PutItem", "Scan", "DeleteItem")
"""Those that are made all the time more often."""
WAYS: Final = ("throttled", "internal error", "delay", "reset", "half answer")
"""What becomes of a call."""
MOST_JUMP_HOURS: Final = 6.0
"""Four of them are 24 hours; before each, all that was written is handled."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. The fields that its kind does not need are empty."""

    at_seconds: float
    """After the begin of the faults."""
    kind: str
    seconds: float = 0
    """How long it lasts; 0: a moment."""
    host: int = 0
    victim: str = ""
    operation: str = ""
    way: str = ""
    share: float = 0
    """Of the calls, or of the batches."""
    hours: float = 0

    def __str__(self) -> str:
        """Say in a few words what it is."""
        what = {
            "calls": f"{self.share:.0%} of {self.operation}: {self.way}",
            "kill": f"{self.victim} of host {self.host}",
            "stop": f"{self.victim} of host {self.host}",
            "hand over": f"host {self.host} drains and starts again",
            "handler": f"{self.share:.0%} of the batches raise",
            "clock": f"{self.hours:.1f} hours",
            "roll": "a shard rolls over",
        }[self.kind]
        return f"{self.kind}: {what}" + (f", for {self.seconds:.1f} s" if self.seconds else "")


_WEIGHTS: Final = {"calls": 8, "kill": 4, "stop": 3, "hand over": 2, "handler": 2, "clock": 1, "roll": 2}
_CALM_SECONDS: Final = (1.0, 5.0)
"""From one fault's end to the next one's begin: only what calls meet may still go on."""


def plan(seed: int, seconds: float, hosts: int = 2) -> list[Fault]:
    """Return the faults of so many seconds, in their order.

    Faults of processes and of the lease table do not overlap: two at once can lawfully let a handler's last
    call end after another host has begun, and then nothing could be said of repeats.
    """
    choose = random.Random(seed)
    faults: list[Fault] = []
    at = choose.uniform(*_CALM_SECONDS)
    while True:
        fault = _draw(choose, at, hosts)
        if at + fault.seconds > seconds:
            return faults
        faults.append(fault)
        is_alone = fault.kind != "handler" and fault.operation not in STREAM_CALLS
        at += choose.uniform(*_CALM_SECONDS) + (fault.seconds if is_alone else 0)


def _draw(choose: random.Random, at: float, hosts: int) -> Fault:
    kind = choose.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
    host = choose.randrange(hosts)
    if kind == "calls":
        operation = choose.choice(STREAM_CALLS + LEASE_CALLS)
        way, share = choose.choice(WAYS), choose.choice((0.1, 0.5, 1.0))
        return Fault(at, kind, choose.uniform(1, 5), operation=operation, way=way, share=share)
    if kind == "kill":
        return Fault(at, kind, host=host, victim=choose.choice(VICTIMS))
    if kind == "stop":
        return Fault(at, kind, choose.uniform(0.2, 6), host, choose.choice(VICTIMS))
    if kind == "handler":
        return Fault(at, kind, choose.uniform(1, 4), share=choose.choice((0.2, 0.8)))
    if kind == "clock":
        return Fault(at, kind, hours=choose.uniform(0.1, MOST_JUMP_HOURS))
    return Fault(at, kind, host=host)
