"""Plays a shard's roll-over, which DynamoDB Local does not do: one real shard is shown as a parent and its child."""

from __future__ import annotations

from typing import Any

from record_processor.testing import DynamoDBLocal, FaultProxy
from record_processor.testing.faults import Forward


class RollOver:
    """Rewrites the stream calls of one table once `roll` was called: what exists then is the parent's."""

    def __init__(self, proxy: FaultProxy, table: str) -> None:
        """Take the proxy through which the daemon reads the table's stream."""
        self.parent = ""
        self.child = ""
        self._boundary = -1
        self._table = table
        self._childs_iterators: set[str] = set()
        proxy.respond("DescribeStream", self._describe, table=table)
        proxy.respond("GetShardIterator", self._iterator, table=table)
        proxy.respond("GetRecords", self._records)

    def roll(self, server: DynamoDBLocal) -> None:
        """Close the shard behind its last record."""
        streams = server.client("dynamodbstreams")
        arn = server.client().describe_table(TableName=self._table)["Table"]["LatestStreamArn"]
        shard = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"][0]["ShardId"]
        iterator = streams.get_shard_iterator(StreamArn=arn, ShardId=shard, ShardIteratorType="TRIM_HORIZON")
        records = streams.get_records(ShardIterator=iterator["ShardIterator"])["Records"]
        self._boundary = max(int(record["dynamodb"]["SequenceNumber"]) for record in records)
        self.parent = shard
        name, milliseconds, _ = shard.split("-")
        self.child = f"{name}-{int(milliseconds) + 1:020}-0000c41d"

    def _describe(self, request: dict[str, Any], forward: Forward) -> dict[str, Any]:
        answer = forward(request)
        if not self.child:
            return answer
        description = answer["StreamDescription"]
        (parent,) = (shard for shard in description["Shards"] if shard["ShardId"] == self.parent)
        parent["SequenceNumberRange"]["EndingSequenceNumber"] = f"{self._boundary:021}"
        child = {
            "ShardId": self.child,
            "ParentShardId": self.parent,
            "SequenceNumberRange": {"StartingSequenceNumber": f"{self._boundary + 1:021}"},
        }
        asked_for_children = request.get("ShardFilter", {}).get("ShardId")
        if asked_for_children:
            description["Shards"] = [child] if asked_for_children == self.parent else []
        else:
            description["Shards"] = [parent, child]
        return answer

    def _iterator(self, request: dict[str, Any], forward: Forward) -> dict[str, Any]:
        if request["ShardId"] != self.child:
            return forward(request)
        real = request | {"ShardId": self.parent}
        if request["ShardIteratorType"] == "TRIM_HORIZON":
            real |= {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": f"{self._boundary:021}"}
        answer = forward(real)
        # Marked, so that the proxy and we can tell the child's iterators from the parent's.
        self._childs_iterators.add(answer["ShardIterator"])
        return answer

    def _records(self, request: dict[str, Any], forward: Forward) -> dict[str, Any]:
        answer = forward(request)
        if not self.child:
            return answer
        if request["ShardIterator"] in self._childs_iterators:
            self._childs_iterators.add(answer.get("NextShardIterator", ""))
            return answer
        own = [
            record
            for record in answer["Records"]
            if int(record["dynamodb"]["SequenceNumber"]) <= self._boundary
        ]
        is_at_end = (
            len(own) < len(answer["Records"])
            or not own
            or int(own[-1]["dynamodb"]["SequenceNumber"]) == self._boundary
        )
        answer["Records"] = own
        if is_at_end:
            answer.pop("NextShardIterator", None)
        return answer
