"""What every store does, whatever keeps its keys. A test module subclasses it and says how to make a store."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from typing import Final

import pytest

from record_processor.errors import FencedError
from record_processor.stores import Begun, Claim, LockedError, Row, Store

LOCK_SECONDS: Final = 60
TTL_SECONDS: Final = 3600
THREADS: Final = 8

OURS: Final = Claim("host-1/shard-1", "process-1", 7)
RESTARTED: Final = OURS._replace(process="process-2")
OTHER_HOST: Final = Claim("host-2/shard-1", "process-3", 9)
OTHER_SHARD: Final = Claim("host-2/shard-2", "process-4", 1)

_keys: Final = (f"key-{number}" for number in count())


@dataclass
class Clock:
    """A time that stands still unless it is told. It is in the future: DynamoDB deletes what is expired."""

    seconds: float = 4_000_000_000.25

    def __call__(self) -> float:
        """Return it."""
        return self.seconds


class Broken:
    """A store whose next write fails: before it takes effect, or after, so that only the answer is lost."""

    def __init__(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        self.next_failure: str | None = None
        swap = store.swap

        def fail(key: str, expected: Row | None, new: Row | None) -> Row | None:
            failure, self.next_failure = self.next_failure, None
            if failure == "before":
                raise ConnectionError
            seen = swap(key, expected, new)
            if failure == "after":
                raise ConnectionError
            return seen

        monkeypatch.setattr(store, "swap", fail)


class StoreRules:
    """The rules, as tests."""

    @pytest.fixture
    def clock(self) -> Clock:
        """Give the store's clock."""
        return Clock()

    @pytest.fixture
    def store(self, clock: Clock) -> Iterator[Store]:
        """Give a store with LOCK_SECONDS, TTL_SECONDS and the clock."""
        raise NotImplementedError

    @pytest.fixture
    def key(self) -> str:
        """Give a key that no other test uses."""
        return next(_keys)

    def test_check_is_content(self, store: Store) -> None:
        """What these tests use can be used."""
        store.check()

    def test_what_was_completed_is_done_for_all(self, store: Store, key: str) -> None:
        """Whoever asks, also one whose token is small."""
        assert store.begin(key, OURS) is Begun.CLAIMED
        store.complete(key, OURS)
        for claim in (OURS, RESTARTED, OTHER_HOST, OTHER_SHARD, OURS._replace(fencing_token=1)):
            assert store.begin(key, claim) is Begun.DONE

    def test_keys_are_apart(self, store: Store, key: str) -> None:
        """One key says nothing of another."""
        store.begin(key, OURS)
        store.complete(key, OURS)
        assert store.begin(f"{key}-other", OURS) is Begun.CLAIMED

    def test_what_was_released_can_be_begun(self, store: Store, key: str) -> None:
        """By the same process and by others."""
        for claim in (OURS, OURS, OTHER_SHARD, RESTARTED):
            assert store.begin(key, claim) is Begun.CLAIMED
            store.release(key, claim)

    def test_it_forgets_what_is_older_than_the_time_to_live(
        self, store: Store, key: str, clock: Clock
    ) -> None:
        """Also if it is still there; from completion on."""
        store.begin(key, OURS)
        clock.seconds += 10
        store.complete(key, OURS)
        clock.seconds += TTL_SECONDS - 1
        assert store.begin(key, OTHER_HOST) is Begun.DONE
        clock.seconds += 2
        assert store.begin(key, OTHER_HOST) is Begun.CLAIMED

    def test_another_thread_waits(self, store: Store, key: str, clock: Clock) -> None:
        """However long it takes: it is alive."""
        store.begin(key, OURS)
        clock.seconds += LOCK_SECONDS + TTL_SECONDS + 1
        with pytest.raises(LockedError) as error:
            store.begin(key, OURS)
        assert error.value.seconds is None
        store.complete(key, OURS)
        assert store.begin(key, OURS) is Begun.DONE

    def test_a_dead_process_is_taken_over_at_once(self, store: Store, key: str) -> None:
        """One of the same shard on the same worker; if it lives after all, it has lost its claim."""
        store.begin(key, OURS)
        assert store.begin(key, RESTARTED) is Begun.CLAIMED
        with pytest.raises(FencedError):
            store.complete(key, OURS)
        store.complete(key, RESTARTED)
        assert store.begin(key, OTHER_HOST) is Begun.DONE

    def test_another_owner_waits_for_the_lock(self, store: Store, key: str, clock: Clock) -> None:
        """And is told how long; once it has expired, the first one cannot complete, and the row stays."""
        store.begin(key, OURS)
        clock.seconds += LOCK_SECONDS - 1
        for claim in (OTHER_HOST, OTHER_SHARD):
            with pytest.raises(LockedError) as error:
                store.begin(key, claim)
            assert error.value.seconds == pytest.approx(1, abs=0.01)
        clock.seconds += 1.01
        assert store.begin(key, OTHER_HOST) is Begun.CLAIMED
        with pytest.raises(FencedError):
            store.complete(key, OURS)
        with pytest.raises(LockedError):
            store.begin(key, OTHER_SHARD)
        store.complete(key, OTHER_HOST)

    def test_only_its_own_lock_is_released(self, store: Store, key: str) -> None:
        """Neither another owner's, nor that of the one who took over."""
        store.begin(key, OURS)
        store.release(key, OTHER_HOST)
        store.release(key, RESTARTED)
        with pytest.raises(LockedError):
            store.begin(key, OTHER_SHARD)
        store.begin(key, RESTARTED)
        store.release(key, OURS)
        with pytest.raises(LockedError):
            store.begin(key, OTHER_SHARD)

    def test_what_is_done_is_not_released(self, store: Store, key: str) -> None:
        """A release that comes too late changes nothing."""
        store.begin(key, OURS)
        store.complete(key, OURS)
        store.release(key, OURS)
        assert store.begin(key, OURS) is Begun.DONE

    def test_only_its_own_claim_is_completed(self, store: Store, key: str) -> None:
        """What was never begun, or by others, is not complete."""
        with pytest.raises(FencedError):
            store.complete(key, OURS)
        store.begin(key, OURS)
        with pytest.raises(FencedError):
            store.complete(key, OTHER_HOST)
        with pytest.raises(LockedError):
            store.begin(key, OTHER_SHARD)

    def test_a_newer_owner_of_the_shard_fences(self, store: Store, key: str, clock: Clock) -> None:
        """Also when its lock has expired: the older one lost the shard."""
        store.begin(key, OTHER_HOST)
        for _ in range(2):
            with pytest.raises(FencedError):
                store.begin(key, OURS)
            clock.seconds += LOCK_SECONDS + 1
        assert store.begin(key, OURS._replace(fencing_token=10)) is Begun.CLAIMED

    @pytest.mark.parametrize(
        ("holder", "asking"),
        [
            (OTHER_HOST, OURS._replace(fencing_token=9)),
            (OTHER_HOST, OURS._replace(fencing_token=0)),
            (OTHER_HOST._replace(fencing_token=0), OURS),
            (OTHER_HOST, Claim("host-1/shard-2", "process-1", 7)),
            (OTHER_HOST._replace(owner="host-2"), OURS._replace(owner="host-1")),
            (OTHER_HOST._replace(owner="a/b/shard-1"), Claim("a/b/shard-2", "process-1", 7)),
        ],
    )
    def test_other_tokens_say_nothing(
        self, store: Store, key: str, clock: Clock, holder: Claim, asking: Claim
    ) -> None:
        """Equal ones, none, those of another shard, of owners without a shard: then the lock decides."""
        store.begin(key, holder)
        with pytest.raises(LockedError):
            store.begin(key, asking)
        clock.seconds += LOCK_SECONDS + 1
        assert store.begin(key, asking) is Begun.CLAIMED

    def test_a_fence_ends_with_the_row(self, store: Store, key: str, clock: Clock) -> None:
        """What a crashed owner left behind is gone after the time to live, whatever its token."""
        store.begin(key, OTHER_HOST)
        clock.seconds += LOCK_SECONDS + TTL_SECONDS - 1
        with pytest.raises(FencedError):
            store.begin(key, OURS)
        clock.seconds += 2
        assert store.begin(key, OURS) is Begun.CLAIMED

    @pytest.mark.parametrize(
        "claims",
        [
            [OURS] * THREADS,
            [OURS._replace(owner=f"host-{number}/shard-1") for number in range(THREADS)],
        ],
        ids=["threads", "owners"],
    )
    def test_of_those_who_race_one_wins(self, store: Store, key: str, claims: list[Claim]) -> None:
        """Exactly one claims a new key, all others are told that it is taken."""
        at_once = threading.Barrier(len(claims))

        def begin(claim: Claim) -> object:
            at_once.wait()
            try:
                return store.begin(key, claim)
            except LockedError as error:
                return type(error)

        with ThreadPoolExecutor(len(claims)) as threads:
            results = Counter(threads.map(begin, claims))
        assert results == {Begun.CLAIMED: 1, LockedError: len(claims) - 1}

    def test_of_those_who_race_for_an_expired_lock_one_wins(
        self, store: Store, key: str, clock: Clock
    ) -> None:
        """A take-over is as exclusive as a first claim."""
        store.begin(key, OURS)
        clock.seconds += LOCK_SECONDS + 1
        others = [Claim(f"other-{number}/shard-2", "process", 1) for number in range(THREADS)]
        self.test_of_those_who_race_one_wins(store, key, others)

    @pytest.mark.parametrize("failure", ["before", "after"])
    def test_a_begin_that_failed_can_be_made_again(
        self, store: Store, key: str, monkeypatch: pytest.MonkeyPatch, failure: str
    ) -> None:
        """At once, whether it took effect or not."""
        broken = Broken(store, monkeypatch)
        broken.next_failure = failure
        with pytest.raises(ConnectionError):
            store.begin(key, OURS)
        assert store.begin(key, OURS) is Begun.CLAIMED
        store.complete(key, OURS)

    @pytest.mark.parametrize("failure", ["before", "after"])
    def test_a_completion_that_failed_is_made_up_for(
        self, store: Store, key: str, monkeypatch: pytest.MonkeyPatch, failure: str
    ) -> None:
        """What was handled is not handled again by this process; nor does a release undo it."""
        broken = Broken(store, monkeypatch)
        store.begin(key, OURS)
        broken.next_failure = failure
        with pytest.raises(ConnectionError):
            store.complete(key, OURS)
        store.release(key, OURS)
        broken.next_failure = failure
        with pytest.raises(ConnectionError):
            store.begin(key, OURS)
        assert store.begin(key, OURS) is Begun.DONE
        assert store.begin(key, OTHER_SHARD) is Begun.DONE

    def test_a_completion_can_be_made_again(
        self, store: Store, key: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """By the one who was told that it failed, later."""
        broken = Broken(store, monkeypatch)
        store.begin(key, OURS)
        broken.next_failure = "after"
        with pytest.raises(ConnectionError):
            store.complete(key, OURS)
        clock.seconds += 5
        store.complete(key, OURS)
        assert store.begin(key, OTHER_SHARD) is Begun.DONE

    def test_a_completion_that_comes_too_late_is_fenced(
        self, store: Store, key: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What could not be written down until another owner took over is that owner's."""
        broken = Broken(store, monkeypatch)
        store.begin(key, OURS)
        broken.next_failure = "before"
        with pytest.raises(ConnectionError):
            store.complete(key, OURS)
        clock.seconds += LOCK_SECONDS + 1
        assert store.begin(key, OTHER_HOST) is Begun.CLAIMED
        with pytest.raises(FencedError):
            store.begin(key, OURS)
        store.complete(key, OTHER_HOST)
        assert store.begin(key, OURS) is Begun.DONE

    @pytest.mark.parametrize("failure", ["before", "after"])
    def test_a_release_that_failed_keeps_only_others_waiting(
        self, store: Store, key: str, monkeypatch: pytest.MonkeyPatch, failure: str
    ) -> None:
        """This process may begin again at once."""
        broken = Broken(store, monkeypatch)
        store.begin(key, OURS)
        broken.next_failure = failure
        with pytest.raises(ConnectionError):
            store.release(key, OURS)
        assert store.begin(key, OURS) is Begun.CLAIMED

    def test_a_closed_store_can_be_used(self, store: Store, key: str) -> None:
        """Whatever it has to open for that; and it can be closed twice."""
        store.close()
        store.close()
        assert store.begin(key, OURS) is Begun.CLAIMED
