"""What `filter` runs: a handler that wants paid orders only, and the same as a program of amazon_kclpy.

Each says how much CPU time its process has used since it was set up, when it sees the last order.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any, Final

from record_processor import Record, RecordProcessor, ShardContext

LAST: Final = "last"
"""The orderId of the order that is written last; it is paid."""
REPORT: Final = "cpu-seconds"
"""The file, in the folder that BENCHMARK_FOLDER names."""


class Paid(RecordProcessor):
    """Filters by itself, so that it can be run with and without a filter."""

    def setup(self, context: ShardContext) -> None:
        """Begin to count."""
        self._begin = time.process_time()

    def process_record(self, record: Record) -> None:
        """Look at the status, and for paid orders at the rest."""
        order = record.new_image or {}
        if order["status"] == "paid" and order["orderId"] == LAST:
            report(self._begin)


def report(begin: float) -> None:
    """Say how much CPU time was used, in one step, so that nobody reads half of it."""
    file = Path(os.environ["BENCHMARK_FOLDER"]) / REPORT
    new = file.with_suffix(".new")
    new.write_text(repr(time.process_time() - begin), "ascii")
    new.replace(file)


def main() -> None:
    """Run as a program of amazon_kclpy, which decodes as its users do: json and boto3's deserialiser."""
    from amazon_kclpy import kcl
    from amazon_kclpy.v3.processor import RecordProcessorBase
    from boto3.dynamodb.types import TypeDeserializer

    deserialize = TypeDeserializer().deserialize

    class Program(RecordProcessorBase):  # type: ignore[misc]
        def initialize(self, initialize_input: Any) -> None:
            self._begin = time.process_time()

        def process_records(self, process_records_input: Any) -> None:
            for record in process_records_input.records:
                image = json.loads(record.binary_data)["dynamodb"]["NewImage"]
                order = {name: deserialize(value) for name, value in image.items()}
                if order["status"] == "paid" and order["orderId"] == LAST:
                    report(self._begin)
            process_records_input.checkpointer.checkpoint()

        def lease_lost(self, lease_lost_input: Any) -> None:
            pass

        def shard_ended(self, shard_ended_input: Any) -> None:
            shard_ended_input.checkpointer.checkpoint()

        def shutdown_requested(self, shutdown_requested_input: Any) -> None:
            shutdown_requested_input.checkpointer.checkpoint()

    kcl.KCLProcess(Program()).run()


if __name__ == "__main__":
    main()
