"""What several processes make of a store, some of which are killed: for every store that outlives a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]
PROCESSES: Final = 4
KEYS: Final = 100
_SECONDS: Final = 120


def check_race(store: str, environment: Mapping[str, str]) -> None:
    """Several processes claim the same new keys at once: each key is claimed by exactly one."""
    with ExitStack() as stack:
        racers = [
            stack.enter_context(_start(environment, "store_worker.py", store, "race", str(KEYS)))
            for _ in range(PROCESSES)
        ]
        for racer in racers:
            assert racer.stdout is not None
            assert racer.stdout.readline() == "ready\n"
        claimed = Counter(key for racer in _go(racers) for key in json.loads(racer))
    assert claimed == dict.fromkeys(range(KEYS), 1)


def _go(racers: list[subprocess.Popen[str]]) -> list[str]:
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("\n")
        racer.stdin.flush()
    return [racer.communicate(timeout=_SECONDS)[0] for racer in racers]


def check_kills(store: str, folder: Path, environment: Mapping[str, str]) -> None:
    """Killed at each step and repeated: an effect is repeated once, if it came before its completion."""
    found = [json.loads(line) for line in run(environment, "store_worker.py", store, "kills", str(folder))]
    assert found == [
        ["begin", 1],
        ["before IN_PROGRESS", 1],
        ["after IN_PROGRESS", 1],
        ["effect", 1],
        ["complete", 2],
        ["before COMPLETED", 2],
        ["after COMPLETED", 1],
        ["acknowledge", 1],
        ["the end", 1],
    ]


def check_fork(store: str, environment: Mapping[str, str]) -> None:
    """A store that was used before a fork can be used after it, in both processes."""
    assert run(environment, "store_worker.py", store, "fork", "5") == ["10"]


def run(environment: Mapping[str, str], program: str, *arguments: str, cwd: Path = ROOT) -> list[str]:
    """Run a program of tests/ and return the lines that it prints."""
    with _start(environment, program, *arguments, cwd=cwd) as process:
        output, errors = process.communicate(timeout=_SECONDS)
    assert process.returncode == 0, errors
    return output.splitlines()


def _start(
    environment: Mapping[str, str], program: str, *arguments: str, cwd: Path = ROOT
) -> subprocess.Popen[str]:
    pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    return subprocess.Popen(
        [sys.executable, str(ROOT / "tests" / program), *arguments],
        **pipes,
        cwd=cwd,
        env={**os.environ, **environment, "PYTHONPATH": str(ROOT)},
        text=True,
    )
