"""`discard`: who writes that wants no record kept."""

from __future__ import annotations

from collections.abc import Iterator

from record_processor.errors import ConfigurationError
from record_processor.parking.destination import Destination, Entry, Foreign
from record_processor.parking.parked import Parked


class Discard(Destination):
    """Keeps nothing."""

    def check(self) -> None:
        """Find nothing wrong."""

    def put(self, parked: Parked) -> None:
        """Let it go."""

    def entries(self) -> Iterator[Entry | Foreign]:
        """Raise ConfigurationError."""
        raise ConfigurationError("onFailureDestination = discard keeps nothing")

    def delete(self, entry: Entry) -> None:
        """Raise ConfigurationError."""
        raise ConfigurationError("onFailureDestination = discard keeps nothing")
