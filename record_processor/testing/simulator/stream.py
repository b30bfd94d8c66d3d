"""A simulated stream: a tree of shards that split, roll over, close and are forgotten."""

from __future__ import annotations

import hashlib
import json
import random
import threading
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from itertools import pairwise
from typing import Any, Final

from record_processor.testing.simulator.clock import VirtualClock
from record_processor.testing.simulator.generator import changes_of
from record_processor.testing.simulator.records import VIEW_TYPES, Change, encode_record, typed_item
from record_processor.testing.simulator.shard import SimulatedShard
from record_processor.testing.tables import KEY, WrittenChanges, plan_changes, written_changes

ACCOUNT: Final = "123456789012"
"""The account in the ARNs of simulated tables and streams."""
_ALL_HASHES: Final = range(2**128)
_NUMBERS_PER_MILLISECOND: Final = 10**14


class SimulatedStream:
    """One stream of one table, made by `StreamSimulator.create_stream`. May be used from any thread.

    Items are not kept: what is `put` is the change, with the images that the stream is to show.
    """

    def __init__(
        self,
        table: str,
        *,
        region: str,
        clock: VirtualClock,
        shards: int = 1,
        view_type: str = "NEW_AND_OLD_IMAGES",
        key_schema: Mapping[str, str] | None = None,
        roll_every_hours: float | None = None,
        empty_pages: int = 0,
    ) -> None:
        """Open so many shards. Raises ValueError for what no stream can have."""
        if shards < 1 or view_type not in VIEW_TYPES:
            raise ValueError(f"no stream has {shards} shards and the view type {view_type!r}")
        if roll_every_hours is not None and roll_every_hours <= 0:
            raise ValueError(f"roll_every_hours must be more than 0, not {roll_every_hours}")
        self.table = table
        """The table's name."""
        self.region = region
        """The region in its ARN and its records."""
        self.view_type = view_type
        """What its records carry: KEYS_ONLY, NEW_IMAGE, OLD_IMAGE or NEW_AND_OLD_IMAGES."""
        self.key_schema = dict(key_schema or {KEY: "S"})
        """The keys' names and types: the partition key first, then the sort key if there is one."""
        self.roll_every_hours = roll_every_hours
        """How long a shard is open before it rolls over by itself; None: never."""
        self.empty_pages = empty_pages
        """How many empty answers precede each one that has records; DynamoDB gives some, too."""
        self.created_seconds = clock.now_seconds()
        """When it was switched on, by the virtual clock."""
        self.label = _label(self.created_seconds)
        """The end of its ARN, an ISO 8601 time."""
        self.arn = f"arn:aws:dynamodb:{region}:{ACCOUNT}:table/{table}/stream/{self.label}"
        """Its ARN."""
        self.is_enabled = True
        """False after `disable`."""
        self._clock = clock
        self._first_shards = shards
        self._lock = threading.RLock()
        self._chance = random.Random(self.arn)  # noqa: S311 nothing is secret here
        self._next_number = int(self.created_seconds * 1000) * _NUMBERS_PER_MILLISECOND
        self._last_shard_millis = 0
        self._partition_key = next(iter(self.key_schema))
        self._shards: list[SimulatedShard] = []
        self._by_id: dict[str, SimulatedShard] = {}
        for hashes in _parts(_ALL_HASHES, shards):
            self._open(None, hashes, self.created_seconds)

    def renewed(self) -> SimulatedStream:
        """Return another stream of the same table, with the same settings and no records."""
        return SimulatedStream(
            self.table,
            region=self.region,
            clock=self._clock,
            shards=self._first_shards,
            view_type=self.view_type,
            key_schema=self.key_schema,
            roll_every_hours=self.roll_every_hours,
            empty_pages=self.empty_pages,
        )

    def __repr__(self) -> str:
        """Name it by its ARN."""
        return f"<SimulatedStream {self.arn}>"

    # What there is

    @property
    def shards(self) -> list[SimulatedShard]:
        """Those that DescribeStream lists: all but the vanished ones, oldest first."""
        with self._lock:
            self._catch_up()
            return [shard for shard in self._shards if not shard.is_vanished]

    @property
    def open_shards(self) -> list[SimulatedShard]:
        """Those that records can come to, oldest first."""
        return [shard for shard in self.shards if shard.is_open]

    @property
    def is_gone(self) -> bool:
        """Whether DynamoDB has forgotten it: disabled, and its last shard has vanished."""
        return not self.is_enabled and not self.shards

    def shard(self, shard_id: str) -> SimulatedShard:
        """Return a listed shard by its id. Raises KeyError."""
        with self._lock:
            self._catch_up()
            shard = self._by_id[shard_id]
            if shard.is_vanished:
                raise KeyError(shard_id)
            return shard

    def last_number(self) -> int:
        """Return the greatest sequence number that has been given out so far."""
        with self._lock:
            return self._next_number - 1

    # Records

    def put(
        self,
        keys: Mapping[str, Any],
        new_image: Mapping[str, Any] | None = None,
        old_image: Mapping[str, Any] | None = None,
        *,
        user_identity: Mapping[str, str] | None = None,
    ) -> str:
        """Write the record of a change, and return its sequence number.

        The values are plain Python ones, as a `Record` shows them; what an image lacks of the keys is added.
        With only a new image it is an INSERT, with both a MODIFY, with only an old one a REMOVE;
        `user_identity` is `TTL_SERVICE` for a deletion by Time to Live. Raises ValueError without an image,
        without one of the keys, or if the stream is disabled, and TypeError for a value that no item holds.
        """
        event_name = _event_name(new_image is not None, old_image is not None)
        return self.put_change(
            Change(
                event_name,
                typed_item(keys),
                None if new_image is None else typed_item({**keys, **new_image}),
                None if old_image is None else typed_item({**keys, **old_image}),
                user_identity,
            )
        )

    def put_change(self, change: Change) -> str:
        """Write the record of a change in DynamoDB's JSON, and return its sequence number.

        Raises ValueError if one of the keys is missing, or the stream is disabled.
        """
        missing = [name for name in self.key_schema if name not in change.keys]
        if missing:
            raise ValueError(f"table {self.table} has the key {missing[0]!r}, which is missing here")
        hash_ = _hash(change.keys[self._partition_key])
        with self._lock:
            self._catch_up()
            shard = next((one for one in self._shards if one.is_open and hash_ in one.hashes), None)
            if shard is None:
                raise ValueError(f"{self} has no open shard for this key")
            record = encode_record(
                change,
                number=self._new_number(),
                created_seconds=self._clock.now_seconds(),
                view_type=self.view_type,
                region=self.region,
            )
            shard.append(record)
        return record.sequence_number

    def write_changes(
        self, count: int, *, seed: int = 0, keys: int = 100, prefix: str = "item-", payload_bytes: int = 0
    ) -> WrittenChanges:
        """Write the records that `record_processor.testing.write_changes` would cause on a table.

        The key must be `pk`, of type string. None of its keys may have been written before.
        """
        plan = plan_changes(count, seed=seed, keys=keys, prefix=prefix)
        for change in changes_of(plan, payload_bytes=(payload_bytes, payload_bytes)):
            self.put_change(change)
        return written_changes(plan)

    # Shards

    def split(self, shard: SimulatedShard) -> tuple[SimulatedShard, SimulatedShard]:
        """Close a shard, and open two children that share its keys. Raises ValueError if it is not open."""
        with self._lock:
            left, right = self._replace(shard, 2, self._clock.now_seconds())
            return left, right

    def roll(self, shard: SimulatedShard | None = None) -> list[SimulatedShard]:
        """Close a shard, or every open one, and open one child each, as DynamoDB does every few hours.

        Returns the children. Raises ValueError if the shard is not open.
        """
        with self._lock:
            parents = self.open_shards if shard is None else [shard]
            now = self._clock.now_seconds()
            return [child for parent in parents for child in self._replace(parent, 1, now)]

    def close(self, shard: SimulatedShard) -> None:
        """Close a shard without a child. Raises ValueError if it is not open."""
        with self._lock:
            self._close(shard, self._clock.now_seconds())

    def disable(self) -> None:
        """Switch the stream off: every shard closes, and it can be read for 24 hours more."""
        with self._lock:
            for shard in self.open_shards:
                self.close(shard)
            self.is_enabled = False

    def trim(self, shard: SimulatedShard, through: str) -> None:
        """Remove a shard's records up to a sequence number, before their 24 hours are over."""
        shard.trim(int(through))

    def trim_all(self) -> None:
        """Remove every record that there is now."""
        with self._lock:
            for shard in self.shards:
                shard.trim_all()

    def _catch_up(self) -> None:
        """Let the shards roll over that should have by now, each at its own time."""
        if self.roll_every_hours is None or not self.is_enabled:
            return
        while due := [
            shard for shard in self._shards if shard.is_open and self._roll_time(shard) is not None
        ]:
            for shard in due:
                self._replace(shard, 1, self._roll_time(shard) or 0)

    def _roll_time(self, shard: SimulatedShard) -> float | None:
        due_seconds = shard.created_seconds + 3600 * (self.roll_every_hours or 0)
        return due_seconds if due_seconds <= self._clock.now_seconds() else None

    def _replace(self, parent: SimulatedShard, children: int, at_seconds: float) -> list[SimulatedShard]:
        self._close(parent, at_seconds)
        return [self._open(parent.id, hashes, at_seconds) for hashes in _parts(parent.hashes, children)]

    def _open(self, parent_id: str | None, hashes: range, at_seconds: float) -> SimulatedShard:
        self._last_shard_millis = max(self._last_shard_millis + 1, int(at_seconds * 1000))
        shard = SimulatedShard(
            f"shardId-{self._last_shard_millis:020}-{self._chance.getrandbits(32):08x}",
            parent_id,
            hashes,
            self._new_number(),
            created_seconds=at_seconds,
            clock=self._clock,
            lock=self._lock,
        )
        self._shards.append(shard)
        self._by_id[shard.id] = shard
        return shard

    def _close(self, shard: SimulatedShard, at_seconds: float) -> None:
        if shard not in self._shards or not shard.is_open:
            raise ValueError(f"{shard} is not an open shard of {self}")
        shard.close(self._new_number(), at_seconds)

    def _new_number(self) -> int:
        number, self._next_number = self._next_number, self._next_number + 1
        return number


def _label(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]


def _parts(hashes: range, count: int) -> Sequence[range]:
    """Cut a range into parts of about the same size."""
    size = hashes.stop - hashes.start
    bounds = [hashes.start + size * part // count for part in range(count + 1)]
    return [range(begin, end) for begin, end in pairwise(bounds)]


def _hash(partition_key: Mapping[str, Any]) -> int:
    text = json.dumps(partition_key)
    return int.from_bytes(hashlib.blake2b(text.encode("ascii"), digest_size=16).digest(), "big")


def _event_name(has_new_image: bool, has_old_image: bool) -> str:
    if not has_new_image and not has_old_image:
        raise ValueError("a change has a new image, an old image, or both")
    if not has_new_image:
        return "REMOVE"
    return "MODIFY" if has_old_image else "INSERT"
