"""`file:///folder`: one file for each parked record."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from record_processor.errors import ConfigurationError
from record_processor.parking.destination import LARGEST_DOCUMENT_BYTES, Destination, Entry, Foreign
from record_processor.parking.parked import Parked, from_text, to_text


class FileDestination(Destination):
    """Files of mode 0600 in folders of mode 0700.

    A name that begins with a dot is what a killed process left half written; it is no record.
    """

    def __init__(self, folder: Path) -> None:
        """Take an absolute path; nothing is opened yet."""
        self._folder = folder

    def check(self) -> None:
        """Make the folder if it is missing, and write to it."""
        try:
            _make_folder(self._folder)
            if self._folder.stat().st_mode & stat.S_IWOTH:
                raise ConfigurationError(
                    f"everybody may write to {self._folder}, and items lie there; name a folder in it"
                )
            with tempfile.TemporaryFile(dir=self._folder):
                pass
        except OSError as error:
            raise ConfigurationError(
                f"{self._folder} cannot be written: {error.strerror}; name a folder of this user's"
            ) from None

    def put(self, parked: Parked) -> None:
        """Write a file beside its place, and move it there once it is on disk."""
        path = self._folder / parked.path
        _make_folder(path.parent)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".")
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(to_text(parked.to_json()))
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(path)
        except BaseException:
            with suppress(OSError):
                Path(temporary).unlink()
            raise
        _sync(path.parent)

    def entries(self) -> Iterator[Entry | Foreign]:
        """Yield them by folder, those of a shard from the oldest on."""
        if not self._folder.is_dir():
            raise ConfigurationError(
                f"there is no folder {self._folder} on this host: nothing was parked in it"
            )
        for folder, folders, names in os.walk(self._folder, onerror=_raise):
            folders.sort()
            for name in sorted(names, key=lambda name: (len(name), name)):
                if not name.startswith("."):
                    yield _read(Path(folder, name))

    def delete(self, entry: Entry) -> None:
        """Remove the file; its folders stay, for another process may be about to write there."""
        path = Path(entry.handle)
        path.unlink(missing_ok=True)
        _sync(path.parent)


def _read(path: Path) -> Entry | Foreign:
    where = str(path)
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            return Foreign(where, "it is no file")
        if status.st_size > LARGEST_DOCUMENT_BYTES:
            return Foreign(where, "it is too large for a parked record")
        return Entry(Parked.from_json(from_text(path.read_bytes())), where, where)
    except OSError as error:
        return Foreign(where, f"it cannot be read: {error.strerror}")
    except ValueError as reason:
        return Foreign(where, str(reason))


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it, each of them durable in the one above."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    with suppress(FileExistsError):  # another thread was faster
        folder.mkdir(mode=0o700)
    _sync(folder.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _raise(error: OSError) -> None:
    raise error
