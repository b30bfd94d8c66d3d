"""Measures ours and stock side by side, and says what came of it. A benchmark is what gives the cases.

The machine's speed changes while a benchmark runs. So both are measured in every round, one right after the
other, and what counts is the median of the rounds' ratios, not the ratio of two medians.
"""

from __future__ import annotations

import gc
import json
import resource
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from statistics import median
from typing import Final

ROUNDS: Final = 15
"""How many there are unless told otherwise."""


@dataclass(frozen=True, slots=True)
class Case:
    """Something that ours and stock both do. Each callable does it once and returns its measure in `unit`."""

    name: str
    unit: str
    more_is_better: bool
    """Whether a larger measure is the better one, as with records/s; seconds and bytes are the other way."""
    ours: Callable[[], float]
    stock: Callable[[], float]


@dataclass(frozen=True, slots=True)
class Result:
    """What a case came to: medians over its rounds."""

    bench: str
    case: str
    ours: float
    stock: float
    ratio: float
    """How many times better ours is than stock, whatever the unit: above 1 ours is better."""
    unit: str

    def line(self) -> str:
        """Return it as a line of JSON, numbers to four digits."""
        fields = asdict(self)
        return json.dumps({name: _rounded(value) for name, value in fields.items()})


def run(bench: str, cases: Iterable[Case], rounds: int = ROUNDS) -> Iterator[Result]:
    """Print a line for each case as soon as it is measured, and yield it; progress goes to standard error."""
    for case in cases:
        print(f"bench: {bench} {case.name}", file=sys.stderr, flush=True)
        result = measure(bench, case, rounds)
        print(result.line(), flush=True)
        yield result


def measure(bench: str, case: Case, rounds: int = ROUNDS) -> Result:
    """Measure a case, 1 round or more, after a run of each that does not count."""
    case.ours()
    case.stock()
    pairs = [_round(case, is_ours_first=number % 2 == 0) for number in range(rounds)]
    return Result(
        bench,
        case.name,
        median(ours for ours, _ in pairs),
        median(stock for _, stock in pairs),
        median(_ratio(case, ours, stock) for ours, stock in pairs),
        case.unit,
    )


def per_cpu_second(work: Callable[[], int]) -> Callable[[], float]:
    """Return a measure of work that returns how much it did: so much for each second of CPU time."""

    def measured() -> float:
        begin = cpu_seconds()
        done = work()
        return done / (cpu_seconds() - begin)

    return measured


def cpu_seconds() -> float:
    """Return the CPU time of this process, with all its threads, and of its children that were waited for."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def _round(case: Case, *, is_ours_first: bool) -> tuple[float, float]:
    """Return the measures of ours and of stock."""
    if is_ours_first:
        ours = _clean(case.ours)
        return ours, _clean(case.stock)
    stock = _clean(case.stock)
    return _clean(case.ours), stock


def _clean(measure_once: Callable[[], float]) -> float:
    """Measure, and not the other's garbage."""
    gc.collect()
    return measure_once()


def _ratio(case: Case, ours: float, stock: float) -> float:
    return ours / stock if case.more_is_better else stock / ours


def _rounded(value: str | float) -> str | float:
    return float(f"{value:.4g}") if isinstance(value, float) else value
