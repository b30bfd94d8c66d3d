"""The bytes that the daemon writes, from its real encoders: a JVM that is given records in DynamoDB's JSON.

Its program is EncoderMain among Java's tests. Tests of the Python part use it, too.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, NamedTuple

from benchmarks.java import ROOT, JavaProgram

PROGRAM: Final = JavaProgram(
    [ROOT / "src/test/java/recordprocessor" / name for name in ("EncoderMain.java", "WireExamples.java")]
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
        self._process = subprocess.Popen(PROGRAM.command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
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
