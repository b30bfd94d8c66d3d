"""Makes tables with a stream, and writes changes to them whose order can be checked."""

from __future__ import annotations

import random
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from record_processor.testing.waiting import wait_until

KEY: Final = "pk"
"""The partition key's name, of type string."""
COUNTER: Final = "n"
"""The attribute that counts a key's changes."""

_BATCH: Final = 25  # BatchWriteItem takes no more
_WRITERS: Final = 4
_REMOVED_SHARE: Final = 1 / 8  # of the changes to items that are there


@dataclass(frozen=True, slots=True)
class StreamTable:
    """A table that has a stream."""

    name: str
    stream_arn: str
    """As the client that made it sees it: DynamoDB Local's own has the region `ddblocal`."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change to write: the n-th of its key. DynamoDB makes one stream record of it."""

    key: str
    n: int
    event_name: str
    """INSERT, MODIFY or REMOVE."""


@dataclass(frozen=True, slots=True)
class WrittenChanges:
    """What was written: the truth that handlers are held against."""

    per_key: Mapping[str, Sequence[int]]
    """Each key's counters in the order of writing, as `check_history` takes them."""
    inserted: int
    modified: int
    removed: int

    @property
    def total(self) -> int:
        """How many changes, and so how many stream records."""
        return self.inserted + self.modified + self.removed


def create_stream_table(client: Any, name: str, stream_view_type: str = "NEW_AND_OLD_IMAGES") -> StreamTable:
    """Create a table with the key `pk` and a stream, and wait until both are there.

    `client` is boto3's for "dynamodb". Raises what it raises, and TimeoutError.
    """
    client.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": KEY, "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": KEY, "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": stream_view_type},
    )
    wait_until(
        lambda: client.describe_table(TableName=name)["Table"]["TableStatus"] == "ACTIVE",
        timeout_seconds=120,
        what=f"table {name} becoming active",
    )
    return StreamTable(name, client.describe_table(TableName=name)["Table"]["LatestStreamArn"])


def plan_changes(count: int, *, seed: int = 0, keys: int = 100, prefix: str = "item-") -> list[Change]:
    """Return `count` changes to at most `keys` keys; the same seed gives the same ones.

    A key's counters are 1, 2, 3, …; what is removed is inserted again later, and goes on counting.
    """
    choose = random.Random(seed)  # noqa: S311 nothing is secret here
    latest: dict[str, Change] = {}
    changes = []
    for _ in range(count):
        key = f"{prefix}{choose.randrange(keys)}"
        latest[key] = _next_change(key, latest.get(key), is_removal=choose.random() < _REMOVED_SHARE)
        changes.append(latest[key])
    return changes


def write_changes(
    client: Any,
    table: str,
    count: int,
    *,
    seed: int = 0,
    keys: int = 100,
    prefix: str = "item-",
    payload_bytes: int = 0,
    on_progress: Callable[[int], None] | None = None,
) -> WrittenChanges:
    """Write the changes of `plan_changes` to a table in which none of its keys exist yet.

    Each key's order is kept, that among the keys is not. `payload_bytes` is the size of a further attribute;
    `on_progress` is called with how many have been written so far. Raises what the client raises.
    """
    changes = plan_changes(count, seed=seed, keys=keys, prefix=prefix)
    shares: list[list[Change]] = [[] for _ in range(_WRITERS)]
    for change in changes:  # a key belongs to one writer
        shares[zlib.crc32(change.key.encode()) % _WRITERS].append(change)
    progress = _Progress(on_progress)
    with ThreadPoolExecutor(_WRITERS, "write-changes") as writers:
        jobs = [writers.submit(_write_all, client, table, share, payload_bytes, progress) for share in shares]
        for job in jobs:
            job.result()
    return written_changes(changes)


def written_changes(changes: Sequence[Change]) -> WrittenChanges:
    """Return the summary of changes that have been written."""
    per_key: dict[str, list[int]] = {}
    for change in changes:
        per_key.setdefault(change.key, []).append(change.n)
    events = Counter(change.event_name for change in changes)
    return WrittenChanges(per_key, events["INSERT"], events["MODIFY"], events["REMOVE"])


def change_number(new_image: Mapping[str, Any] | None, old_image: Mapping[str, Any] | None) -> int:
    """Return n of a change from its record's images, as `Record` has them.

    A removed item cannot carry its own number: it is the one after the old image's. Raises ValueError if the
    images have no counter: the stream must give both.
    """
    if new_image is not None and COUNTER in new_image:
        return int(new_image[COUNTER])
    if new_image is None and old_image is not None and COUNTER in old_image:
        return int(old_image[COUNTER]) + 1
    raise ValueError("this record is not one of write_changes, or its stream has not both images")


def _next_change(key: str, previous: Change | None, is_removal: bool) -> Change:
    if previous is None:
        return Change(key, 1, "INSERT")
    if previous.event_name == "REMOVE":
        return Change(key, previous.n + 1, "INSERT")
    return Change(key, previous.n + 1, "REMOVE" if is_removal else "MODIFY")


class _Progress:
    """Adds up what the writers have written."""

    def __init__(self, tell: Callable[[int], None] | None) -> None:
        self._tell = tell
        self._lock = threading.Lock()
        self._written = 0

    def add(self, count: int) -> None:
        with self._lock:
            self._written += count
            if self._tell is not None:
                self._tell(self._written)


def _write_all(
    client: Any, table: str, changes: Sequence[Change], payload_bytes: int, progress: _Progress
) -> None:
    for batch in _batches(changes):
        requests = {table: [_request(change, payload_bytes) for change in batch]}
        while requests:  # what was throttled comes back, and must be in before the keys' next changes
            requests = client.batch_write_item(RequestItems=requests)["UnprocessedItems"]
        progress.add(len(batch))


def _batches(changes: Sequence[Change]) -> Iterator[list[Change]]:
    """Put changes into batches that name each key once, as DynamoDB wants; each key keeps its order."""
    rounds: dict[int, list[Change]] = {}
    for change in changes:
        rounds.setdefault(change.n, []).append(change)
    for _, in_round in sorted(rounds.items()):
        yield from (in_round[start : start + _BATCH] for start in range(0, len(in_round), _BATCH))


def _request(change: Change, payload_bytes: int) -> dict[str, Any]:
    key = {KEY: {"S": change.key}}
    if change.event_name == "REMOVE":
        return {"DeleteRequest": {"Key": key}}
    payload = {"payload": {"S": "x" * payload_bytes}} if payload_bytes else {}
    return {"PutRequest": {"Item": {**key, COUNTER: {"N": str(change.n)}, **payload}}}
