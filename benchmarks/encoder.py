"""The bytes that the daemon writes, from its real encoders: a JVM that is given records in DynamoDB's JSON.

Its program is EncoderMain among Java's tests. Tests of the Python part use it, too.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple

import amazon_kclpy

from record_processor import jars
from record_processor.testing.java import find_java

ROOT: Final = Path(__file__).resolve().parent.parent
BUILD: Final = ROOT / "target" / "encoder"
"""Where its classes are."""

_SOURCES: Final = tuple(
    ROOT / "src/test/java/recordprocessor" / name for name in ("EncoderMain.java", "WireExamples.java")
)
_JARS: Final = tuple(
    str(jar)
    for folder in (jars.FOLDER, Path(amazon_kclpy.__file__).with_name("jars"))
    for jar in sorted(folder.glob("*.jar"))
)
_LENGTH_BYTES: Final = 4


class Encoded(NamedTuple):
    """A batch in both of the ways that the daemon writes it."""

    frame: bytes
    """As on a worker's socket: its length, and a `processRecords` in MessagePack."""
    line: bytes
    """As a stock program reads it: a `processRecords` in JSON, and the line's end."""


class Encoder:
    """A JVM with the encoders; use `with`."""

    def __enter__(self) -> Encoder:
        """Start it. Raises StartError without a Java, CalledProcessError if that is none that compiles."""
        java = find_java()
        self._process = subprocess.Popen(
            [java, "-cp", os.pathsep.join([str(_compiled(java)), *_JARS]), "recordprocessor.EncoderMain"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()

    def encode(self, records: Iterable[Mapping[str, Any]]) -> Encoded:
        """Encode a batch. Raises RuntimeError if the encoders refuse it: standard error says why."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        with suppress(BrokenPipeError):  # it is dead; that nothing can be read says so
            stdin.write(json.dumps(list(records)).encode() + b"\n")
            stdin.flush()
        length = stdout.read(_LENGTH_BYTES)
        frame = stdout.read(int.from_bytes(length, "big"))
        line = stdout.readline()
        if not line:
            raise RuntimeError("the encoder ended")
        return Encoded(length + frame, line)


def version() -> str:
    """Return a digest of the encoders: what they wrote can be kept for as long as it is the same."""
    sources = [*_SOURCES, jars.LOCK, jars.BUILT]
    return hashlib.sha256(b"\0".join(source.read_bytes() for source in sources)).hexdigest()


def _compiled(java: str) -> Path:
    """Return the folder of the program's classes, compiled unless they are there already."""
    classes = BUILD / version()
    if not classes.exists():
        BUILD.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=BUILD, ignore_cleanup_errors=True) as new:
            _compile(java, new)
            with suppress(OSError):  # another process was faster
                Path(new).rename(classes)
    return classes


def _compile(java: str, to: str) -> None:
    """Compile by the compiler inside of `java`, which a javac on PATH need not belong to."""
    compiler = [java, "--module", "jdk.compiler/com.sun.tools.javac.Main"]
    subprocess.run([*compiler, "-d", to, "-cp", os.pathsep.join(_JARS), *map(str, _SOURCES)], check=True)
