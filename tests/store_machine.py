"""Random calls of a store, compared with a model of what they must come to: hypothesis makes them up."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import ClassVar, Final

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from record_processor.errors import FencedError
from record_processor.stores import Begun, Claim, LockedError, Row, Store
from tests.store_rules import LOCK_SECONDS, TTL_SECONDS, Clock

_OWNERS: Final = ("host-1/shard-1", "host-2/shard-1", "host-2/shard-2", "alone")
_keys: Final = st.sampled_from(["a", "b"])
_claims: Final = st.builds(
    Claim, st.sampled_from(_OWNERS), st.sampled_from(["process-1", "process-2"]), st.integers(0, 3)
)
_failures: Final = st.sampled_from([None, None, None, "before", "after"])
_examples: Final = count()


@dataclass
class Entry:
    """What is kept of a key."""

    claim: Claim
    since: float
    """When it was begun; or completed."""
    is_done: bool = False

    def age(self, now: float) -> float:
        return now - self.since


class StoreMachine(RuleBasedStateMachine):
    """The store must answer as the model does, also when writes or answers get lost."""

    store: ClassVar[Store]
    clock: ClassVar[Clock]

    def __init__(self) -> None:
        super().__init__()
        self.example = next(_examples)
        self.entries: dict[str, Entry] = {}
        self.at_work: dict[tuple[str, str, str], float | None] = {}
        """Key, owner and process of what is being handled; when it was, if that is not written down."""
        self.failure: str | None = None
        self.store.swap = self.swap  # type: ignore[method-assign]

    def swap(self, key: str, expected: Row | None, new: Row | None) -> Row | None:
        """Write, but the first write of a call may fail."""
        failure, self.failure = self.failure, None
        if failure == "before":
            raise ConnectionError
        seen = type(self.store).swap(self.store, key, expected, new)
        if failure == "after":
            raise ConnectionError
        return seen

    # --- What is done ---

    @rule(seconds=st.sampled_from([1, LOCK_SECONDS // 2, LOCK_SECONDS]))
    def time_passes(self, seconds: int) -> None:
        self.clock.seconds += seconds

    @precondition(lambda self: not self.at_work)  # else a store may or may not have swept its row away
    @rule(seconds=st.sampled_from([TTL_SECONDS - 1, TTL_SECONDS, TTL_SECONDS + LOCK_SECONDS]))
    def much_time_passes(self, seconds: int) -> None:
        self.clock.seconds += seconds

    @rule(key=_keys, claim=_claims, failure=_failures)
    def begin(self, key: str, claim: Claim, failure: str | None) -> None:
        self._compare("begin", key, claim, failure)

    @rule(key=_keys, claim=_claims, failure=_failures)
    def complete(self, key: str, claim: Claim, failure: str | None) -> None:
        self._compare("complete", key, claim, failure)

    @rule(key=_keys, claim=_claims, failure=_failures)
    def release(self, key: str, claim: Claim, failure: str | None) -> None:
        self._compare("release", key, claim, failure)

    def _compare(self, operation: str, key: str, claim: Claim, failure: str | None) -> None:
        if self._is_expired(key):
            failure = None  # the same: what is there decides what a lost answer comes to
        expected = getattr(self, f"_model_{operation}")(key, claim, failure)
        self.failure = failure
        try:
            found = getattr(self.store, operation)(f"{self.example}-{key}", claim)
        except (ConnectionError, LockedError, FencedError) as error:
            found = type(error)
        self.failure = None
        assert found == expected, f"{operation} of {key} by {claim}, failing {failure}"

    # --- What must come of it ---

    def _model_begin(self, key: str, claim: Claim, failure: str | None) -> object:
        work = (key, claim.owner, claim.process)
        if self.at_work.get(work):
            return self._model_write_down(key, claim, failure) or Begun.DONE
        if work in self.at_work:
            return LockedError
        if failure == "before":
            return ConnectionError
        entry = self.entries.get(key)
        if failure == "after" and entry is None:
            self.entries[key] = Entry(claim, self.clock())
        if failure == "after":
            return ConnectionError
        refusal = self._refusal(key, claim)
        if refusal is not None:
            return refusal
        self.entries[key] = Entry(claim, self.clock())
        self.at_work[work] = None
        return Begun.CLAIMED

    def _refusal(self, key: str, claim: Claim) -> object:
        entry = self.entries.get(key)
        if entry is None or self._is_expired(key):
            return None
        if entry.is_done:
            return Begun.DONE
        if entry.claim.owner == claim.owner:
            return None
        tokens = entry.claim.fencing_token, claim.fencing_token
        same_shard = {entry.claim.owner, claim.owner} == {"host-1/shard-1", "host-2/shard-1"}
        if same_shard and all(tokens) and tokens[0] > tokens[1]:
            return FencedError
        return LockedError if entry.age(self.clock()) < LOCK_SECONDS else None

    def _model_complete(self, key: str, claim: Claim, failure: str | None) -> object:
        work = (key, claim.owner, claim.process)
        if work not in self.at_work:
            return FencedError
        self.at_work[work] = self.at_work[work] or self.clock()
        return self._model_write_down(key, claim, failure)

    def _model_write_down(self, key: str, claim: Claim, failure: str | None) -> object:
        work = (key, claim.owner, claim.process)
        if failure == "before":
            return ConnectionError
        is_ours = self._is_ours(key, claim)
        entry = self.entries.get(key)
        if is_ours and entry and not entry.is_done:
            self.entries[key] = Entry(claim, self.at_work[work] or 0, is_done=True)
        if failure == "after":
            return ConnectionError
        del self.at_work[work]
        return None if is_ours else FencedError

    def _model_release(self, key: str, claim: Claim, failure: str | None) -> object:
        work = (key, claim.owner, claim.process)
        if work not in self.at_work or self.at_work[work]:
            return None
        del self.at_work[work]
        if failure != "before" and self._is_ours(key, claim):
            del self.entries[key]
        return ConnectionError if failure else None

    def _is_expired(self, key: str) -> bool:
        entry = self.entries.get(key)
        lock_seconds = LOCK_SECONDS if entry and not entry.is_done else 0
        return entry is not None and entry.age(self.clock()) >= TTL_SECONDS + lock_seconds

    def _is_ours(self, key: str, claim: Claim) -> bool:
        entry = self.entries.get(key)
        return entry is not None and entry.claim[:2] == claim[:2]
