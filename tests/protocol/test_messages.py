"""Messages: what is understood, and that what is not is said without quoting it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from record_processor import ProtocolError
from record_processor.worker import messages
from record_processor.worker.messages import Message
from tests.packing import json_message, packed_message
from tests.protocol.scripted_daemon import record
from tests.wire_examples import examples

both = pytest.mark.parametrize(
    ("parse", "written"),
    [(messages.FRAMES.parse, packed_message), (messages.LINES.parse, json_message)],
    ids=["frames", "lines"],
)
Parse = Callable[[bytes], Message]
Written = Callable[[Mapping[str, Any]], bytes]


@both
def test_every_message_is_understood(parse: Parse, written: Written) -> None:
    """Every message of the daemon; what the worker does not need is ignored."""
    said: list[dict[str, Any]] = [
        {"action": "initialize", "shardId": "shardId-1", "sequenceNumber": "LATEST", "new": [1, {}]},
        {"action": "initialize", "shardId": "s", "deadlineNanos": 5, "fencingToken": 7, "workerId": "w"},
        {"action": "initialize", "shardId": "s", "oneByOneUpTo": None, "attempts": 0},
        {"action": "initialize", "shardId": "s", "oneByOneUpTo": "007", "attempts": 3},
        {"action": "processRecords", "millisBehindLatest": None, "records": []},
        {"action": "checkpoint", "sequenceNumber": "1", "subSequenceNumber": 0, "error": None},
        {"action": "checkpoint", "sequenceNumber": None, "error": "ThrottlingException"},
        {"action": "lease", "deadlineNanos": 2**62, "fencingToken": 2**62},
        {"action": "leaseLost"},
        {"action": "shardEnded"},
        {"action": "shutdownRequested"},
    ]
    assert [parse(written(message)) for message in said] == [
        messages.Initialize("shardId-1"),
        messages.Initialize("s", worker_id="w", deadline_nanos=5, fencing_token=7),
        messages.Initialize("s"),
        messages.Initialize("s", one_by_one_up_to="007", attempts=3),
        messages.ProcessRecords([]),
        messages.CheckpointAnswer(None),
        messages.CheckpointAnswer("ThrottlingException"),
        messages.LeaseAnswer(deadline_nanos=2**62, fencing_token=2**62),
        messages.LeaseLost(),
        messages.ShardEnded(),
        messages.ShutdownRequested(),
    ]


@both
def test_records_keep_their_order(parse: Parse, written: Written) -> None:
    """A batch is the same on both wires, but for the images, which nobody has looked at yet."""
    batch = parse(written({"action": "processRecords", "records": [record(n) for n in (3, 1, 2)]}))
    assert isinstance(batch, messages.ProcessRecords)
    assert [(change.sequence_number, change.details.event_id) for change in batch.records] == [
        (str(number), f"event-{number}") for number in (3, 1, 2)
    ]


# --- The page's examples ---


@pytest.mark.parametrize("example", examples("wire-daemon"), ids=lambda example: example.json["action"])
def test_what_the_page_says_the_daemon_says(example: Any) -> None:
    """Both wires give the same message; images are compared where they are decoded."""
    length, frame = int.from_bytes(example.wire[:4], "big"), example.wire[4:]
    assert length == len(frame)
    from_frame, from_line = messages.FRAMES.parse(frame), messages.LINES.parse(json_message(example.json))
    assert from_frame.action == example.json["action"]
    if isinstance(from_frame, messages.ProcessRecords) and isinstance(from_line, messages.ProcessRecords):
        assert list(map(repr, from_frame.records)) == list(map(repr, from_line.records))
        assert len(from_frame.records) == len(example.json["records"])
        assert (from_frame.deadline_nanos, from_frame.fencing_token) == (1234567890123, 7)
    else:
        assert from_frame == from_line


@pytest.mark.parametrize("example", examples("wire-worker"), ids=lambda example: example.json["action"])
def test_what_the_page_says_the_worker_says(example: Any) -> None:
    """To the byte."""
    reply = msgspec.convert(example.json, messages.Reply)
    frame = messages.FRAMES.write(reply)
    assert len(frame).to_bytes(4, "big") + frame == example.wire
    line = messages.LINES.write(reply)
    assert json.loads(line) == example.json
    assert list(json.loads(line)) == list(example.json)


def test_the_page_has_every_message() -> None:
    """Each has an example that a test reads."""
    said = {example.json["action"] for example in examples("wire-daemon")}
    assert said == {
        str(kind.__struct_config__.tag)
        for kind in (
            messages.Initialize,
            messages.ProcessRecords,
            messages.CheckpointAnswer,
            messages.LeaseAnswer,
            messages.LeaseLost,
            messages.ShardEnded,
            messages.ShutdownRequested,
        )
    }
    replies = {example.json["action"] for example in examples("wire-worker")}
    assert replies == {"hello", "status", "acknowledge", "checkpoint", "lease", "progress", "fatal"}


# --- What is not understood ---

BATCH = '{"action":"processRecords","records":[%s]}'
LINES = [
    *("", "canary", "null", "[]", "1", "{}", '{"action":"canary"}', '{"action":["canary"]}', "[" * 100_000),
    *('{"action":"initialize"}', '{"action":"initialize","shardId":""}', '{"action":"processRecords"}'),
    *(
        '{"action":"initialize","shardId":"s","oneByOneUpTo":"canary"}',
        '{"action":"initialize","shardId":"s","oneByOneUpTo":""}',
        '{"action":"initialize","shardId":"s","oneByOneUpTo":7}',
        '{"action":"initialize","shardId":"s","attempts":"canary"}',
    ),
    *('{"action":"lease","deadlineNanos":"canary"}', '{"action":"checkpoint","error":["canary"]}'),
    *(
        BATCH % inner
        for inner in (
            "null",
            "{}",
            '{"sequenceNumber":1,"data":""}',
            '{"sequenceNumber":"x","data":"eyJkeW5hbW9kYiI6e319"}',
            '{"sequenceNumber":"1"}',
            '{"sequenceNumber":"1","data":"canary!"}',
            '{"sequenceNumber":"1","data":"Y2FuYXJ5"}',
            '{"sequenceNumber":"٣","data":"eyJkeW5hbW9kYiI6e319"}',
            '{"sequenceNumber":"' + "1" * 101 + '","data":"eyJkeW5hbW9kYiI6e319"}',
        )
    ),
]
HOSTILE_RECORDS: list[object] = [
    None,
    {},
    [],
    ["1"] * 5,
    [1, *[None] * 5],
    ["", *[None] * 5],
    ["canary", *[None] * 5],
    ["٣", *[None] * 5],
    ["1" * 101, *[None] * 5],
    ["1", ["canary"], *[None] * 4],
]
FRAMES: list[object] = [
    "canary",
    ["canary"],
    {},
    {"action": "canary"},
    {"action": ["canary"]},
    {"action": "initialize"},
    {"action": "initialize", "shardId": ""},
    {"action": "initialize", "shardId": "s", "deadlineNanos": "canary"},
    {"action": "initialize", "shardId": "s", "oneByOneUpTo": "canary"},
    {"action": "initialize", "shardId": "s", "attempts": "canary"},
    {"action": "checkpoint", "error": ["canary"]},
    *({"action": "processRecords", "records": [broken]} for broken in HOSTILE_RECORDS),
]


@pytest.mark.parametrize(
    ("parse", "data"),
    [
        *((messages.LINES.parse, line.encode()) for line in LINES),
        *((messages.FRAMES.parse, msgspec.msgpack.encode(content)) for content in FRAMES),
        (messages.FRAMES.parse, b""),
        (messages.FRAMES.parse, b"\x81\xa6action\xa6can\xffry"),
        (messages.FRAMES.parse, b"\x91" * 100_000),
        (messages.FRAMES.parse, b"\x81\xa1x" + b"\x91" * 100_000),
    ],
    ids=lambda value: str(value)[:60] if isinstance(value, bytes) else "",
)
def test_other_messages_are_errors_that_quote_nothing(parse: Parse, data: bytes) -> None:
    """What this version does not know is one clear error, and nothing of the data hangs on it."""
    with pytest.raises(ProtocolError) as caught:
        parse(data)
    assert "canary" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


batches = st.lists(st.integers(1, 99).map(record), max_size=3).map(
    lambda events: {"action": "processRecords", "records": events}
)


@both
@settings(deadline=None)
@given(message=batches, damage=st.tuples(st.integers(0), st.binary(max_size=4), st.integers(0, 4)))
def test_no_message_raises_anything_else(
    parse: Parse, written: Written, message: dict[str, Any], damage: tuple[int, bytes, int]
) -> None:
    """Whatever happens to a message's bytes on their way."""
    data = written(message)
    place, junk, lost = damage
    place %= len(data)
    with suppress(ProtocolError):
        parse(data[:place] + junk + data[place + lost :])


@pytest.mark.parametrize("parse", [messages.FRAMES.parse, messages.LINES.parse])
@settings(deadline=None)
@given(data=st.binary())
def test_no_bytes_raise_anything_else(parse: Parse, data: bytes) -> None:
    """Whatever the bytes are."""
    with suppress(ProtocolError):
        parse(data)


@both
@pytest.mark.parametrize("number", ["x", "", "٣", "²", "+1", "1_0", " 1", "1\n", "1" * 101])
def test_sequence_numbers_are_digits(parse: Parse, written: Written, number: str) -> None:
    """One to a hundred of them, in every record of a batch."""
    events = [record(1), record(2), record(3)]
    events[1]["dynamodb"]["SequenceNumber"] = number
    with pytest.raises(ProtocolError, match=r"hundred digits|Expected `str` of length"):
        parse(written({"action": "processRecords", "records": events}))
    events[1]["dynamodb"]["SequenceNumber"] = "1" * 100
    parse(written({"action": "processRecords", "records": events}))
