"""Uses a store from several processes, some of which are killed. A program of its own.

python store_worker.py STORE race COUNT: claims the keys 0, 1, 2, … when a line comes; prints those it got.
python store_worker.py STORE kills FOLDER: handles a key in a process that is killed at its first step, the
next key in one that is killed at its second, and so on; a second process then repeats each. Prints for each
what it was killed at, and the effects that are there in the end.
python store_worker.py STORE fork COUNT: uses the store, forks, and uses it in both processes by turns.

STORE is a file of SQLite, or a table at AWS_ENDPOINT_URL.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path

from record_processor.stores import (
    Begun,
    DynamoDBStore,
    LockedError,
    Row,
    SqliteStore,
    Store,
    claim_of_this_process,
    name_this_process,
)
from tests.bookings import in_child


def open_store(name: str) -> Store:
    """Return the store."""
    if name.startswith("/"):
        return SqliteStore(name)
    return DynamoDBStore(name, "us-east-1", os.environ["AWS_ENDPOINT_URL"])


def race(store: Store, keys: int) -> None:
    """Claim all keys at the same time as others."""
    store.check()
    print("ready", flush=True)
    sys.stdin.readline()
    print(json.dumps([number for number in range(keys) if _is_claimed(store, f"race-{number}")]))


def _is_claimed(store: Store, key: str) -> bool:
    try:
        return store.begin(key, claim_of_this_process()) is Begun.CLAIMED
    except LockedError:
        return False


def fork(store: Store, keys: int) -> None:
    """Claim and complete keys in a process and in those that it forks off, with the store that it opened."""
    for number in range(keys):
        handled(store, f"fork-{number}")
        in_child(lambda number=number: handled(store, f"fork-{number}-child"))  # type: ignore[misc]
    claim = claim_of_this_process()
    names = [f"fork-{number}{child}" for number in range(keys) for child in ("", "-child")]
    print([store.begin(name, claim) for name in names].count(Begun.DONE))


def handled(store: Store, key: str) -> None:
    """Claim and complete a key."""
    claim = claim_of_this_process()
    assert store.begin(key, claim) is Begun.CLAIMED
    store.complete(key, claim)


def kills(name: str, folder: Path) -> None:
    """Kill at each step, one after the other."""
    for kill_at in count(1):
        steps = folder / f"steps-{kill_at}"
        effects = folder / f"effects-{kill_at}"
        ended = in_child(lambda run=(kill_at, steps, effects): handle(name, *run, kill_at=run[0]))  # type: ignore[misc]
        in_child(lambda run=(kill_at, steps, effects): handle(name, *run, kill_at=None))  # type: ignore[misc]
        step = "the end" if ended else steps.read_text("utf-8").splitlines()[kill_at - 1]
        print(json.dumps([step, len(effects.read_text("utf-8").splitlines())]))
        if ended:
            break


def handle(name: str, key: int, steps: Path, effects: Path, kill_at: int | None) -> None:
    """Handle a key as the worker of a shard does; be killed at a step, from 1."""
    numbers = count(1)

    def step(what: str) -> None:
        _append(steps, what)
        if next(numbers) == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    name_this_process("host-1/shard-1")
    store = stepping(open_store(name), step)
    claim = claim_of_this_process(7)
    step("begin")
    if store.begin(f"kills-{key}", claim) is Begun.DONE:
        return
    step("effect")
    _append(effects, "effect")
    step("complete")
    store.complete(f"kills-{key}", claim)
    step("acknowledge")


def stepping(store: Store, step: Callable[[str], None]) -> Store:
    """Make each write of a store two more steps."""
    swap = store.swap

    def counted(key: str, expected: Row | None, new: Row | None) -> Row | None:
        status = new.status if new else "nothing"
        step(f"before {status}")
        seen = swap(key, expected, new)
        step(f"after {status}")
        return seen

    store.swap = counted  # type: ignore[method-assign]
    return store


def _append(file: Path, line: str) -> None:
    with file.open("a", encoding="utf-8") as opened:
        opened.write(f"{line}\n")


if __name__ == "__main__":
    store_name, what, argument = sys.argv[1:]
    if what == "race":
        race(open_store(store_name), int(argument))
    elif what == "fork":
        fork(open_store(store_name), int(argument))
    else:
        kills(store_name, Path(argument))
