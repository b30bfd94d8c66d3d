"""How DynamoDB Local's files and Java are found, and what is said when they are not there."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from record_processor.errors import StartError
from record_processor.testing import dynamodb_local_files as files
from record_processor.testing.java import find_java
from record_processor.testing.waiting import wait_until

LIBRARIES = {"a.jar": b"jar", "b.so": b"library"}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of our own, and a lock file that names two small files."""
    lock_file = tmp_path / "lock.sha256"
    lines = [f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in LIBRARIES.items()]
    lock_file.write_text("".join(lines))
    monkeypatch.setattr(files, "LOCK_FILE", lock_file)
    monkeypatch.setenv("RECORD_PROCESSOR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / f"dynamodb-local-{files.dynamodb_local_version()}"


def _fill(folder: Path, **changes: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in {**LIBRARIES, **changes}.items():
        (folder / name).write_bytes(data)


def _program(folder: Path, name: str, script: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


@pytest.fixture
def maven(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Maven that brings what is in a folder, which it gives; and writes each of its calls into `calls`."""
    source = tmp_path / "maven"
    _fill(source)
    copy = f'for word; do case "$word" in -DoutputDirectory=*) cp {source}/* "${{word#*=}}";; esac; done'
    _program(tmp_path / "bin", "mvn", f'echo "$*" >> {tmp_path}/calls\n{copy}')
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    return source


@pytest.fixture
def no_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is on PATH."""
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))


def test_a_complete_cache_needs_no_maven(cache: Path, no_programs: None) -> None:
    """Once got, neither Maven nor the network is needed."""
    _fill(cache)
    assert files.dynamodb_local_files() == cache


def test_maven_fills_the_cache_once(cache: Path, maven: Path, tmp_path: Path) -> None:
    """The first call gets the files, the second finds them; nothing else stays behind."""
    assert files.dynamodb_local_files() == files.dynamodb_local_files() == cache
    assert {file.name: file.read_bytes() for file in cache.iterdir()} == LIBRARIES
    assert len((tmp_path / "calls").read_text().splitlines()) == 1
    assert {path.name for path in cache.parent.iterdir()} == {cache.name, f"{cache.name}.lock"}


@pytest.mark.parametrize("change", [{"a.jar": b"truncated"}, {"c.jar": b"too many"}])
def test_a_damaged_cache_is_made_anew(cache: Path, maven: Path, change: dict[str, bytes]) -> None:
    """A file with another content, or one too many, is not run."""
    _fill(cache, **change)
    files.dynamodb_local_files()
    assert {file.name: file.read_bytes() for file in cache.iterdir()} == LIBRARIES


def test_other_files_from_maven_are_refused(cache: Path, maven: Path) -> None:
    """What Maven brings must be what the lock file names; it does not get into the cache."""
    (maven / "a.jar").write_bytes(b"evil")
    with pytest.raises(StartError, match=r"a\.jar has another SHA-256; check Maven's repositories"):
        files.dynamodb_local_files()
    assert not cache.exists()
    assert [path.name for path in cache.parent.iterdir()] == [f"{cache.name}.lock"]


def test_without_maven_and_cache_it_says_so(cache: Path, no_programs: None) -> None:
    """The one line names the folder and how to mend it."""
    with pytest.raises(StartError, match="there is no mvn on PATH to get it: install Maven") as raised:
        files.dynamodb_local_files()
    assert str(cache.parent) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_failing_maven_is_quoted(cache: Path, maven: Path, tmp_path: Path) -> None:
    """Its first error names the cause."""
    _program(
        tmp_path / "bin", "mvn", "echo Downloading; echo '[ERROR] no network'; echo '[ERROR] help'; exit 1"
    )
    with pytest.raises(StartError, match=r"mvn could not get DynamoDB Local: \[ERROR\] no network$"):
        files.dynamodb_local_files()


def test_the_cache_folder_follows_the_environment() -> None:
    """Our variable first, then XDG's, then the home folder."""
    everything = {"RECORD_PROCESSOR_CACHE": "/a", "XDG_CACHE_HOME": "/b"}
    assert files.cache_folder(everything) == Path("/a")
    assert files.cache_folder({"XDG_CACHE_HOME": "/b"}) == Path("/b/record_processor")
    assert files.cache_folder({}) == Path.home() / ".cache" / "record_processor"


def test_an_unwritable_cache_is_named(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache folder that cannot be made is told in one line."""
    monkeypatch.setenv("RECORD_PROCESSOR_CACHE", "/dev/null/cache")
    with pytest.raises(
        StartError, match=r"cannot be written \(Not a directory\): set RECORD_PROCESSOR_CACHE"
    ):
        files.dynamodb_local_files()


def test_the_lock_file_names_the_pinned_version() -> None:
    """The list of checksums belongs to the version in the pom."""
    assert f"DynamoDBLocal-{files.dynamodb_local_version()}.jar" in files._read_lock_file()


def test_java_home_comes_before_the_path(tmp_path: Path) -> None:
    """JAVA_HOME names the Java, otherwise PATH does."""
    _program(tmp_path / "home" / "bin", "java", "echo 'openjdk version \"21.0.1\" 2023-10-17' >&2")
    _program(tmp_path / "path", "java", "echo 'openjdk version \"17\" 2021-09-14' >&2")
    path = {"PATH": str(tmp_path / "path")}
    assert find_java(path) == str(tmp_path / "path" / "java")
    assert find_java({**path, "JAVA_HOME": str(tmp_path / "home")}) == str(tmp_path / "home" / "bin" / "java")


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo 'java version \"1.8.0_402\"' >&2", "is Java 8, which is too old: install a Java runtime"),
        ("echo 'java version \"11.0.2\"' >&2", "is Java 11, which is too old: install a Java runtime"),
        ("exit 3", "-version failed with exit code 3: install a Java runtime"),
    ],
)
def test_an_unfit_java_is_named(tmp_path: Path, script: str, message: str) -> None:
    """Old and broken ones are told apart, in one line."""
    _program(tmp_path, "java", script)
    with pytest.raises(StartError, match=message):
        find_java({"PATH": str(tmp_path)})


def test_no_java_at_all_is_said(tmp_path: Path) -> None:
    """Neither on PATH nor where JAVA_HOME points."""
    with pytest.raises(
        StartError, match="there is no java on PATH: install a Java runtime, version 17 or newer"
    ):
        find_java({"PATH": str(tmp_path)})
    with pytest.raises(StartError, match="cannot be run"):
        find_java({"PATH": str(tmp_path), "JAVA_HOME": str(tmp_path)})


def test_waiting_returns_what_came_true() -> None:
    """The first true value is returned."""
    values = iter([0, None, "there"])
    assert wait_until(lambda: next(values), interval_seconds=0) == "there"


def test_waiting_ends_with_what_was_last_seen() -> None:
    """The error names what was awaited and the last value."""
    with pytest.raises(TimeoutError, match=r"the third record did not happen within 0.01 s: last seen 0"):
        wait_until(lambda: 0, timeout_seconds=0.01, what="the third record", interval_seconds=0.001)
