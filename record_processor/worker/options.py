"""The command line of a worker and of the nursery: what the settings say about both."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from record_processor.settings import DEFAULTS, Setting, Settings


@dataclass
class WorkerOptions(argparse.Namespace):
    """What the launcher says."""

    processor: str = ""
    path: list[str] = field(default_factory=list)
    check: bool = False
    socket: bool = False
    control: int = -1
    log_level: str = "INFO"
    settings: str = "{}"

    def loaded_settings(self) -> Settings:
        """Return what the properties file says, as the launcher read and checked it."""
        values = json.loads(self.settings)
        return Settings(Path(), DEFAULTS | {name: _as_setting(value) for name, value in values.items()})


def _as_setting(value: Any) -> Setting:
    return tuple(value) if isinstance(value, list) else value  # JSON has no tuple


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
    parser.add_argument("--settings", metavar="JSON", help="the properties that have a value")
    parser.set_defaults(**vars(defaults))
    return parser.parse_args(arguments, namespace=WorkerOptions())
