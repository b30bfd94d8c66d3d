"""The destination file:///folder."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from record_processor.errors import ConfigurationError
from record_processor.parking import Entry, Foreign
from record_processor.parking.files import FileDestination
from record_processor.testing import wait_until
from tests.destination_suite import DestinationSuite, Place, read, records
from tests.parked_records import parked


class TestFiles(DestinationSuite):
    """The suite, in a folder."""

    EXAMPLES = 100

    @pytest.fixture
    def place(self, tmp_path: Path) -> Place:
        """Give an empty folder; one that cannot be written is the inside of a file."""
        folder = tmp_path / "parked"

        def begin() -> None:
            shutil.rmtree(folder)
            folder.mkdir()

        def add_foreign(text: str) -> None:
            (folder / f"{len(list(folder.iterdir()))}.json").write_text(text)

        def in_a_file() -> FileDestination:
            (tmp_path / "file").write_text("")
            return FileDestination(tmp_path / "file" / "folder")

        folder.mkdir()
        destination = FileDestination(folder)
        return Place(destination, destination, add_foreign, in_a_file, in_a_file, begin=begin)


def test_check_makes_the_folder_and_everything_is_private(tmp_path: Path) -> None:
    """Folders are 0700 and files 0600, whatever the umask."""
    before = os.umask(0)
    try:
        destination = FileDestination(tmp_path / "a" / "b")
        destination.check()
        destination.put(parked())
    finally:
        os.umask(before)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "a").rglob("*") if path.is_dir()}
    assert modes == {0o700}
    (file,) = (path for path in tmp_path.rglob("*") if path.is_file())
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_folder_that_everybody_may_write_is_refused(tmp_path: Path) -> None:
    """Else anybody could put a record there for us to handle."""
    tmp_path.chmod(0o777)
    with pytest.raises(ConfigurationError, match="everybody may write to"):
        FileDestination(tmp_path).check()


def test_a_file_in_the_folders_place_is_named(tmp_path: Path) -> None:
    """And not a temporary file in it; what is put there fails."""
    folder = tmp_path / "parked"
    folder.touch()
    with pytest.raises(
        ConfigurationError, match=rf"{folder} cannot be written: Not a directory; name a folder"
    ):
        FileDestination(folder).check()
    with pytest.raises(NotADirectoryError, match=f"{folder}"):
        FileDestination(folder).put(parked())


@pytest.mark.parametrize(
    "shard_id",
    ["../../../etc", "..", ".", "", "a/b", "/etc/passwd", "\0", "x" * 5000, "é\n", "%2e", ".hidden"],
)
def test_any_shard_id_is_a_name_in_the_folder(shard_id: str, tmp_path: Path) -> None:
    """No shard id leads out of the folder, hides a record, or is lost."""
    given = parked(shard_id=shard_id)
    FileDestination(tmp_path / "parked").put(given)
    assert records(FileDestination(tmp_path / "parked")) == [given]
    assert [path.name for path in tmp_path.iterdir()] == ["parked"]


def test_names_hold_nothing_of_the_item(tmp_path: Path) -> None:
    """Neither keys nor values are in a path."""
    FileDestination(tmp_path).put(parked(pk="canary", data="canary"))
    assert not [path for path in tmp_path.rglob("*") if "canary" in str(path)]


def test_a_shards_records_are_listed_from_the_oldest_on(tmp_path: Path) -> None:
    """By number, not by letters."""
    destination = FileDestination(tmp_path)
    for number in ("100", "20", "3"):
        destination.put(parked(number))
    found = [each.parked.sequence_number for each in destination.entries() if isinstance(each, Entry)]
    assert found == ["3", "20", "100"]


def test_no_folder_is_told_when_reading(tmp_path: Path) -> None:
    """Perhaps it is another host's."""
    with pytest.raises(ConfigurationError, match="on this host: nothing was parked in it"):
        list(FileDestination(tmp_path / "no").entries())


def test_odd_files_are_reported(tmp_path: Path) -> None:
    """A pipe, a link to nowhere and a huge file neither hang nor end the listing."""
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "link.json").symlink_to(tmp_path / "nowhere")
    with (tmp_path / "huge.json").open("wb") as file:
        file.truncate(1 << 40)
    (tmp_path / ".half-written").write_text("{")
    foreign = [each for each in FileDestination(tmp_path).entries() if isinstance(each, Foreign)]
    assert {Path(each.where).name: each.reason for each in foreign} == {
        "pipe.json": "it is no file",
        "link.json": "it cannot be read: No such file or directory",
        "huge.json": "it is too large for a parked record",
    }


def test_a_disk_that_is_full_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that fails raises, and what it began is removed."""

    def fail(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        FileDestination(tmp_path).put(parked())
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


_PUTS = """
import sys
from functools import partial
from pathlib import Path
from record_processor.parking.files import FileDestination
from tests.parked_records import parked
destination = FileDestination(Path(sys.argv[1]))
for number in range(1, 1_000_000):
    destination.put(parked(str(number % 50 + 1), data="x" * 300_000, attempts=number))
"""


def test_a_kill_while_it_writes_leaves_whole_documents(tmp_path: Path) -> None:
    """However often the writer is killed, what is listed can be read, and what was there stays."""
    destination = FileDestination(tmp_path)
    seen = 0
    for _ in range(5):
        process = subprocess.Popen([sys.executable, "-c", _PUTS, str(tmp_path)])
        try:
            wait_until(partial(_has_more_than, min(seen, 40), tmp_path), what="a further record")
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
        entries, foreign = read(destination)
        assert not foreign
        assert len(entries) >= seen
        seen = len(entries)
        assert all(
            len(each.parked.record["dynamodb"]["NewImage"]["data"]["S"]) == 300_000 for each in entries
        )


def _has_more_than(count: int, folder: Path) -> bool:
    return sum(1 for path in folder.rglob("*.json") if not path.name.startswith(".")) > count
