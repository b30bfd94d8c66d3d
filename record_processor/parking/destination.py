"""What every place for parked records can do. The pipeline puts, the command `parked` reads."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from record_processor.parking.parked import Parked

LARGEST_DOCUMENT_BYTES: Final = 16 * 1024 * 1024
"""What is larger is not ours: two images of 400 KB, each byte written as six, are less than 5 MB."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A parked record where it lies."""

    parked: Parked
    where: str
    """For people: a path, a URL, the id of a message."""
    handle: str = field(repr=False)
    """What `delete` needs to find it again."""
    record_location: str = ""
    """Where the record itself is, if it was too large: `s3://bucket/key`."""


@dataclass(frozen=True, slots=True)
class Foreign:
    """Something that lies there and cannot be read as a parked record: it is reported and left alone."""

    where: str
    reason: str
    """Completes "left alone: "; it quotes nothing of the content."""


class Destination(ABC):
    """A place for parked records. Threads may share one; a process that forks must not have used it yet."""

    @abstractmethod
    def check(self) -> None:
        """Find out whether it is there.

        Raises ConfigurationError, one line that says what to create or mend, and StartError if AWS does not
        answer or refuses us.
        """

    @abstractmethod
    def put(self, parked: Parked) -> None:
        """Keep a record; it is durable when this returns.

        Whole documents are written or none. The same record again takes the place of the first, where there
        are places: not in a queue. Raises whatever went wrong; the caller tries again.
        """

    @abstractmethod
    def entries(self) -> Iterator[Entry | Foreign]:
        """Yield what lies there, in no order that matters.

        What is yielded by a queue is hidden from other readers until `delete` or `release`. Raises
        ConfigurationError if nothing can be listed, and whatever went wrong.
        """

    @abstractmethod
    def delete(self, entry: Entry) -> None:
        """Remove a record that `entries` has yielded; nothing if it is gone. Raises whatever went wrong."""

    def release(self) -> None:  # noqa: B027  # only a queue hides what is listed
        """Let others see what was listed and not deleted: to be called when reading is over."""
