"""SQLite as a store, and as the user's own database, when several processes use it and are killed."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.bookings import AMOUNTS
from tests.store_processes import ROOT, check_fork, check_kills, check_race, run

STATEMENTS = 7
"""Of the example for each record; after each record, there is one more step."""


def test_each_key_is_claimed_by_one_process(tmp_path: Path) -> None:
    """Also when all of them make the file."""
    check_race(str(tmp_path / "keys.db"), {})


def test_it_can_be_used_after_a_fork(tmp_path: Path) -> None:
    """Each process has its own connection."""
    check_fork(str(tmp_path / "keys.db"), {})


def test_an_effect_is_repeated_only_if_its_completion_was_prevented(tmp_path: Path) -> None:
    """And then once; a successor needs not wait for the lock."""
    check_kills(str(tmp_path / "keys.db"), tmp_path, {})


def test_the_example_is_exactly_once(tmp_path: Path) -> None:
    """Killed with SIGKILL at each statement, and repeated: each account has each amount once."""
    example = ROOT / "examples" / "exactly_once_in_sqlite.py"
    (runs,) = run({}, "bookings.py", str(example), "sqlite", cwd=tmp_path)
    assert int(runs) == len(AMOUNTS) * (STATEMENTS + 1) + 1
    with closing(sqlite3.connect(tmp_path / "balances.db")) as database:
        balances = dict(database.execute("SELECT account, balance FROM balances"))
    assert balances == {str(number): sum(AMOUNTS) for number in range(1, int(runs) + 1)}
