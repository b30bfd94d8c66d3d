"""The record processor that scripts/demo runs: it writes down each record that it handled."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TextIO

from record_processor import Record, RecordProcessor, ShardContext, TeardownReason
from record_processor.testing import change_number


class Demo(RecordProcessor):
    """Appends to the file that DEMO_HISTORY names."""

    history: TextIO

    def setup(self, context: ShardContext) -> None:
        """Open the history; each line goes out as soon as it is whole."""
        self.history = Path(os.environ["DEMO_HISTORY"]).open("a", buffering=1, encoding="utf-8")  # noqa: SIM115

    def teardown(self, reason: TeardownReason) -> None:
        """Close the history."""
        self.history.close()

    def on_insert(self, record: Record) -> None:
        """Handle an item that is new."""
        self.write_down("inserted", record)

    def on_modify(self, record: Record) -> None:
        """Handle an item that changed."""
        self.write_down("modified", record)

    def on_remove(self, record: Record) -> None:
        """Handle an item that is gone."""
        self.write_down("removed", record)

    def write_down(self, what: str, record: Record) -> None:
        """Append one line."""
        line = {
            "what": what,
            "key": record.keys["pk"],
            "n": change_number(record.new_image, record.old_image),
            "sequence_number": record.sequence_number,
            "pid": os.getpid(),
            "monotonic_seconds": time.monotonic(),
        }
        self.history.write(json.dumps(line) + "\n")
