"""The command line of a worker and of the nursery: what the settings say about both."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field

from record_processor.pipeline.retry import Backoff
from record_processor.values import IMAGE_DECODERS
from record_processor.worker import loop


@dataclass
class WorkerOptions(argparse.Namespace):
    """What the launcher says."""

    processor: str = ""
    path: list[str] = field(default_factory=list)
    check: bool = False
    socket: bool = False
    control: int = -1
    log_level: str = "INFO"
    retry_backoff_millis: int = 100
    maximum_retry_backoff_millis: int = 30_000
    numbers: str = "int"

    def for_loop(self) -> loop.Options:
        """Return what the loop must know."""
        backoff = Backoff(self.retry_backoff_millis / 1000, self.maximum_retry_backoff_millis / 1000)
        return loop.Options(backoff, self.numbers)


def parse(arguments: Sequence[str]) -> WorkerOptions:
    """Read the command line; a mistake in it ends the process with status 2."""
    defaults = WorkerOptions()
    parser = argparse.ArgumentParser(prog="python -m record_processor.worker", description=__doc__)
    parser.add_argument("--processor", required=True, metavar="module:Class", help="the user's class")
    parser.add_argument("--path", action="append", metavar="DIR", help="where modules are, in this order")
    parser.add_argument("--check", action="store_true", help="only import the class and check it")
    parser.add_argument(
        "--socket", action="store_true", help="speak over the socket that a line of JSON on stdin names"
    )
    parser.add_argument("--control", type=int, metavar="FD", help="the nursery's socket to the launcher")
    parser.add_argument("--log-level", type=str.upper, choices=("DEBUG", "INFO", "WARNING", "ERROR"))
    parser.add_argument("--retry-backoff-millis", type=int, metavar="N")
    parser.add_argument("--maximum-retry-backoff-millis", type=int, metavar="N")
    parser.add_argument("--numbers", choices=tuple(IMAGE_DECODERS), help="what whole numbers are")
    parser.set_defaults(**vars(defaults))
    return parser.parse_args(arguments, namespace=WorkerOptions())
