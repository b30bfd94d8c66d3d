"""Shards split and roll over: a child is read after its parent, whoever was down, whatever blocks the parent."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from record_processor.testing import SimulatedStream, StreamSimulator, wait_until
from tests.fault_report import Recovery
from tests.local.application import Application, MakeApplication

pytestmark = pytest.mark.local


def assert_parents_first(app: Application, stream: SimulatedStream) -> None:
    """No record of a child was handled before the last of its parent had been, at first."""
    seen: set[str] = set()
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    for place, entry in enumerate(app.history.handled()):
        if entry.sequence_number not in seen:
            seen.add(entry.sequence_number)
            first.setdefault(entry.shard_id, place)
            last[entry.shard_id] = place
    for shard in stream.shards:
        if shard.parent_id in last and shard.id in first:
            assert last[shard.parent_id] < first[shard.id], shard


@pytest.mark.fault(25)
def test_children_and_grandchildren_wait_for_a_record_of_the_parent_that_fails(
    application: MakeApplication, stream_simulator: StreamSimulator, recovery: Recovery
) -> None:
    """A shard that was split, whose children were split, has a record that is not handled: none of them begins."""
    stream = stream_simulator.create_stream("orders", shards=2)
    app = application(
        endpoint=stream_simulator.endpoint, sourceTable="orders", processor="handlers:Fails"
    ).start_and_wait()
    written: dict[str, Sequence[int]] = {"poison": [1]}
    stream.put({"pk": "poison"}, {"n": 1})
    blocked = next(shard for shard in stream.open_shards if shard.records)
    (other,) = (shard for shard in stream.open_shards if shard is not blocked)
    for generation in range(2):
        for shard in stream.open_shards:
            if generation == 0 or shard.parent_id == blocked.id:
                stream.split(shard)
        written |= stream.write_changes(100, seed=generation, prefix=f"{generation}-").per_key
    behind = family(stream, blocked.id)
    assert len(behind) == 6
    free = sum(len(shard.records) for shard in stream.shards if shard.id not in {blocked.id, *behind})
    assert free > 0
    wait_until(lambda: app.handled_count() == free, 60, "the other shard's children")
    app.wait_for_line("attempt 5 failed")
    shards = {entry.shard_id for entry in app.history.handled()}
    assert not shards & {blocked.id, *behind}
    assert other.id not in behind
    (app.folder / "mended").touch()
    with recovery():
        app.wait_until_handled(201)
    assert app.drain() == 0
    assert app.check(written).repeats == []
    assert_parents_first(app, stream)


def family(stream: SimulatedStream, ancestor: str) -> set[str]:
    """Return the ids of a shard's children, their children, and so on."""
    found: set[str] = set()
    for shard in stream.shards:  # oldest first
        if shard.parent_id in {ancestor, *found}:
            found.add(shard.id)
    return found


@pytest.mark.parametrize("hours", [5, 23])
@pytest.mark.fault(25, 32)
def test_shards_that_rolled_over_while_every_host_was_down(
    application: MakeApplication, stream_simulator: StreamSimulator, recovery: Recovery, hours: int
) -> None:
    """Each lineage is read from where it was left to its youngest shard, in the order of its generations."""
    stream = stream_simulator.create_stream("orders", shards=2, roll_every_hours=4)
    app = application(endpoint=stream_simulator.endpoint, sourceTable="orders")
    written = dict(stream.write_changes(60, seed=1, prefix="early-").per_key)
    app.start()
    app.wait_until_handled(60)
    assert app.drain() == 0
    written |= stream.write_changes(60, seed=2, prefix="unread-").per_key
    total = 120
    for hour in range(hours):
        stream_simulator.clock.advance(hours=1)
        written |= stream.write_changes(20, seed=hour, prefix=f"{hour}-").per_key
        total += 20
    generations = 1 + hours // 4
    assert len(stream.shards) == 2 * generations
    app.start()
    with recovery():
        app.wait_until_handled(total)
    assert app.drain() == 0
    assert app.check(written).repeats == []
    assert_parents_first(app, stream)


@pytest.mark.fault(19, 25, 32)
def test_shards_that_rolled_over_while_every_host_was_down_for_longer_than_records_live(
    application: MakeApplication, stream_simulator: StreamSimulator, recovery: Recovery
) -> None:
    """After 25 hours, the oldest records and shards are gone: that is said, and all that is left is handled."""
    stream = stream_simulator.create_stream("orders", shards=2, roll_every_hours=4)
    app = application(endpoint=stream_simulator.endpoint, sourceTable="orders", onTrimmedData="skip")
    stream.write_changes(60, seed=1, prefix="early-")
    app.start()
    app.wait_until_handled(60)
    assert app.drain() == 0
    unread = stream.write_changes(60, seed=2, prefix="unread-").per_key
    for hour in range(25):
        stream_simulator.clock.advance(hours=1)
        stream.write_changes(20, seed=hour, prefix=f"{hour}-")
    left = [record.sequence_number for shard in stream.shards for record in shard.records]
    assert 400 < len(left) < 500
    app.start()
    with recovery():
        wait_until(lambda: app.handled_count() >= 60 + len(left), 60, "what is left")
    assert app.drain() == 0
    handled = app.history.handled()[60:]
    assert sorted(int(entry.sequence_number) for entry in handled) == sorted(map(int, left))
    assert not {entry.key for entry in handled} & set(unread)
    assert app.lines(level="WARNING", logger="recordprocessor.TrimmedData") or app.lines(
        "deleted", level="WARNING"
    )
    assert_parents_first(app, stream)


@pytest.mark.fault(32)
def test_the_clock_jumps_while_shards_are_read(
    application: MakeApplication, stream_simulator: StreamSimulator, recovery: Recovery
) -> None:
    """Every hour that passes in an instant lets iterators expire, and shards roll over; only time is lost."""
    stream = stream_simulator.create_stream("orders", shards=2, roll_every_hours=4)
    app = application(endpoint=stream_simulator.endpoint, sourceTable="orders").start_and_wait()
    written: dict[str, Sequence[int]] = {}
    for number in range(6):
        written |= stream.write_changes(60, seed=number, prefix=f"{number}-").per_key
        stream_simulator.clock.advance(hours=1)
    with recovery():
        app.wait_until_handled(360)
    assert stream_simulator.calls.count("GetRecords") > 0
    assert app.drain() == 0
    assert app.check(written).repeats == []
    assert_parents_first(app, stream)
