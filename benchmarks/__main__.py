"""The command behind scripts/bench."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from importlib import import_module
from typing import Final

from benchmarks.frame import ROUNDS, Case, run

BENCHMARKS: Final = ("decode", "filter")
"""Modules of this package. Each says what it measures in its docstring's first line, and has `cases()`."""


def main() -> None:
    """Run the benchmark that the command line names; without one, list what there is."""
    arguments = _arguments()
    if arguments.name is None:
        print("\n".join(f"{name:12} {_what(name)}" for name in BENCHMARKS))
        return
    if arguments.name not in BENCHMARKS:
        sys.exit(f"bench: {_unknown(arguments.name)}")
    cases: Callable[[], Iterable[Case]] = import_module(f"benchmarks.{arguments.name}").cases
    run(arguments.name, (case for case in cases() if arguments.case in case.name), arguments.rounds)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measures ours against stock.")
    parser.add_argument("name", nargs="?", help="which; without it, lists what there is")
    parser.add_argument("--rounds", type=_rounds, default=ROUNDS, metavar="N", help=f"default {ROUNDS}")
    parser.add_argument("--case", default="", metavar="TEXT", help="only cases with this in their name")
    return parser.parse_args()


def _rounds(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number, 1 or more")
    return int(text)


def _what(name: str) -> str:
    return (import_module(f"benchmarks.{name}").__doc__ or "").partition("\n")[0]


def _unknown(name: str) -> str:
    nearest = get_close_matches(name, BENCHMARKS, n=1, cutoff=0)[0]
    return f"there is no benchmark {name!r}; the nearest is {nearest!r}, and scripts/bench lists all"


if __name__ == "__main__":
    main()
