"""Which records a program sees: those of Lambda's filter criteria, and those that change certain attributes.

The daemon decides it, in Java: `FilterCriteria.java`, where AWS's event-ruler 1.7.3 reads the patterns and
compares the values, and `ChangedAttributes.java`. This is the same in Python, without Java: it refuses a
user's mistakes when the settings are read. `tests/vectors` holds both to the same verdicts and reasons, and a
test compares them on random patterns and records.

criteria: the recipe · json_tree → patterns: what a pattern asks, as ruler reads it · matchers: one value ·
events: a whole record · mistakes: what ruler accepts and no record can satisfy · changes: changed attributes.
"""

from __future__ import annotations

from record_processor.filters.changes import ChangedAttributes
from record_processor.filters.criteria import FilterCriteria

__all__ = ["ChangedAttributes", "FilterCriteria"]
