"""Whole conversations of a real worker, each held against its transcript: JSON lines under `transcripts/`.

A transcript is the same on both wires. `REWRITE_TRANSCRIPTS=1` writes them anew: look at the difference before
you keep it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.protocol.scripted_daemon import ScriptedDaemon, record, wait_until

TRANSCRIPTS = Path(__file__).parent / "transcripts"
ONE_BY_ONE = """
class Processor(RecordProcessor):
    def on_insert(self, record):
        print("insert", record.keys["pk"], flush=True)
    def on_modify(self, record):
        print("modify", record.changes(), flush=True)
    def on_remove(self, record):
        print("remove", record.keys["pk"], record.is_ttl_delete, flush=True)
    def teardown(self, reason):
        print("teardown", reason.value, flush=True)
"""
FAILS_AT_2 = """
class Processor(RecordProcessor):
    failures = {failures}
    def on_insert(self, record):
        print("insert", record.sequence_number, flush=True)
        if record.sequence_number == "2" and self.failures:
            self.failures -= 1
            raise ValueError("not now")
    def teardown(self, reason):
        print("teardown", reason.value, flush=True)
"""


def _compare(daemon: ScriptedDaemon, name: str) -> None:
    path = TRANSCRIPTS / f"{name}.jsonl"
    text = "".join(json.dumps(said) + "\n" for said in daemon.transcript)
    if os.environ.get("REWRITE_TRANSCRIPTS"):
        path.write_text(text, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == text


def _a_shard_to_its_end(daemon: ScriptedDaemon) -> None:
    modified = record(2, "MODIFY", OldImage={"n": {"N": "1"}}, NewImage={"n": {"N": "2"}})
    daemon.initialize()
    daemon.send_batch(1, modified, record(3, "REMOVE"))
    daemon.expect_acknowledge(3)
    daemon.send({"action": "shardEnded"})
    daemon.expect_status("shardEnded")
    daemon.expect_exit(0)
    assert daemon.printed() == [
        "insert item-1",
        "modify {'n': (1, 2)}",
        "remove item-3 False",
        "teardown shardEnded",
    ]


def _an_empty_batch(daemon: ScriptedDaemon) -> None:
    daemon.initialize()
    daemon.send_batch()
    daemon.send({"action": "leaseLost"})
    daemon.expect_status("leaseLost")
    daemon.expect_exit(0)
    assert daemon.printed() == ["teardown leaseLost"]


def _several_batches_in_flight(daemon: ScriptedDaemon) -> None:
    daemon.initialize()
    daemon.send_batch(1, 2)
    daemon.send_batch()
    daemon.send_batch(3)
    daemon.send_batch(4, 5)
    daemon.send({"action": "shardEnded"})
    daemon.expect_acknowledge(5)
    daemon.expect_status("shardEnded")
    daemon.expect_exit(0)
    assert daemon.printed() == [*(f"insert item-{n}" for n in range(1, 6)), "teardown shardEnded"]


def _a_drain_when_idle(daemon: ScriptedDaemon) -> None:
    daemon.initialize()
    daemon.send_batch(1)
    daemon.expect_acknowledge(1)
    daemon.send({"action": "shutdownRequested"})
    daemon.expect_status("shutdownRequested")
    daemon.expect_exit(0)


def _a_record_that_fails_once(daemon: ScriptedDaemon) -> None:
    daemon.initialize()
    daemon.send_batch(1, 2, 3)
    daemon.expect_acknowledge(1)
    daemon.expect_acknowledge(3)
    daemon.send({"action": "shardEnded"})
    daemon.expect_status("shardEnded")
    assert daemon.printed() == ["insert 1", "insert 2", "insert 2", "insert 3", "teardown shardEnded"]
    (error,) = daemon.logs("ERROR")
    assert error["message"].startswith(
        "shardId-1: record 2: ValueError: not now; attempt 1 failed, next one in "
    )
    assert error["exception"].splitlines()[1].endswith("in on_insert")
    assert [log["message"] for log in daemon.logs("INFO")] == ["shardId-1: record 2: handled at attempt 2"]


def _a_drain_while_a_record_fails(daemon: ScriptedDaemon) -> None:
    daemon.initialize()
    daemon.send_batch(1, 2, 3)
    daemon.expect_acknowledge(1)
    daemon.send_batch(4)
    wait_until(lambda: len(daemon.logs("ERROR")) >= 3)
    daemon.send({"action": "shutdownRequested"})
    daemon.expect_status("shutdownRequested")
    daemon.expect_exit(0)
    assert not {"insert 3", "insert 4"} & {*daemon.printed()}
    assert daemon.printed()[-1] == "teardown shutdownRequested"


def _a_drain_within_a_batch(daemon: ScriptedDaemon) -> None:
    daemon.initialize()
    daemon.send_batch(1, 2)
    daemon.send_batch(3)
    assert daemon.receive() == {"action": "checkpoint", "sequenceNumber": "1"}
    daemon.send({"action": "shutdownRequested"})
    daemon.answer("1", "ThrottlingException")
    daemon.expect_status("shutdownRequested")
    daemon.expect_exit(0)
    assert daemon.printed() == ["1 ThrottlingError the checkpoint at 1 was not stored: ThrottlingException"]


def _a_lease_lost_while_a_record_fails(daemon: ScriptedDaemon) -> None:
    daemon.initialize()
    daemon.send_batch(1, 2)
    daemon.expect_acknowledge(1)
    daemon.send({"action": "leaseLost"})
    daemon.expect_status("leaseLost")
    daemon.expect_exit(0)
    assert daemon.printed()[-1] == "teardown leaseLost"


def _a_checkpoint_that_finds_the_lease_lost(daemon: ScriptedDaemon) -> None:
    daemon.initialize()
    daemon.send_batch(1, 2, 3)
    daemon.send_batch(4)
    daemon.expect_checkpoint(1, "ShutdownException")
    daemon.send({"action": "leaseLost"})
    daemon.expect_status("leaseLost")
    daemon.expect_exit(0)
    assert daemon.printed() == ["1 LeaseLostError the checkpoint at 1 was not stored: ShutdownException"]


def _checkpoints_by_hand(daemon: ScriptedDaemon) -> None:
    daemon.initialize()
    daemon.send_batch(1, 2, 3)
    daemon.expect_checkpoint(1)
    daemon.expect_checkpoint(2, "ThrottlingException")
    daemon.expect_checkpoint(3)
    daemon.send({"action": "shardEnded"})
    daemon.expect_status("shardEnded")
    assert daemon.printed() == [
        "1 stored",
        "2 ThrottlingError the checkpoint at 2 was not stored: ThrottlingException",
        (
            "1 CheckpointError <Record INSERT 3 of shardId-1, table orders> was not handed out yet: a checkpoint "
            "cannot pass records that were not handled"
        ),
        "3 stored",
    ]


OVER = 1
"""A deadline that is over, on a clock that began with the host's start."""
FAR = 2**62
"""One that never is."""


def _a_deadline_that_is_over(daemon: ScriptedDaemon) -> None:
    daemon.initialize(deadlineNanos=OVER, fencingToken=7)
    daemon.send_batch(1, deadlineNanos=OVER, fencingToken=7)
    daemon.send_batch(2, deadlineNanos=OVER, fencingToken=7)
    assert daemon.receive() == {"action": "lease"}
    assert daemon.printed() == []
    daemon.send({"action": "lease", "deadlineNanos": FAR, "fencingToken": 8})
    daemon.expect_acknowledge(2)
    assert daemon.printed() == ["insert item-1", "insert item-2"]


def _a_deadline_that_is_over_as_the_lease_is_lost(daemon: ScriptedDaemon) -> None:
    daemon.initialize(deadlineNanos=OVER)
    daemon.send_batch(1)
    assert daemon.receive() == {"action": "lease"}
    daemon.send({"action": "leaseLost"})
    daemon.expect_status("leaseLost")
    daemon.expect_exit(0)
    assert daemon.printed() == ["teardown leaseLost"]


def _a_deadline_that_is_over_as_the_host_drains(daemon: ScriptedDaemon) -> None:
    daemon.initialize(deadlineNanos=OVER)
    daemon.send_batch(1)
    assert daemon.receive() == {"action": "lease"}
    daemon.send_batch(2)
    daemon.send({"action": "shutdownRequested"})
    daemon.expect_status("shutdownRequested")
    daemon.expect_exit(0)
    assert daemon.printed() == ["teardown shutdownRequested"]


BY_HAND = """
class Processor(RecordProcessor):
    def setup(self, context):
        self.checkpointer = context.checkpointer
        self.later = None
    def try_it(self, who, record):
        try:
            self.checkpointer.checkpoint(record)
            print(who, "stored", flush=True)
        except CheckpointError as error:
            print(who, type(error).__name__, error, flush=True)
    def process_record(self, record):
        if record.sequence_number == "2":
            self.try_it(2, record)
            event = {**record.to_dynamodb_json(), "dynamodb": {"SequenceNumber": "3"}}
            ahead = Record.from_dynamodb_json(event, record.shard_id)
            self.try_it(1, ahead)
        else:
            self.try_it(record.sequence_number, record)
"""
BATCH_BY_HAND = """
class Processor(RecordProcessor):
    calls = 0
    def setup(self, context):
        self.checkpointer = context.checkpointer
    def process_batch(self, records):
        print([record.sequence_number for record in records], flush=True)
        self.calls += 1
        if self.calls == 1:
            self.checkpointer.checkpoint(records[1])
            raise ValueError("at the third")
"""


def _a_batch_that_is_partly_done(daemon: ScriptedDaemon) -> None:
    daemon.initialize()
    daemon.send_batch(1, 2, 3, 4)
    daemon.expect_checkpoint(2)
    daemon.expect_acknowledge(4)
    daemon.send({"action": "shutdownRequested"})
    daemon.expect_status("shutdownRequested")
    assert daemon.printed() == ["['1', '2', '3', '4']", "['3', '4']"]


FAILS_ONCE = FAILS_AT_2.format(failures=1)
FAILS_FOR_EVER = FAILS_AT_2.format(failures=10**9)
FAST_RETRY = ("--settings", '{"retryBackoffMillis": 10, "maximumRetryBackoffMillis": 20}')

CONVERSATIONS: list[tuple[Callable[[ScriptedDaemon], None], str, tuple[str, ...]]] = [
    (_a_shard_to_its_end, ONE_BY_ONE, ()),
    (_an_empty_batch, ONE_BY_ONE, ()),
    (_several_batches_in_flight, ONE_BY_ONE, ()),
    (_a_drain_when_idle, ONE_BY_ONE, ()),
    (_a_record_that_fails_once, FAILS_ONCE, FAST_RETRY),
    (_a_drain_while_a_record_fails, FAILS_FOR_EVER, FAST_RETRY),
    (_a_drain_within_a_batch, BY_HAND, ()),
    (_a_lease_lost_while_a_record_fails, FAILS_FOR_EVER, ()),
    (_a_checkpoint_that_finds_the_lease_lost, BY_HAND, ()),
    (_checkpoints_by_hand, BY_HAND, ()),
    (_a_batch_that_is_partly_done, BATCH_BY_HAND, FAST_RETRY),
    (_a_deadline_that_is_over, ONE_BY_ONE, ()),
    (_a_deadline_that_is_over_as_the_lease_is_lost, ONE_BY_ONE, ()),
    (_a_deadline_that_is_over_as_the_host_drains, ONE_BY_ONE, ()),
]


@pytest.mark.parametrize(
    ("play", "source", "options"),
    CONVERSATIONS,
    ids=[play.__name__.strip("_") for play, _, _ in CONVERSATIONS],
)
def test_conversation(
    play: Callable[[ScriptedDaemon], None],
    source: str,
    options: tuple[str, ...],
    start: Callable[..., ScriptedDaemon],
) -> None:
    """The worker says, to the same words, what it always said."""
    with start(source, *options) as daemon:
        play(daemon)
        _compare(daemon, play.__name__.strip("_"))


def test_the_words_of_stock_are_enough(start: Callable[..., ScriptedDaemon]) -> None:
    """A daemon that adds nothing to `initialize` is understood."""
    with start(ONE_BY_ONE) as daemon:
        daemon.send({"action": "initialize", "shardId": "shardId-1", "sequenceNumber": "TRIM_HORIZON"})
        daemon.expect_status("initialize")
        daemon.send_batch(1)
        daemon.expect_acknowledge(1)


SLOW = """
class Processor(RecordProcessor):
    def on_insert(self, record):
        started = time.monotonic()
        while time.monotonic() < started + 0.021:
            pass
"""


def test_slow_handlers_acknowledge_each_record(start: Callable[..., ScriptedDaemon]) -> None:
    """What a crash repeats is one record, not a batch."""
    with start(SLOW) as daemon:
        daemon.initialize()
        daemon.send_batch(1, 2, 3)
        said = [daemon.receive() for _ in range(3)]
    assert said == [{"action": "acknowledge", "sequenceNumber": str(number)} for number in (1, 2, 3)]


def test_every_transcript_has_its_conversation() -> None:
    """No file is left over from a conversation that is no more."""
    names = {play.__name__.strip("_") for play, _, _ in CONVERSATIONS}
    assert {path.stem for path in TRANSCRIPTS.glob("*.jsonl")} == names
