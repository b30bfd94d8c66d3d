"""The benchmark frame: what it does with cases, and that its first benchmark measures the same work twice."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import Any, Final

import pytest

from benchmarks import decode, orders, parallel, simulator
from benchmarks.frame import Case, cpu_seconds, measure, per_cpu_second, run
from record_processor.testing import StreamSimulator

ROOT: Final = Path(__file__).resolve().parents[2]


def _case(
    ours: Callable[[], float], stock: Callable[[], float], *, more_is_better: bool = True, unit: str = "s"
) -> Case:
    return Case("a case", unit, more_is_better, ours, stock)


def _in_turn(*measures: float) -> Callable[[], float]:
    """Give one after the other, after a warm-up that must not count."""
    return chain([1e9], measures).__next__


# --- The frame ---


def test_the_ratio_is_the_median_of_the_rounds_ratios() -> None:
    """A machine that is ten times slower in one round changes nothing; the ratio of two medians would be 3."""
    case = _case(_in_turn(20, 30, 2), _in_turn(10, 5, 1))
    result = measure("bench", case, rounds=3)
    assert (result.ours, result.stock, result.ratio) == (20, 5, 2)


def test_above_one_is_better_whatever_the_unit() -> None:
    """Half of the seconds is twice as good."""
    result = measure("bench", _case(_in_turn(2), _in_turn(4), more_is_better=False), rounds=1)
    assert (result.ours, result.stock, result.ratio) == (2, 4, 2)


def test_rounds_are_interleaved_and_take_turns() -> None:
    """Whoever is first in one round is second in the next; the first run of each warms up."""
    calls: list[str] = []

    def called(name: str) -> float:
        calls.append(name)
        return 1.0

    measure("bench", _case(partial(called, "A"), partial(called, "B")), rounds=3)
    assert "".join(calls) == "AB" + "AB" + "BA" + "AB"


def test_a_line_for_each_case(capsys: pytest.CaptureFixture[str]) -> None:
    """As soon as it is measured; standard output has nothing else."""
    outputs: list[str] = []

    def cases() -> Iterator[Case]:
        for _ in range(2):
            yield _case(lambda: 1 / 3, lambda: 3.0, more_is_better=False, unit="seconds")
            outputs.append(capsys.readouterr().out)

    assert len(list(run("startup", cases(), rounds=2))) == 2
    fields = {
        "bench": "startup",
        "case": "a case",
        "ours": 0.3333,
        "stock": 3.0,
        "ratio": 9.0,
        "unit": "seconds",
    }
    assert [json.loads(output) for output in outputs] == [fields, fields]
    assert list(json.loads(outputs[0])) == list(fields)


def test_cpu_time_is_also_that_of_children() -> None:
    """Of a child that worked and was waited for, but not time that passes."""
    busy = "import time\nwhile time.process_time() < 0.3: pass"
    begin = cpu_seconds()
    subprocess.run([sys.executable, "-c", busy], check=True)
    assert cpu_seconds() - begin >= 0.3
    rate = per_cpu_second(lambda: subprocess.run([sys.executable, "-c", busy], check=True).returncode + 3)()
    assert 0 < rate <= 10


# --- decode ---


@pytest.mark.parametrize("touched", decode.TOUCHED)
@pytest.mark.parametrize("size", orders.SIZES)
def test_ours_and_stock_see_the_same_values(size: str, touched: str) -> None:
    """In each case, record by record: what is measured is the same work."""
    attributes = decode.TOUCHED[touched]
    frames, lines = decode.encoded(size)
    ours: list[Any] = []
    stock: list[Any] = []
    values_of = attrgetter("event_id", *(decode.OURS[attribute] for attribute in attributes))
    count = decode.read_ours(frames, lambda record: ours.append(list(values_of(record)[1:])))
    assert count == decode.read_stock(
        lines, lambda change: stock.append(decode.deserialized(attributes, change))
    )
    assert count == decode.BATCHES * orders.SIZES[size][1]
    assert ours == stock


def test_sizes_are_what_they_are_called() -> None:
    """As DynamoDB writes an image: 6 attributes; 30 in some 2 KB; some 50 KB."""
    images = {size: orders.batches(size, 1)[0][0]["dynamodb"]["NewImage"] for size in orders.SIZES}
    assert len(images["small"]) == 6
    assert len(images["medium"]) == 30
    assert 1500 < len(json.dumps(images["medium"])) < 3000
    assert 40_000 < len(json.dumps(images["large"])) < 60_000


def test_stock_does_not_hide_an_exception() -> None:
    """amazon_kclpy prints what a handler raises and goes on, which would look fast."""
    _, lines = decode.encoded("small")
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        decode.read_stock(lines, lambda change: 1 / 0)


# --- parallel ---


@pytest.mark.parametrize("processor", parallel.PROCESSORS.values())
def test_ten_at_once_are_faster_and_every_key_keeps_its_order(processor: str) -> None:
    """A real worker, with few records: it raises if a key's order is not kept."""
    one, ten = (parallel.records_per_second(processor, factor, 60) for factor in (1, parallel.FACTOR))
    assert ten > 2 * one


@pytest.mark.parametrize(
    ("calls", "reason"),
    [
        ([("a", 0, True), ("a", 0, False), ("b", 0, True), ("b", 0, False)], "a was not handled"),
        (
            [
                ("a", 1, True),
                ("a", 1, False),
                ("a", 0, True),
                ("a", 0, False),
                ("b", 0, True),
                ("b", 0, False),
            ],
            "a was not handled",
        ),
        (
            [
                ("a", 0, True),
                ("a", 1, True),
                ("a", 0, False),
                ("a", 1, False),
                ("b", 0, True),
                ("b", 0, False),
            ],
            "a was not handled",
        ),
        (
            [
                ("a", 0, True),
                ("b", 0, True),
                ("a", 0, False),
                ("b", 0, False),
                ("a", 1, True),
                ("a", 1, False),
            ],
            "2 calls ran at once",
        ),
    ],
    ids=["lost", "overtaken", "two of one key at once", "too many at once"],
)
def test_what_went_wrong_is_found(calls: list[parallel.Call], reason: str) -> None:
    """Else the proof would prove nothing."""
    with pytest.raises(RuntimeError, match=reason):
        parallel.check(["a", "b", "a"], calls, 1)


# --- The command ---


def _bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / "scripts" / "bench", *arguments], capture_output=True, text=True, check=False
    )


def test_a_tiny_run() -> None:
    """One case, one round: one line of JSON, progress elsewhere."""
    done = _bench("decode", "--rounds", "1", "--case", "small-all")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["bench"], result["case"], result["unit"]) == ("decode", "small-all", "records/s")
    assert result["ratio"] == pytest.approx(result["ours"] / result["stock"], rel=0.01)
    assert result["ours"] > result["stock"]
    assert "bench: decode small-all" in done.stderr


def test_the_list() -> None:
    """Without a name it says what there is, and what that measures."""
    done = _bench()
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("decode ")
    assert "Python values" in done.stdout
    assert "parallelizationFactor = 10 against 1" in done.stdout


@pytest.mark.parametrize(("name", "nearest"), [("decod", "decode"), ("filters", "filter")])
def test_an_unknown_name(name: str, nearest: str) -> None:
    """One line that names the nearest."""
    done = _bench(name)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"bench: there is no benchmark {name!r}; the nearest is {nearest!r}, and scripts/bench lists all"
    ]


@pytest.mark.parametrize("rounds", ["0", "x"])
def test_rounds_that_are_no_number(rounds: str) -> None:
    """At least one."""
    done = _bench("decode", "--rounds", rounds)
    assert done.returncode == 2
    assert f"'{rounds}' is not a whole number, 1 or more" in done.stderr


# --- The simulator ---


def test_the_reader_finds_every_record_of_the_simulator() -> None:
    """Page after page, to the last one of an open shard; what it misses fails the benchmark."""
    with StreamSimulator() as server:
        stream = server.create_stream("orders", 2)
        stream.write_changes(2500, keys=1000)
        iterators = simulator._iterators(server.endpoint, "eu-west-1", stream.arn)
        counts = [shard.written_count for shard in stream.shards]
        shards = list(zip(iterators, counts, strict=True))
        assert simulator._records_per_second(server.endpoint, shards) > 0
        with pytest.raises(AssertionError):
            simulator._records_per_second(server.endpoint, [(iterators[0], counts[0] + 1)])
