"""Java's class-data archive: classes as the JVM has them in memory, so that it need not make them of jars.

The first run with a Java and its jars writes down what it loads, and makes an archive of that in the
background; the next starts use it. The JVM itself holds it against its version and the jars, and does without
one that does not fit. Nothing depends on it: whatever fails here only leaves the starts as they were.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final

from record_processor.launcher.commands import TETHER, daemon_environment
from record_processor.launcher.logs import Log

if TYPE_CHECKING:
    from typing_extensions import Self

    from record_processor.launcher.daemon import Daemon

OPTIONS: Final = ("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS")
"""The variables in which a user can give flags to Java."""
RUN_SECONDS: Final = 60.0
"""After so long a daemon has loaded what it needs."""

_THEIRS: Final = re.compile(
    r"-Xshare|SharedArchive|SharedClassList|ArchiveClassesAtExit|DumpLoadedClassList|UseSharedSpaces"
)
_WRITES: Final = re.compile(r"(?<!\S)-(?:Xlog|XX:StartFlightRecording|XX:FlightRecorderOptions)\S*")
"""What writes files, which are the daemon's."""
_CRASHES: Final = tuple(-number for number in (signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGSEGV))
_UNUSED_SECONDS: Final = 30 * 24 * 3600
"""An archive that no start has used for so long is deleted when another one is made."""
_MAKE_SECONDS: Final = 300.0
_LOOK_SECONDS: Final = 1.0


class ClassArchive:
    """The archive for one command of Java; a context manager, at whose end the making of it ends, too."""

    def __init__(self, command: Sequence[str], log: Log, environ: Mapping[str, str] = os.environ) -> None:
        """Take the command of the daemon, whose last word is the class to run."""
        self._command = list(command)
        self._log = log
        self._environ = environ
        self._file = _file(command, environ)
        self._ended = threading.Event()
        self._daemon: Daemon | None = None
        self._maker: threading.Thread | None = None

    def __enter__(self) -> Self:
        """Give it."""
        self._folder = tempfile.mkdtemp(prefix="rp-classes-")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End what makes an archive."""
        self._ended.set()
        if self._maker:
            self._maker.join()
        shutil.rmtree(self._folder, ignore_errors=True)

    def command(self) -> list[str]:
        """Return the command of a daemon that uses the archive or, without one, writes down what it loads."""
        if self._daemon and self._daemon.exit_code() in _CRASHES:
            self._drop()
        java, *rest = self._command
        if self._file is None:
            return self._command
        if _is_ours(self._file):
            with suppress(OSError):
                os.utime(self._file)
            return [java, f"-XX:SharedArchiveFile={self._file}", *rest]
        return [java, f"-XX:DumpLoadedClassList={self._list}", *rest]

    def watch(self, daemon: Daemon) -> None:
        """Know the daemon that was started: after a while an archive is made, unless there is one."""
        self._daemon = daemon
        if self._file is not None and self._maker is None and not _is_ours(self._file):
            self._maker = threading.Thread(target=self._make, daemon=True)
            self._maker.start()

    def _drop(self) -> None:
        """Do without from now on: the JVM crashed, and this may be why."""
        if self._file is not None:
            with suppress(OSError):
                self._file.unlink()
            self._file = None

    @property
    def _list(self) -> Path:
        return Path(self._folder, "classes")

    def _make(self) -> None:
        while not (self._daemon and self._daemon.started):
            if self._ended.wait(_LOOK_SECONDS):
                return
        if self._ended.wait(RUN_SECONDS):
            return
        try:
            self._make_of(self._listed())
        except (OSError, subprocess.SubprocessError) as error:
            self._log.debug(f"Java's class-data archive was not made, starts stay slower: {error}")

    def _listed(self) -> Path:
        """Return a list of the classes that were loaded so far, without the last line, which may be half."""
        classes = Path(self._folder, "loaded")
        classes.write_bytes(Path(self._list).read_bytes().rpartition(b"\n")[0] + b"\n")
        return classes

    def _make_of(self, classes: Path) -> None:
        assert self._file is not None
        _make_private(self._file.parent)
        new = self._file.with_name(f".{self._file.name}-{os.getpid()}")
        *java, _main = self._command
        dump = [
            f"-XX:SharedClassListFile={classes}",
            f"-XX:SharedArchiveFile={new}",
            "-Xshare:dump",
        ]
        try:
            self._run([java[0], *dump, *java[1:]])
            new.chmod(0o600)
            new.replace(self._file)
        finally:
            new.unlink(missing_ok=True)
        _delete_unused(self._file.parent)
        self._log.debug(f"Java's class-data archive is made: {self._file}")

    def _run(self, command: Sequence[str]) -> None:
        """Run a command beside everything else, until it ends or we do."""
        nice = shutil.which("nice")
        process = subprocess.Popen(
            # -I and -S: to tie it to our life needs nothing of the user's Python setup.
            [*((nice, "-n", "19") if nice else ()), sys.executable, "-I", "-S", TETHER, "--", *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=daemon_environment(without_files(self._environ)),
            start_new_session=True,
        )
        deadline = time.monotonic() + _MAKE_SECONDS
        while process.poll() is None:
            if self._ended.wait(_LOOK_SECONDS) or time.monotonic() > deadline:
                process.kill()
        if process.returncode != 0:
            raise subprocess.CalledProcessError(process.returncode, command[0])


def without_files(environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment in which Java does not open, and so overwrite, the logs of the daemon."""
    quiet = {name: _WRITES.sub("", environ[name]) for name in OPTIONS if name in environ}
    return {**environ, **quiet}


def _file(command: Sequence[str], environ: Mapping[str, str]) -> Path | None:
    """Return where the archive of a command is; None if the user gives flags for it, or there is no place."""
    options = [environ.get(name, "") for name in OPTIONS]
    library = Path(command[0]).resolve().parents[1] / "lib" / "server" / "libjvm.so"
    cache = environ.get("XDG_CACHE_HOME") or (environ.get("HOME") and f"{environ['HOME']}/.cache")
    if _THEIRS.search(" ".join(options)) or not library.is_file() or not cache:
        return None
    jars = [jar for folder in _jar_folders(command) for jar in sorted(folder.glob("*.jar"))]
    known = [[str(file), file.stat().st_size, file.stat().st_mtime_ns] for file in (library, *jars)]
    key = hashlib.sha256(json.dumps([command, options, known]).encode()).hexdigest()[:32]
    return Path(cache, "record_processor", "java-classes", f"{key}.jsa")


def _jar_folders(command: Sequence[str]) -> list[Path]:
    class_path = command[command.index("-cp") + 1]
    return [Path(entry).parent for entry in class_path.split(os.pathsep)]


def _is_ours(file: Path) -> bool:
    """Whether there is such a file, and nobody but this user could have written it: its code would be run."""
    try:
        return all(
            found.st_uid == os.geteuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
            for found in (file.lstat(), file.parent.lstat())
        ) and stat.S_ISREG(file.lstat().st_mode)
    except OSError:
        return False


def _make_private(folder: Path) -> None:
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)


def _delete_unused(folder: Path) -> None:
    for file in folder.glob("*.jsa"):
        with suppress(OSError):
            if time.time() - file.stat().st_mtime > _UNUSED_SECONDS:
                file.unlink()
