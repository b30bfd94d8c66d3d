"""Functions that are `@idempotent`, called by handlers of a real worker."""

from __future__ import annotations

from collections.abc import Callable

from tests.protocol.scripted_daemon import ScriptedDaemon

SOURCE = """
from record_processor.stores import claim_of_this_process

class Processor(RecordProcessor):
    def process_record(self, record):
        claim = claim_of_this_process(record.fencing_token)
        print(claim.owner, claim.shard_id, claim.fencing_token)
"""


def test_they_claim_for_the_shard(start: Callable[..., ScriptedDaemon]) -> None:
    """So what a dead worker has locked its replacement takes over at once, and a newer owner's token fences."""
    with start(SOURCE) as daemon:
        daemon.initialize(fencingToken=7)
        daemon.send_batch(1, fencingToken=7)
        daemon.expect_acknowledge(1)
        daemon.send({"action": "shutdownRequested"})
        daemon.expect_status("shutdownRequested")
        daemon.expect_exit(0)
        assert daemon.printed() == ["host-1/shardId-1 shardId-1 7"]
