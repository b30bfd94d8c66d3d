"""The daemon's filter without the daemon: the same verdicts, from the same properties."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from record_processor import settings
from record_processor.errors import ConfigurationError
from record_processor.filters import ChangedAttributes, FilterCriteria
from record_processor.record import Record

_CARRIED: Final = {
    "KEYS_ONLY": {"Keys"},
    "NEW_IMAGE": {"Keys", "NewImage"},
    "OLD_IMAGE": {"Keys", "OldImage"},
}
_EVERYTHING: Final = {"Keys", "NewImage", "OldImage"}


class RecordFilter:
    """What `filterCriteria` and `changedAttributes` let through; with both, a record must pass both."""

    def __init__(self, filter_criteria: str | None = None, changed_attributes: str | None = None) -> None:
        """Take both as a properties file has them. Raises ConfigurationError for what the daemon refuses."""
        try:
            self._criteria = None if filter_criteria is None else FilterCriteria.parse(filter_criteria)
        except ValueError as reason:
            raise ConfigurationError(f"filterCriteria: {reason}") from None
        paths = [path.strip() for path in changed_attributes.split(",")] if changed_attributes else []
        try:
            self._changed = ChangedAttributes.parse(paths) if paths else None
        except ValueError as reason:
            raise ConfigurationError(f"changedAttributes: {reason}") from None

    @classmethod
    def from_properties(cls, path: Path | str) -> RecordFilter:
        """Take them from a properties file. Raises ConfigurationError if there is any mistake in it."""
        given = settings.load(path)
        criteria, changed = given["filterCriteria"], given["changedAttributes"]
        return cls(
            criteria if isinstance(criteria, str) else None,
            ", ".join(changed) if isinstance(changed, tuple) else None,
        )

    def passes(self, record: Record) -> bool:
        """Whether the daemon would hand the record over.

        It would, too, if the stream lacks an image that the filter looks at: nothing is dropped unseen.
        """
        if self._looked_at() - _CARRIED.get(record.stream_view_type or "", _EVERYTHING):
            return True
        event = record.to_dynamodb_json()
        return (self._changed is None or self._changed.matches(event)) and (
            self._criteria is None or self._criteria.matches(event)
        )

    def _looked_at(self) -> set[str]:
        images = {"NewImage", "OldImage"} if self._changed else set()
        return images | set(self._criteria.sections if self._criteria else ())
