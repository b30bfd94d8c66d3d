"""What every destination must do: a test module of one inherits it and says how one is made.

A module makes a class of `DestinationSuite` and overrides the fixture `place`.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings

from record_processor.errors import ConfigurationError, StartError
from record_processor.parking import Destination, Entry, Foreign, Parked
from tests.parked_records import nasty, parked


def nothing() -> None:
    """Do nothing."""


@dataclass
class Place:
    """A destination, and what a test does to it behind its back."""

    destination: Destination
    reader: Destination
    """Reads what the destination wrote; another object for a topic, whose queue is read."""
    add_foreign: Callable[[str], None]
    """Puts a text there that is no parked record."""
    missing: Callable[[], Destination]
    """Returns a destination that was never created."""
    unreachable: Callable[[], Destination]
    """Returns one where no write can succeed."""
    overwrites: bool = True
    """Whether the same record takes the place of the first."""
    begin: Callable[[], None] = field(default=nothing)
    """Empties it."""


def read(reader: Destination) -> tuple[list[Entry], list[Foreign]]:
    """Return all that lies there, and let others see it again."""
    try:
        found = list(reader.entries())
    finally:
        reader.release()
    return [each for each in found if isinstance(each, Entry)], [
        each for each in found if isinstance(each, Foreign)
    ]


def records(reader: Destination) -> list[Parked]:
    """Return the parked records, in the order of their sequence numbers."""
    return sorted((entry.parked for entry in read(reader)[0]), key=lambda each: int(each.sequence_number))


class DestinationSuite:
    """The tests."""

    EXAMPLES = 25

    @pytest.fixture
    def place(self) -> Place:
        """Give an empty place."""
        raise NotImplementedError

    def test_what_is_there_passes_the_check(self, place: Place) -> None:
        """check() finds nothing wrong with a place that was created, and leaves nothing in it."""
        place.destination.check()
        assert read(place.reader) == ([], [])

    def test_what_was_put_is_read_as_it_was(self, place: Place) -> None:
        """Any record comes back the same, whatever its item and its error hold."""

        @settings(
            max_examples=self.EXAMPLES,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        )
        @given(nasty())
        def check(given_: Parked) -> None:
            place.begin()
            place.destination.put(given_)
            assert records(place.reader) == [given_]

        check()

    def test_the_same_record_again(self, place: Place) -> None:
        """It overwrites the first where there are places; in a queue there are two of the same id."""
        first, second = parked(attempts=1), parked(attempts=2)
        place.destination.put(first)
        place.destination.put(second)
        found = records(place.reader)
        assert {each.id for each in found} == {first.id}
        assert found == [second] if place.overwrites else len(found) == 2

    def test_records_of_other_shards_and_applications_have_their_own_place(self, place: Place) -> None:
        """The same sequence number elsewhere is another record."""
        given_ = [
            parked("100"),
            parked("100", shard_id="shardId-2"),
            parked("100", application_name="other"),
            parked("20"),
        ]
        for each in given_:
            place.destination.put(each)
        found = records(place.reader)
        assert {each.id: each for each in found} == {each.id: each for each in given_}
        assert len(found) == 4

    def test_what_is_deleted_is_gone_and_the_rest_stays(self, place: Place) -> None:
        """delete() removes exactly the record it is given, and again is no error."""
        for number in range(1, 13):
            place.destination.put(parked(str(number)))
        listed = [each for each in place.reader.entries() if isinstance(each, Entry)]
        for each in listed:
            if int(each.parked.sequence_number) % 2:
                place.reader.delete(each)
        place.reader.release()
        assert [each.sequence_number for each in records(place.reader)] == ["2", "4", "6", "8", "10", "12"]

    def test_what_is_too_large_comes_back_whole_and_is_deleted_whole(self, place: Place) -> None:
        """The largest item that DynamoDB has is parked and read like every other."""
        large = parked(data="\0" * 400_000, more="x" * 400_000)
        place.destination.put(large)
        assert records(place.reader) == [large]
        (entry,) = place.reader.entries()
        assert isinstance(entry, Entry)
        place.reader.delete(entry)
        place.reader.release()
        assert read(place.reader) == ([], [])

    def test_what_is_not_ours_is_reported_and_left_alone(self, place: Place) -> None:
        """Neither nonsense nor another's JSON ends the listing, or is lost by it."""
        texts = ["no JSON", "[1]", "{}", '{"version":"2.0"}', '{"version":"1.0","record":{}}', "[" * 100_000]
        for text in texts:
            place.add_foreign(text)
        place.destination.put(parked())
        for _ in range(2):
            entries, foreign = read(place.reader)
            assert [entry.parked for entry in entries] == [parked()]
            assert len(foreign) == len(texts)
            assert all(each.where and each.reason for each in foreign)

    def test_threads_may_put_at_once(self, place: Place) -> None:
        """What several threads of a worker put is all there, each whole."""
        given_ = [parked(str(number), data=f"{number}" * 500) for number in range(1, 25)]
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(place.destination.put, given_))
        assert records(place.reader) == given_

    def test_what_was_never_created_is_one_line(self, place: Place) -> None:
        """check() says what is missing and how to create it."""
        with pytest.raises(ConfigurationError) as told:
            place.missing().check()
        assert "\n" not in str(told.value)

    def test_a_place_that_cannot_be_reached_raises_and_keeps_nothing(self, place: Place) -> None:
        """put() raises, so that the caller tries again, and check() says so in one line."""
        unreachable = place.unreachable()
        with pytest.raises(Exception, match=r".+"):
            unreachable.put(parked())
        with pytest.raises((StartError, ConfigurationError)) as told:
            unreachable.check()
        assert "\n" not in str(told.value)
        assert read(place.reader) == ([], [])
