"""Changes made up from a seed: the same seed gives the same ones."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

from record_processor.testing import tables
from record_processor.testing.simulator.records import TTL_SERVICE, Change

_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def generate_changes(
    count: int,
    *,
    seed: int = 0,
    keys: int = 100,
    prefix: str = "item-",
    payload_bytes: tuple[int, int] = (0, 0),
    expired_share: float = 0,
) -> Iterator[Change]:
    """Yield the changes of `record_processor.testing.plan_changes`, items included.

    `payload_bytes` is the least and the greatest size of a further attribute of each item, `expired_share`
    how many of the removals Time to Live makes, from 0 to 1.
    """
    plan = tables.plan_changes(count, seed=seed, keys=keys, prefix=prefix)
    yield from changes_of(plan, seed=seed, payload_bytes=payload_bytes, expired_share=expired_share)


def changes_of(
    plan: Sequence[tables.Change],
    *,
    seed: int = 0,
    payload_bytes: tuple[int, int] = (0, 0),
    expired_share: float = 0,
) -> Iterator[Change]:
    """Yield each planned change with its keys and images in DynamoDB's JSON."""
    choose = random.Random(seed)  # noqa: S311 nothing is secret here
    items: dict[str, dict[str, Any]] = {}
    for planned in plan:
        keys = {tables.KEY: {"S": planned.key}}
        old = items.pop(planned.key, None)
        if planned.event_name == "REMOVE":
            is_expired = choose.random() < expired_share
            yield Change("REMOVE", keys, None, old, TTL_SERVICE if is_expired else None)
            continue
        new = {**keys, tables.COUNTER: {"N": str(planned.n)}, **_payload(choose, payload_bytes)}
        items[planned.key] = new
        yield Change(planned.event_name, keys, new, old)


def _payload(choose: random.Random, payload_bytes: tuple[int, int]) -> dict[str, Any]:
    size = choose.randint(*payload_bytes)
    return {"payload": {"S": choose.choice(_LETTERS) * size}} if size else {}
