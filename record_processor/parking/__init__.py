"""Where records go that are given up, `onFailureDestination`: written by the pipeline, read by `parked`."""

from __future__ import annotations

from record_processor.parking.destination import Destination, Entry, Foreign
from record_processor.parking.open import destination_at, open_destination
from record_processor.parking.parked import Condition, ErrorInfo, Parked

__all__ = [
    # Opening one
    "open_destination",
    "destination_at",
    # What it can do
    "Destination",
    "Entry",
    "Foreign",
    # What lies there
    "Parked",
    "Condition",
    "ErrorInfo",
]
