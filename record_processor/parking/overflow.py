"""What is too large for a queue, a topic or a table: the record goes to S3, and the message says where.

The record is written before the message, and removed after it. A crash between the two leaves an object that
nothing refers to, which a lifecycle rule of the bucket ends; the other order would leave a message whose
record is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from record_processor.parking.destination import Entry, Foreign
from record_processor.parking.parked import RECORD, Parked, from_text, to_text
from record_processor.parking.s3 import Bucket

_LOCATION: Final = "recordLocation"


class Overflow:
    """Takes records out of documents, and puts them back."""

    def __init__(self, bucket: Bucket) -> None:
        """Take where records go: onFailureOverflow."""
        self._bucket = bucket

    def check(self) -> None:
        """Find out whether the bucket is there."""
        self._bucket.check()

    def fit(self, parked: Parked, fits: Callable[[str], bool]) -> str:
        """Return the document to send: whole if it fits, else without the record, which is then in S3.

        Raises whatever S3 does.
        """
        document = parked.to_json()
        whole = to_text(document)
        if fits(whole):
            return whole
        self._bucket.put(parked.path, to_text(document.pop(RECORD)))
        return to_text({**document, _LOCATION: self._bucket.url(parked.path)})

    def entry(self, text: str, where: str, handle: str) -> Entry | Foreign:
        """Read a document, with its record if that is in S3. Raises whatever S3 does."""
        try:
            document = from_text(text)
            location = document.get(_LOCATION)
            if location is None:
                return Entry(Parked.from_json(document), where, handle)
            parked = self._fetched(document, location)
            return Entry(parked, where, handle, record_location=self._bucket.url(parked.path))
        except ValueError as reason:
            return Foreign(where, str(reason))

    def delete(self, entry: Entry) -> None:
        """Remove the record of an entry from S3, if it is there: after the message, see above."""
        if entry.record_location:
            self._bucket.delete(entry.parked.path)

    def _fetched(self, document: Mapping[str, Any], location: object) -> Parked:
        """Read the record where we would have put it, and nowhere else: anybody may have sent the message."""
        parked = Parked.from_json({**document, RECORD: {}})
        ours = self._bucket.url(parked.path)
        if location != ours:
            raise ValueError(f"its record is not where onFailureOverflow would have it, {ours}")
        try:
            record = from_text(self._bucket.get(parked.path))
        except ValueError as reason:
            raise ValueError(f"its record, {ours}: {reason}") from None
        return Parked.from_json({**document, RECORD: record})
