"""Messages: what is understood, and that what is not is said without quoting it."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from record_processor import ProtocolError
from record_processor.worker import messages


def test_stocks_messages_are_understood() -> None:
    """Every message of KCL's daemon, as it writes it."""
    record = {"action": "record", "data": "e30=", "sequenceNumber": "1", "partitionKey": "1"}
    parsed = [
        messages.parse(json.dumps(message).encode())
        for message in (
            {
                "action": "initialize",
                "shardId": "shardId-1",
                "sequenceNumber": "LATEST",
                "subSequenceNumber": 0,
            },
            {"action": "processRecords", "millisBehindLatest": None, "records": [record]},
            {"action": "checkpoint", "sequenceNumber": "1", "subSequenceNumber": 0, "error": None},
            {"action": "checkpoint", "sequenceNumber": None, "error": "ThrottlingException"},
            {"action": "leaseLost"},
            {"action": "shardEnded"},
            {"action": "shutdownRequested"},
        )
    ]
    assert parsed == [
        messages.Initialize("shardId-1", "", "", ""),
        messages.ProcessRecords([record]),
        messages.CheckpointAnswer(None),
        messages.CheckpointAnswer("ThrottlingException"),
        messages.LeaseLost(),
        messages.ShardEnded(),
        messages.ShutdownRequested(),
    ]


BATCH = '{"action":"processRecords","records":[%s]}'


@pytest.mark.parametrize(
    "line",
    ["", "canary", "null", "[]", "1", "{}", '{"action":"canary"}', '{"action":["canary"]}', "[" * 100_000]
    + ['{"action":"initialize"}', '{"action":"initialize","shardId":""}', '{"action":"processRecords"}']
    + [
        BATCH % inner
        for inner in ("null", "{}", '{"sequenceNumber":1,"data":""}', '{"sequenceNumber":"x","data":""}')
    ]
    + [BATCH % inner for inner in ('{"sequenceNumber":"1"}', '{"sequenceNumber":"٣","data":"canary"}')]
    + [BATCH % ('{"sequenceNumber":"' + "1" * 5000 + '","data":""}')],
    ids=lambda line: line[:60],
)
def test_other_lines_are_errors_that_quote_nothing(line: str) -> None:
    """A line that this version does not know is one clear error."""
    with pytest.raises(ProtocolError) as caught:
        messages.parse(line.encode())
    assert "canary" not in str(caught.value)


@settings(deadline=None)
@given(st.binary())
def test_no_line_raises_anything_else(line: bytes) -> None:
    """Whatever the bytes are."""
    with suppress(ProtocolError):
        messages.parse(line)


def test_what_the_worker_writes() -> None:
    """The worker's two messages, in stock's words."""
    assert json.loads(messages.status("leaseLost")) == {"action": "status", "responseFor": "leaseLost"}
    assert json.loads(messages.checkpoint("5")) == {
        "action": "checkpoint",
        "sequenceNumber": "5",
        "subSequenceNumber": None,
    }
