"""Puts records that are given up into onFailureDestination. Used by those who run works, from any thread."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone

from record_processor.parking.destination import Destination
from record_processor.parking.parked import Parked
from record_processor.pipeline.pipeline import Work


@dataclass(frozen=True, slots=True)
class Parking:
    """The destination, and who puts something there."""

    destination: Destination
    application_name: str
    worker_id: str

    def __call__(self, work: Work) -> None:
        """Put the work's only record there, durably. Raises whatever goes wrong."""
        assert work.condition is not None  # only such works are parked
        (entry,) = work.portion.entries
        parked = Parked.of(
            entry.record,
            work.condition,
            entry.error,
            entry.attempts,
            application_name=self.application_name,
            worker_id=self.worker_id,
            now=datetime.now(timezone.utc),
        )
        self.destination.put(parked)
