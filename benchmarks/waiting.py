"""What `parallel` runs: handlers that wait, as for a network, and write down when each of their calls was.

The record (key, n) is the n-th of its key. What was written down is in a file once the shard is over.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path
from typing import Final

from record_processor import Record, RecordProcessor, TeardownReason

WAIT_SECONDS: Final = 0.02
CALLS: Final = "calls.json"
"""The file, in the folder that BENCHMARK_FOLDER names: what began and ended, in its order."""

_calls: list[tuple[str, int, bool]] = []
"""Key, n, and whether the call began then; it ended otherwise."""


class _Waiting(RecordProcessor):
    def teardown(self, reason: TeardownReason) -> None:
        """Hand over what was written down."""
        (Path(os.environ["BENCHMARK_FOLDER"]) / CALLS).write_text(json.dumps(_calls), "ascii")


class Threads(_Waiting):
    """Plain methods: they run in threads."""

    def process_record(self, record: Record) -> None:
        """Wait."""
        key, number = record.item["pk"], record.item["n"]
        _calls.append((key, number, True))
        time.sleep(WAIT_SECONDS)
        _calls.append((key, number, False))


class Async(_Waiting):
    """An `async def`: it runs on an event loop."""

    async def process_record(self, record: Record) -> None:
        """Wait."""
        key, number = record.item["pk"], record.item["n"]
        _calls.append((key, number, True))
        await asyncio.sleep(WAIT_SECONDS)
        _calls.append((key, number, False))
