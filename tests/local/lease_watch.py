"""What becomes of an application's leases, seen from the side: who owns them, and whether they are renewed."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from record_processor.testing.aws import local_client

SHARD_END: Final = "SHARD_END"


class Lease(NamedTuple):
    """A row of the lease table."""

    owner: str
    """Empty: nobody."""
    checkpoint: str
    counter: int
    """One more with each renewal."""


class LeaseWatch:
    """Looks at a lease table again and again, past whatever the hosts' own calls meet.

    A lease that nobody renews for `failoverTimeMillis` is lost to its owner, whoever has it next: on a machine
    that has far more to do than it can, that happens to a host with which nothing is wrong.
    """

    def __init__(self, endpoint: str, name: str, failover_seconds: float) -> None:
        self.leases: Mapping[str, Lease] = {}
        self.moved_at = self.disturbed_at = time.monotonic()
        self.disturbance = ""
        """What last disturbed the sharing out of the leases, besides the hosts themselves."""
        self._client = local_client("dynamodb", endpoint, "us-east-1", 5)
        self._name = name
        self._late_seconds = failover_seconds * 0.75
        self._renewed_at: dict[str, float] = {}

    def look(self) -> Mapping[str, Lease]:
        """Read the table, note what is new, and return the leases by shard id. At least twice in a second."""
        before, self.leases = self.leases, self._read()
        now = time.monotonic()
        if any(lease.owner != before[shard].owner for shard, lease in self.leases.items() if shard in before):
            self.moved_at = now
        if self.leases.keys() != before.keys():
            self._disturbed(now, "leases were made or deleted, and hosts may share out the others anew")
        for shard, lease in self.leases.items():
            is_renewed = shard not in before or lease.counter != before[shard].counter
            if is_renewed or not lease.owner or lease.checkpoint == SHARD_END:
                self._renewed_at[shard] = now
            elif now - self._renewed_at[shard] > self._late_seconds:
                self._disturbed(now, f"{lease.owner} was late to renew the lease of {shard}")
        return self.leases

    def shares(self) -> Counter[str]:
        """Return how many leases each owner has; those of ended shards count, as in KCL's DynamoDBLeaseTaker."""
        return Counter(lease.owner for lease in self.leases.values())

    def _disturbed(self, now: float, what: str) -> None:
        self.disturbed_at, self.disturbance = now, what

    def _read(self) -> dict[str, Lease]:
        try:
            rows: list[dict[str, Any]] = self._client.scan(TableName=self._name, ConsistentRead=True)["Items"]
        except self._client.exceptions.ResourceNotFoundException:
            return {}
        return {
            row["shardId"]["S"]: Lease(
                row.get("leaseOwner", {"S": ""})["S"],
                row["checkpoint"]["S"],
                int(row["leaseCounter"]["N"]),
            )
            for row in rows
        }
