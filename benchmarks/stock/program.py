"""An amazon_kclpy program that writes down what it is given; it checkpoints as that package's sample does."""

from __future__ import annotations

import json
import time
from typing import Any, Final

from amazon_kclpy import kcl
from amazon_kclpy.v3 import processor
from boto3.dynamodb.types import TypeDeserializer

from benchmarks.events import Events

_CHECKPOINT_SECONDS: Final = 60


class Program(processor.RecordProcessorBase):  # type: ignore[misc]
    """Looks at one image of each record."""

    def initialize(self, initialize_input: Any) -> None:
        """Begin with a shard."""
        self._events = Events(initialize_input.shard_id)
        self._deserialize = TypeDeserializer().deserialize
        self._checkpointed = time.monotonic()

    def process_records(self, process_records_input: Any) -> None:
        """Write down a batch."""
        self._events.handled(
            [self._image(record) for record in process_records_input.records],
        )
        if time.monotonic() - self._checkpointed >= _CHECKPOINT_SECONDS:
            process_records_input.checkpointer.checkpoint()
            self._checkpointed = time.monotonic()

    def _image(self, record: Any) -> dict[str, Any]:
        image = json.loads(record.binary_data)["dynamodb"]["NewImage"]
        return {name: self._deserialize(value) for name, value in image.items()}

    def lease_lost(self, lease_lost_input: Any) -> None:
        """Do nothing."""

    def shard_ended(self, shard_ended_input: Any) -> None:
        """Let the child shards begin."""
        shard_ended_input.checkpointer.checkpoint()

    def shutdown_requested(self, shutdown_requested_input: Any) -> None:
        """Make a last checkpoint."""
        shutdown_requested_input.checkpointer.checkpoint()


if __name__ == "__main__":
    kcl.KCLProcess(Program()).run()
