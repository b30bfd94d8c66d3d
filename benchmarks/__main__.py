"""The command behind scripts/bench."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from importlib import import_module
from types import ModuleType
from typing import Final

from benchmarks.frame import ROUNDS, Case, run
from benchmarks.page import record

_ALL: Final = "all"
BENCHMARKS: Final = (
    "decode",
    "failover",
    "filter",
    "handover",
    "idle-cost",
    "inflight",
    "latency",
    "memory",
    "parallel",
    "restart",
    "rollover",
    "simulator",
    "startup",
    "throughput",
)
"""Modules of this package. Each says what it measures in its docstring's first line, and has `cases()`.

One whose rounds are long says with `ROUNDS` how many there are unless told otherwise.
"""


def main() -> None:
    """Run the benchmark that the command line names; without one, list what there is."""
    arguments = _arguments()
    if arguments.name is None:
        print("\n".join(f"{name:12} {_what(name)}" for name in BENCHMARKS))
        return
    if arguments.name not in (*BENCHMARKS, _ALL):
        sys.exit(f"bench: {_unknown(arguments.name)}")
    for name in BENCHMARKS if arguments.name == _ALL else (arguments.name,):
        _run(name, arguments)


def _run(name: str, arguments: argparse.Namespace) -> None:
    module = _module(name)
    cases: Callable[[], Iterable[Case]] = module.cases
    rounds = arguments.rounds or getattr(module, "ROUNDS", ROUNDS)
    for result in run(name, (case for case in cases() if arguments.case in case.name), rounds):
        if arguments.record or arguments.name == _ALL:
            record([result], rounds)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measures ours against stock.")
    parser.add_argument("name", nargs="?", help=f"which, or {_ALL}; without it, lists what there is")
    parser.add_argument(
        "--rounds", type=_rounds, metavar="N", help=f"default {ROUNDS}, 5 or 1 if they are long"
    )
    parser.add_argument("--case", default="", metavar="TEXT", help="only cases with this in their name")
    parser.add_argument(
        "--record", action="store_true", help=f"write the results into docs/benchmarks.md, as {_ALL} does"
    )
    return parser.parse_args()


def _rounds(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number, 1 or more")
    return int(text)


def _module(name: str) -> ModuleType:
    return import_module(f"benchmarks.{name.replace('-', '_')}")


def _what(name: str) -> str:
    return (_module(name).__doc__ or "").partition("\n")[0]


def _unknown(name: str) -> str:
    nearest = get_close_matches(name, BENCHMARKS, n=1, cutoff=0)[0]
    return f"there is no benchmark {name!r}; the nearest is {nearest!r}, and scripts/bench lists all"


if __name__ == "__main__":
    main()
