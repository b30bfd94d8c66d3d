"""The lock of the jars: what is as it was is not mentioned, everything else is."""

from __future__ import annotations

from pathlib import Path

import pytest

from record_processor import jars


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with two jars and our own."""
    for name in ("a-1.jar", "b-2.jar", jars.OURS):
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path


@pytest.fixture
def lock(folder: Path) -> Path:
    """Give the lock of that folder; our own jar's is beside it, in built.lock."""
    lock = folder / "jars.lock"
    found = jars.digests([folder])
    jars.write({jars.OURS: found.pop(jars.OURS)}, folder / "built.lock")
    jars.write(found, lock)
    return lock


def verify(folder: Path, lock: Path) -> list[str]:
    """Verify the folder against both."""
    return list(jars.verify([folder], lock, folder / "built.lock"))


def test_nothing_is_said_of_what_is_unchanged(folder: Path, lock: Path) -> None:
    """All are found well; ours has a lock of its own, since it is built here."""
    assert verify(folder, lock) == []
    assert sorted(jars.read(lock)) == ["a-1.jar", "b-2.jar"]


def test_a_cut_download_is_found(folder: Path, lock: Path) -> None:
    """An empty jar, as amazon_kclpy's installation may leave, is not the locked one."""
    (folder / "a-1.jar").write_bytes(b"")
    (complaint,) = verify(folder, lock)
    assert complaint.startswith("a-1.jar is not the file that was locked")


def test_a_missing_jar_is_found(folder: Path, lock: Path) -> None:
    """So is one that was not downloaded at all."""
    (folder / "b-2.jar").unlink()
    assert verify(folder, lock) == ["b-2.jar is missing"]


def test_a_jar_too_many_is_found(folder: Path, lock: Path) -> None:
    """The class path takes whole folders, so a jar that nobody locked would be loaded."""
    (folder / "c-3.jar").write_bytes(b"c")
    assert verify(folder, lock) == ["c-3.jar is not in jars.lock: it does not belong there"]


def test_our_own_jar_is_locked_when_it_is_built(folder: Path, lock: Path) -> None:
    """A change to it is found, and a lock that is not there trusts nothing."""
    (folder / jars.OURS).write_bytes(b"changed")
    (complaint,) = verify(folder, lock)
    assert complaint.startswith(f"{jars.OURS} is not the file that was locked")
    (folder / "built.lock").unlink()
    (complaint,) = verify(folder, lock)
    assert complaint.startswith(f"{jars.OURS} is not in")
