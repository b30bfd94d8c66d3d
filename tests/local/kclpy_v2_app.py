"""A program as people wrote them for amazon_kclpy's v2 interface."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from amazon_kclpy import kcl
from amazon_kclpy.v2 import processor


class RecordProcessor(processor.RecordProcessorBase):  # type: ignore[misc]
    """Says each record on standard error; with --rude it prints and once it ends without a word."""

    def initialize(self, initialize_input: Any) -> None:
        self.shard = initialize_input.shard_id

    def process_records(self, process_records_input: Any) -> None:
        if "--rude" in sys.argv:
            print("null", flush=True)
            mark = Path(os.environ["TEST_FOLDER"]) / "ended"
            if not mark.exists():
                mark.touch()
                os._exit(7)
        for record in process_records_input.records:
            sys.stderr.write(f"Record (Partition Key: {record.partition_key})\n")
        sys.stderr.flush()
        process_records_input.checkpointer.checkpoint()

    def shutdown(self, shutdown_input: Any) -> None:
        if shutdown_input.reason == "TERMINATE":
            shutdown_input.checkpointer.checkpoint()

    def shutdown_requested(self, shutdown_requested_input: Any) -> None:
        shutdown_requested_input.checkpointer.checkpoint()


if __name__ == "__main__":
    kcl.KCLProcess(RecordProcessor()).run()
