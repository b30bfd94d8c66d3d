"""What feeds the simulator: scripts, recorded changes, and changes that are made up."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from record_processor.errors import ConfigurationError
from record_processor.testing.simulator import (
    TTL_SERVICE,
    Script,
    SimulatedStream,
    StreamSimulator,
    VirtualClock,
    feed,
    generate_changes,
    read_changes,
)
from record_processor.testing.simulator.script import AnyStep
from tests.docs.blocks import ROOT

NOW: Final = 1_796_000_000.0


def simulator(shards: int = 1) -> StreamSimulator:
    """Return one whose clock stands, and which does not listen."""
    made = StreamSimulator(clock=VirtualClock(lambda: NOW))
    made.create_stream("orders", shards)
    return made


def script(tmp_path: Path, *lines: str | dict[str, Any]) -> Script:
    """Write a script and read it."""
    file = tmp_path / "script.jsonl"
    file.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))
    return Script(file)


def contents(stream: SimulatedStream) -> list[dict[str, Any]]:
    """Return what is in all listed shards."""
    return [record.content for shard in stream.shards for record in shard.records]


# --- Scripts ---


def test_a_script_plays_every_action(tmp_path: Path) -> None:
    """Each does what it says, in order, at its virtual time."""
    stage = simulator()
    stream = stage.stream("orders")
    (first,) = stream.shards
    (tmp_path / "more.jsonl").write_text(json.dumps(RECORD))
    play = script(
        tmp_path,
        "# what happens",
        "",
        {"at_seconds": 10, "do": "put", "keys": {"pk": "a"}, "new_image": {"n": 1.5}},
        {"do": "generate", "count": 5, "prefix": "b-", "payload_bytes": 3},
        {"do": "records", "file": "more.jsonl"},
        {"at_seconds": 20, "do": "split", "shard": first.id},
        {"do": "roll", "shard": -1},
        {"do": "roll"},
        {"do": "advance", "minutes": 1},
        {"at_seconds": 90, "do": "close", "shard": 0},
        {"do": "trim", "shard": 0},
        {"do": "fail", "operation": "GetRecords", "shard": 0, "times": 2},
        {"do": "delay", "operation": "*", "seconds": 0.5},
        {"do": "reset", "operation": "GetRecords"},
        {"do": "half_answer", "operation": "GetRecords"},
        {"do": "clear"},
        {"do": "disable"},
        {"do": "recreate"},
    )
    play.play(stage, "orders", waits=False)
    assert stage.clock.now_seconds() - NOW == pytest.approx(90, abs=0.01)
    assert [(shard.created_seconds - NOW, shard.is_open) for shard in stream.shards] == [
        (0, False),
        (20, False),
        (20, False),
        (20, False),
        (20, False),
        (20, False),
    ]
    assert (first.written_count, first.trimmed_count) == (7, 7)
    assert stage._faults == ()
    assert stage.stream("orders") is not stream
    assert not stream.is_enabled


def test_trimming_by_number_and_of_all(tmp_path: Path) -> None:
    """Through a sequence number of one shard, or everything."""
    stage = simulator(2)
    stream = stage.stream("orders")
    stream.write_changes(50)
    first, second = stream.shards
    through = first.records[2].sequence_number
    script(tmp_path, {"do": "trim", "shard": 0, "through": through}).play(stage, "orders")
    assert (first.trimmed_count, second.trimmed_count) == (3, 0)
    script(tmp_path, {"do": "trim"}).play(stage, "orders")
    assert first.records == second.records == []


def test_a_script_waits_for_its_time(tmp_path: Path) -> None:
    """In real time, unless told not to, or until its end is asked for; a clock that is moved shortens it."""
    stage = StreamSimulator()
    stream = stage.create_stream("orders")
    began = time.monotonic()
    script(tmp_path, {"at_seconds": 0.2, "do": "roll"}).play(stage, "orders")
    assert time.monotonic() - began >= 0.19
    assert len(stream.shards) == 2
    waited: list[float] = []

    def move(seconds: float) -> None:
        waited.append(seconds)
        stage.clock.advance(hours=1)

    late = script(tmp_path, {"at_seconds": 3600, "do": "roll"})
    late.play(stage, "orders", wait=move)
    assert len(waited) == 1
    assert len(stream.shards) == 3
    late.play(stage, "orders", wait=lambda _: True)
    assert len(stream.shards) == 3


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("roll", "not a JSON object such as"),
        ("[]", "not a JSON object such as"),
        ({"shard": 0}, "'do' is None"),
        ({"do": "splt", "shard": 0}, "'do' is 'splt'; did you mean 'split'?"),
        ({"do": "split"}, "missing required field `shard`"),
        ({"do": "split", "shard": 0, "sard": 1}, "unknown field `sard`"),
        ({"do": "split", "shard": 1.5}, "Expected `int | str`, got `float`"),
        ({"do": "roll", "at_seconds": -1}, ">= 0.0"),
        ({"do": "roll", "at_seconds": 4}, "at_seconds is 4, after 5: put the lines in order"),
        ({"do": "generate", "prefix": "x", "count": 0}, ">= 1"),
    ],
)
def test_a_mistake_in_a_script_is_one_line(tmp_path: Path, line: str | dict[str, Any], message: str) -> None:
    """It names file and line before anything is done."""
    with pytest.raises(ConfigurationError) as raised:
        script(tmp_path, {"at_seconds": 5, "do": "roll"}, "", line)
    assert str(raised.value).startswith(f"{tmp_path}/script.jsonl:3: ")
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"do": "split", "shard": 1}, "there are not so many shards now"),
        ({"do": "split", "shard": "shardId-1"}, "there is no shard or table 'shardId-1' now"),
        ({"do": "trim", "through": "1"}, "'through' needs 'shard'"),
        ({"do": "put", "keys": {"id": "a"}, "new_image": {}}, "has the key 'pk', which is missing"),
        ({"do": "records", "file": "none"}, "none: cannot be read"),
    ],
)
def test_what_cannot_be_done_is_one_line(tmp_path: Path, line: dict[str, Any], message: str) -> None:
    """It names file and line when it is its turn."""
    with pytest.raises(ConfigurationError, match=message) as raised:
        script(tmp_path, line).play(simulator(), "orders")
    assert "\n" not in str(raised.value)


def test_every_action_is_documented() -> None:
    """The page has each with its fields."""
    rows = (ROOT / "docs" / "simulator.md").read_text("utf-8").splitlines()
    for step in AnyStep.__args__:
        begin = f"| `{step.__struct_config__.tag}` |"
        (row,) = (row for row in rows if row.startswith(begin))
        fields = {name for name in step.__struct_fields__ if name != "at_seconds"}
        assert set(re.findall(r"`(\w+)`", row.split("|")[2])) - {"ThrottlingException"} == fields


def test_a_script_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    """With its name."""
    with pytest.raises(ConfigurationError, match="none: cannot be read"):
        Script(tmp_path / "none")


# --- Recorded changes ---

RECORD: Final[dict[str, Any]] = {
    "eventID": "1",
    "eventName": "REMOVE",
    "dynamodb": {"Keys": {"pk": {"S": "c"}}, "OldImage": {"pk": {"S": "c"}, "n": {"N": "1"}}},
    "userIdentity": {"principalId": "dynamodb.amazonaws.com", "type": "Service"},
}


def test_recorded_changes_become_records_of_the_stream(tmp_path: Path) -> None:
    """What a stream gave can be recorded, and fed to another: keys, images and identities are the same."""
    stage = simulator(3)
    stream = stage.stream("orders")
    feed(stream, generate_changes(200, seed=3, keys=20, payload_bytes=(0, 9), expired_share=0.5))
    file = tmp_path / "recorded.jsonl"
    original = sorted(contents(stream), key=lambda record: int(record["dynamodb"]["SequenceNumber"]))
    file.write_text("".join(json.dumps(record) + "\n\n" for record in original))
    copy = StreamSimulator().create_stream("copy")
    assert feed(copy, read_changes(file)) == 200
    same = ("eventName", "userIdentity")
    for one, other in zip(original, contents(copy), strict=True):
        assert [one.get(name) for name in same] == [other.get(name) for name in same]
        for image in ("Keys", "NewImage", "OldImage", "SizeBytes"):
            assert one["dynamodb"].get(image) == other["dynamodb"].get(image)


def test_lambdas_identity_is_read_too(tmp_path: Path) -> None:
    """Its names are in lower case there."""
    file = tmp_path / "recorded.jsonl"
    file.write_text(json.dumps(RECORD))
    (change,) = read_changes(file)
    assert change.user_identity == TTL_SERVICE


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ("{", "not JSON"),
        ("[]", "not a stream record"),
        ({"eventName": "INSERT"}, "it has no object 'dynamodb'"),
        ({**RECORD, "eventName": "UPSERT"}, "must be INSERT, MODIFY or REMOVE, not 'UPSERT'"),
        ({**RECORD, "dynamodb": {"Keys": {}}}, "the record has no Keys"),
        ({**RECORD, "dynamodb": {"Keys": {"pk": "a"}}}, "Keys is not an item in DynamoDB's JSON"),
        ({**RECORD, "userIdentity": {"type": 1}}, "userIdentity must be an object with strings"),
    ],
)
def test_a_mistake_in_a_recording_is_one_line(
    tmp_path: Path, record: str | dict[str, Any], message: str
) -> None:
    """It names file and line."""
    file = tmp_path / "recorded.jsonl"
    file.write_text(f"\n{record if isinstance(record, str) else json.dumps(record)}\n")
    with pytest.raises(ConfigurationError) as raised:
        list(read_changes(file))
    assert str(raised.value).startswith(f"{file}:2: ")
    assert message in str(raised.value)


# --- Changes that are made up ---


@given(
    seed=st.integers(0, 1000),
    keys=st.integers(1, 20),
    payload=st.tuples(st.integers(0, 5), st.integers(5, 9)),
)
def test_made_up_changes_are_those_of_a_table(seed: int, keys: int, payload: tuple[int, int]) -> None:
    """Every old image is the new image before, sizes are as told, and the same seed gives the same."""
    settings: dict[str, Any] = {"seed": seed, "keys": keys, "payload_bytes": payload, "expired_share": 0.5}
    changes = list(generate_changes(60, **settings))
    assert changes == list(generate_changes(60, **settings))
    items: dict[str, Any] = {}
    for change in changes:
        key = change.keys["pk"]["S"]
        assert change.old_image == items.pop(key, None)
        assert change.event_name == (
            "REMOVE" if change.new_image is None else "MODIFY" if change.old_image else "INSERT"
        )
        if change.new_image is not None:
            items[key] = change.new_image
            assert payload[0] <= len(change.new_image.get("payload", {"S": ""})["S"]) <= payload[1]


def test_some_removals_are_expiries() -> None:
    """As many as told."""
    for share, expected in ((0.0, {False}), (1.0, {True}), (0.5, {False, True})):
        removals = [one for one in generate_changes(500, expired_share=share) if one.event_name == "REMOVE"]
        assert set(Counter(one.user_identity is not None for one in removals)) == expected


def test_changes_are_fed_at_a_rate() -> None:
    """The waits add up to it, and one that says so ends the feeding."""
    stream = simulator().stream("orders")
    waits: list[float] = []
    assert feed(stream, generate_changes(11), changes_per_second=1000, wait=waits.append) == 11
    assert len(waits) == 11
    assert 0 < max(waits) <= 0.010
    assert feed(stream, generate_changes(11), changes_per_second=1000, wait=lambda _: True) == 0
