"""Our handler in whole-system benchmarks: it looks at one image of each record, and writes down how many."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.events import Events
from record_processor import Record, RecordProcessor, ShardContext


class Handler(RecordProcessor):
    """The same as benchmarks/stock/program.py."""

    def setup(self, context: ShardContext) -> None:
        """Begin with a shard."""
        self._events = Events(context.shard_id)

    def process_batch(self, records: Sequence[Record]) -> None:
        """Write down a batch."""
        self._events.handled([record.item for record in records])
