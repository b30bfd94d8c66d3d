"""Planned changes are what a table can undergo, and the same for the same seed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from record_processor.testing.tables import _batches, change_number, plan_changes, written_changes


@given(count=st.integers(0, 300), keys=st.integers(1, 20), seed=st.integers())
def test_a_plan_can_happen(count: int, keys: int, seed: int) -> None:
    """Counters go up by one, what is not there is inserted, and what is there is modified or removed."""
    changes = plan_changes(count, keys=keys, seed=seed)
    assert len(changes) == count
    counters: dict[str, int] = {}
    alive: set[str] = set()
    for change in changes:
        assert change.n == counters.get(change.key, 0) + 1
        counters[change.key] = change.n
        assert (change.event_name == "INSERT") == (change.key not in alive)
        if change.event_name == "REMOVE":
            alive.remove(change.key)
        else:
            alive.add(change.key)
    assert len(counters) <= keys


def test_a_seed_decides_everything() -> None:
    """The same seed gives the same changes, another gives others; every kind of event is among many."""
    assert plan_changes(500, seed=1) == plan_changes(500, seed=1) != plan_changes(500, seed=2)
    written = written_changes(plan_changes(500, seed=1))
    assert written.total == 500
    assert min(written.inserted, written.modified, written.removed) > 0


@given(count=st.integers(0, 300), keys=st.integers(1, 60), seed=st.integers(0, 9))
def test_batches_keep_the_order(count: int, keys: int, seed: int) -> None:
    """Batches hold all changes, each key's in their order; none is too long or has a key twice."""
    changes = plan_changes(count, keys=keys, seed=seed)
    batches = list(_batches(changes))
    assert written_changes([change for batch in batches for change in batch]) == written_changes(changes)
    for batch in batches:
        assert 0 < len({change.key for change in batch}) == len(batch) <= 25


def test_the_number_of_a_removal_follows_the_old_image() -> None:
    """What is not in the new image comes from the old one."""
    assert change_number({"pk": "a", "n": 3}, {"pk": "a", "n": 2}) == 3
    assert change_number(None, {"pk": "a", "n": 3}) == 4
    with pytest.raises(ValueError, match="both images"):
        change_number(None, None)
