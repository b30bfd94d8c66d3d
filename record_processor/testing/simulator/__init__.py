"""A simulator of DynamoDB Streams: shards that split, roll over, are trimmed and expire, when a test says so.

docs/simulator.md has what it does like DynamoDB, and what not.
"""

from __future__ import annotations

from record_processor.testing.simulator.clock import VirtualClock
from record_processor.testing.simulator.generator import generate_changes
from record_processor.testing.simulator.recorded import feed, read_changes
from record_processor.testing.simulator.records import TTL_SERVICE, Change, SimulatedRecord
from record_processor.testing.simulator.script import Script
from record_processor.testing.simulator.server import StreamSimulator
from record_processor.testing.simulator.shard import SimulatedShard
from record_processor.testing.simulator.stream import SimulatedStream

__all__ = [
    "StreamSimulator",
    "SimulatedStream",
    "SimulatedShard",
    "SimulatedRecord",
    "Change",
    "generate_changes",
    "read_changes",
    "feed",
    "Script",
    "TTL_SERVICE",
    "VirtualClock",
]
