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
    """Give the lock of that folder."""
    lock = folder / "jars.lock"
    jars.write(jars.digests([folder]), lock)
    return lock


def test_nothing_is_said_of_what_is_unchanged(folder: Path, lock: Path) -> None:
    """The jars that were locked are found well, and ours is not among them."""
    assert list(jars.verify([folder], lock)) == []
    assert sorted(jars.read(lock)) == ["a-1.jar", "b-2.jar"]


def test_a_cut_download_is_found(folder: Path, lock: Path) -> None:
    """An empty jar, as amazon_kclpy's installation may leave, is not the locked one."""
    (folder / "a-1.jar").write_bytes(b"")
    (complaint,) = jars.verify([folder], lock)
    assert complaint.startswith("a-1.jar is not the file that jars.lock names")


def test_a_missing_jar_is_found(folder: Path, lock: Path) -> None:
    """So is one that was not downloaded at all."""
    (folder / "b-2.jar").unlink()
    assert list(jars.verify([folder], lock)) == ["b-2.jar is missing"]


def test_a_jar_too_many_is_found(folder: Path, lock: Path) -> None:
    """The class path takes whole folders, so a jar that nobody locked would be loaded."""
    (folder / "c-3.jar").write_bytes(b"c")
    assert list(jars.verify([folder], lock)) == ["c-3.jar is not in jars.lock"]
