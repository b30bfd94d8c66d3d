"""Java's class-data archive: made by a first run, used by the next, and never one that others could have written."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from record_processor.launcher import class_archive
from record_processor.launcher.class_archive import ClassArchive
from record_processor.launcher.daemon import Daemon
from record_processor.launcher.java import daemon_command
from record_processor.launcher.logs import Log
from record_processor.testing import wait_until
from record_processor.testing.java import find_java

LOG = cast("Log", SimpleNamespace(debug=print))
MakeArchive = Callable[..., ClassArchive]


class _Started:
    """A daemon that runs, or ended by a signal."""

    started = True
    code: int | None = None

    def exit_code(self) -> int | None:
        return self.code


def _daemon() -> Any:
    return cast("Daemon", _Started())


def _archive(cache: Path, **environ: str) -> ClassArchive:
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache), "JDK_JAVA_OPTIONS": "", **environ}
    return ClassArchive(daemon_command(find_java()), LOG, environment)


@pytest.fixture
def make(tmp_path: Path) -> MakeArchive:
    """Return what makes an archive's owner, with a cache folder of its own."""
    return partial(_archive, tmp_path)


@pytest.fixture(scope="module")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Let a first run make an archive, and return the cache folder."""
    cache = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch, _archive(cache) as archive:
        patch.setattr(class_archive, "RUN_SECONDS", 0)
        _run(archive)
        archive.watch(_daemon())
        wait_until(lambda: list(cache.rglob("*.jsa")), 120, "an archive")
    return cache


@pytest.fixture
def archived(first_run: Path, tmp_path: Path) -> Path:
    """Give each test a copy."""
    shutil.copytree(first_run, tmp_path, dirs_exist_ok=True)
    (file,) = tmp_path.rglob("*.jsa")
    return file


def _run(archive: ClassArchive, *options: str) -> str:
    """Run the daemon, which ends because nobody tells it what to do; return what it said."""
    java, *rest = archive.command()
    done = subprocess.run(
        [java, *options, *rest],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout


def _messages(log: str) -> list[str]:
    """Return a log's lines without their times."""
    return [line.partition(" [main] ")[2] for line in log.splitlines()]


def test_a_first_run_makes_what_the_next_uses(make: MakeArchive, archived: Path) -> None:
    """Only this user can read or write it, and Java takes it: told to, it would else not start."""
    assert archived.stat().st_mode & 0o777 == 0o600
    assert archived.parent.stat().st_mode & 0o777 == 0o700
    assert [file.name for file in archived.parent.iterdir()] == [archived.name]
    with make() as archive:
        assert f"-XX:SharedArchiveFile={archived}" in archive.command()
        said = _run(archive, "-Xshare:on", "-Xlog:class+load")
        assert "recordprocessor.Daemon source: shared objects file" in said


def test_one_that_does_not_fit_is_done_without_in_silence(make: MakeArchive, archived: Path) -> None:
    """As after an update within a second, or when half of it is lost."""
    archived.write_bytes(archived.read_bytes()[:5000])
    with make() as archive:
        with_it = _run(archive)
        archived.unlink()
        assert _messages(with_it) == _messages(_run(archive))


def test_one_that_others_can_write_is_not_used(make: MakeArchive, archived: Path) -> None:
    """Nor one in a folder that others can write to."""
    for path in (archived, archived.parent):
        mode = path.stat().st_mode
        path.chmod(mode | 0o020)
        with make() as archive:
            assert not any("SharedArchiveFile" in word for word in archive.command())
        path.chmod(mode)


def test_after_a_crash_it_is_deleted(make: MakeArchive, archived: Path) -> None:
    """It may be why; a JVM that was killed, or said why it ended, has not crashed."""
    with make() as archive:
        daemon = _daemon()
        archive.watch(daemon)
        for code in (-signal.SIGKILL, 3, None):
            daemon.code = code
            assert f"-XX:SharedArchiveFile={archived}" in archive.command()
        daemon.code = -signal.SIGSEGV
        assert archive.command() == archive.command()
        assert not any("-XX:SharedArchiveFile" in word for word in archive.command())
        assert not archived.exists()


def test_other_jars_or_options_have_another(make: MakeArchive, archived: Path) -> None:
    """What was made for one JVM's options is not offered to another's."""
    with make(JDK_JAVA_OPTIONS="-XX:+UseSerialGC") as archive:
        assert not any("SharedArchiveFile" in word for word in archive.command())


@pytest.mark.parametrize("option", ["-Xshare:off", "-XX:SharedArchiveFile=/mine.jsa"])
def test_a_users_own_choice_stands(make: MakeArchive, option: str) -> None:
    """Then there is none of ours, and nothing is written down."""
    with make(JDK_JAVA_OPTIONS=option) as archive:
        assert archive.command() == daemon_command(find_java())


def test_the_daemons_logs_are_not_overwritten() -> None:
    """What is made beside a daemon must not open the files that its options name."""
    options = "-Xmx2g -Xlog:gc*:file=/gc.log:time -XX:StartFlightRecording=filename=/a.jfr\t-Da=-Xlog -Xloggc:/gc.log"
    environ = {"JDK_JAVA_OPTIONS": options, "HOME": "/home"}
    quiet = class_archive.without_files(environ)
    assert quiet["JDK_JAVA_OPTIONS"].split() == ["-Xmx2g", "-Da=-Xlog"]
    assert quiet["HOME"] == "/home"
    assert "JAVA_TOOL_OPTIONS" not in quiet


def test_there_may_be_no_place_for_it(make: MakeArchive) -> None:
    """As for a service without a home."""
    with make(XDG_CACHE_HOME="", HOME="") as archive:
        assert archive.command() == daemon_command(find_java())


def test_the_end_does_not_wait_for_it(
    make: MakeArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What makes it is ended, and leaves nothing."""
    monkeypatch.setattr(class_archive, "RUN_SECONDS", 0)
    with make() as archive:
        _run(archive)
        archive.watch(_daemon())
        wait_until(lambda: list((tmp_path / "record_processor").rglob("*")), 30, "a folder")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
