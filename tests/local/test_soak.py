"""A short soak, and what it is made of: the plan that a seed gives, and the law by which leaks are found."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Final

import pytest

from record_processor.testing import Handled, Mark, check_history
from tests.local import soak
from tests.local.footprint import Footprint, footprint, grown
from tests.local.soak_plan import STREAM_CALLS, plan

MINUTES: Final = float(os.environ.get("SOAK_MINUTES", "2"))
LEAKS: Final = 10


@pytest.mark.local
@pytest.mark.timeout(MINUTES * 60 + 600)
@pytest.mark.fault(34)
def test_a_soak(tmp_path: Path) -> None:
    """Whatever the seed brings: nothing is missing, order is held, repeats are explained, and all is flat."""
    seed = int(os.environ.get("SEED", random.randrange(1_000_000)))
    print("SEED", seed)
    assert soak.run(MINUTES, seed, tmp_path, print) == []


def test_a_seed_gives_the_same_faults_again() -> None:
    """And another seed others; a longer soak begins like a shorter one."""
    assert plan(7, 300) == plan(7, 300) != plan(8, 300)
    short, long = plan(7, 60), plan(7, 600)
    assert short == long[: len(short)]
    assert len({fault.kind for fault in long}) == 7
    assert all(map(str, long))


def test_what_moves_leases_comes_alone() -> None:
    """Faults of processes and of the lease table do not overlap one another."""
    alone = [
        fault for fault in plan(3, 3600) if fault.kind != "handler" and fault.operation not in STREAM_CALLS
    ]
    assert len(alone) > 100
    for one, next_one in pairwise(alone):
        assert one.at_seconds + one.seconds < next_one.at_seconds


@pytest.fixture
def opener() -> Iterator[subprocess.Popen[str]]:
    """A process that opens a file or starts a thread at each word that it is sent."""
    with ExitStack() as stack:
        process = stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-c", OPENER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        )
        stack.callback(process.kill)
        tell(process, "nothing")
        yield process


OPENER: Final = """
import sys, threading
kept = []
for word in map(str.strip, sys.stdin):
    if word == "descriptors":
        kept.append(open("/dev/null"))
    if word == "threads":
        threading.Thread(target=threading.Event().wait, daemon=True).start()
    if word == "live_kib":
        kept.append(b"x" * 2**21)
    print("done", flush=True)
"""


def tell(process: subprocess.Popen[str], word: str) -> None:
    """Send a word, and wait until it is done."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{word}\n")
    process.stdin.flush()
    assert process.stdout.readline() == "done\n"


@pytest.mark.parametrize("what", ["descriptors", "threads", "live_kib"])
def test_a_leak_at_each_fault_is_found(opener: subprocess.Popen[str], what: str) -> None:
    """Ten faults that each leave something open are enough; without a leak nothing has grown."""
    begin = footprint("launcher 0", opener.pid)
    for _ in range(LEAKS):
        tell(opener, "nothing")
    assert grown(begin, footprint("launcher 0", opener.pid)) == []
    for _ in range(LEAKS):
        tell(opener, what)
    (line,) = grown(begin, footprint("launcher 0", opener.pid))
    assert f" {what}, not at most " in line


def test_what_comes_with_shards_is_no_leak() -> None:
    """A host that has more shards at the end may hold what belongs to them, and no more."""
    begin = Footprint(
        "jvm 0", 5, 1, descriptors=102, connections=9, threads=100, rss_kib=0, pss_kib=0, live_kib=0
    )
    more = replace(begin, shards=15, descriptors=112, connections=20, threads=170)
    assert grown(begin, more) == []
    assert len(grown(begin, replace(more, descriptors=120))) == 1
    assert len(grown(begin, replace(more, shards=5))) == 2


def test_a_worker_that_lost_its_lease_may_finish_its_call() -> None:
    """A repeat within a lease's time after another worker began is explained, a later one is not."""
    before = Handled("k", 1, "1", "s", "a", monotonic_seconds=1)
    begins = Mark("shard begins in 2", shard_id="s", monotonic_seconds=2)
    new = [Handled("k", n, str(n), "s", "b", monotonic_seconds=3) for n in (1, 2)]
    old = Handled("k", 2, "2", "s", "a", monotonic_seconds=3.5)
    report = check_history(soak.with_ends([before, begins, *new, old]), {"k": [1, 2]})
    report.assert_clean()
    late = replace(old, monotonic_seconds=2 + soak.TAKEOVER_SECONDS + 1)
    again = replace(late, run="b")
    report = check_history(soak.with_ends([before, begins, *new, late, again]), {"k": [1, 2]})
    assert report.unexplained_repeats == [again]


@pytest.mark.parametrize("minutes", ["soon", "0", "-1", "nan", "99999"])
def test_a_wrong_argument_is_one_line(
    minutes: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says what is wrong, and what would be right."""
    monkeypatch.setattr(sys, "argv", ["soak", f"--minutes={minutes}"])
    with pytest.raises(SystemExit) as ended:
        soak.main()
    assert ended.value.code == 2
    stderr = capsys.readouterr().err
    assert stderr.count("\n") == 1
    assert f"{minutes} is not a number of minutes from 1 to 1440" in stderr
