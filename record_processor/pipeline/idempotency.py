"""Keeps from the handler what was handled before, with a store that remembers. Used by call, from any thread.

A record is claimed before its handler is called, and noted as handled after; a claim whose handler failed is
given back. So an effect is repeated only if the process ends between the effect and the note.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from record_processor.errors import InProgressError
from record_processor.pipeline.entry import item_key
from record_processor.pipeline.outcome import HANDLED, Outcome, and_those_behind, failed_records, settles
from record_processor.record import Record
from record_processor.stores import Begun, Claim, Store, claim_of_this_process


@dataclass(slots=True)
class Claimed:
    """Records before their handler is called."""

    records: list[Record] = field(default_factory=list)
    """What to call it with."""
    done: set[str] = field(default_factory=set)
    """The sequence numbers of what was handled before."""
    held: dict[str, Exception] = field(default_factory=dict)
    """The sequence numbers of what cannot be handled now, and why."""


class Idempotency:
    """The store, and how this shard speaks to it."""

    def __init__(
        self,
        store: Store,
        key_of: Callable[[Record], str],
        *,
        can_park: bool = False,
        claim: Callable[[int], Claim] = claim_of_this_process,
    ) -> None:
        """Take the store, what makes a record's key, and whether there is an onFailureDestination.

        `claim` makes a claim with a fencing token.
        """
        self._store = store
        self._claim = claim
        self._key_of = key_of
        self._can_park = can_park

    def begin(self, records: Sequence[Record]) -> Claimed:
        """Claim what is to be handled now, and nothing ahead of a record of the same item that is held."""
        claimed = Claimed()
        held: set[Hashable] = set()
        for record in records:
            error: Exception | None
            if item_key(record) in held:
                error = InProgressError("it waits for the record before it, of the same key")
            else:
                error = self._begin_one(record, claimed)
            if error:
                claimed.held[record.sequence_number] = error
                held.add(item_key(record))
        return claimed

    def end(self, claimed: Claimed, error: Exception | None) -> Outcome:
        """Note what was handled, give back what was not; `error` is what the handler raised."""
        again = _not_handled(claimed.records, error, self._can_park)
        for record in claimed.records:
            if record.sequence_number in again:
                self._release(record)
            elif problem := self._complete(record):
                claimed.held[record.sequence_number] = problem
        if error is None and not claimed.held:
            return HANDLED
        return Outcome(error, frozenset(claimed.done), claimed.held)

    def _begin_one(self, record: Record, claimed: Claimed) -> Exception | None:
        try:
            key = self._key_of(record)
        except Exception as error:  # noqa: BLE001  # the record has no such key, or cannot be decoded
            return error
        try:
            begun = self._store.begin(key, self._claim(record.fencing_token))
        except InProgressError as error:
            return error
        except Exception as error:  # noqa: BLE001  # whatever the store's client raises
            return _unreachable(error)
        if begun is Begun.DONE:
            claimed.done.add(record.sequence_number)
        else:
            claimed.records.append(record)
        return None

    def _complete(self, record: Record) -> Exception | None:
        """Note it as handled. If that fails the store does so when it is begun again."""
        try:
            self._store.complete(self._key_of(record), self._claim(record.fencing_token))
        except InProgressError as error:
            return error
        except Exception as error:  # noqa: BLE001  # the same
            return _unreachable(error)
        return None

    def _release(self, record: Record) -> None:
        with suppress(Exception):  # others then wait until the lock expires, this process does not
            self._store.release(self._key_of(record), self._claim(record.fencing_token))


def _not_handled(records: Sequence[Record], error: Exception | None, can_park: bool) -> set[str]:
    """Return the sequence numbers of what failed, and of what will be handed out again behind it."""
    if error is None:
        return set()
    failed = failed_records(records, error)
    if failed is None:
        return {each.sequence_number for each in records}
    unsettled = {number for number, reason in failed.items() if not settles(reason, can_park)}
    return failed.keys() | and_those_behind(records, unsettled)


def _unreachable(error: Exception) -> InProgressError:
    """The record is not at fault: this is no failed attempt."""
    problem = InProgressError(f"the idempotency store does not answer: {type(error).__name__}: {error}")
    problem.__cause__ = error
    return problem
