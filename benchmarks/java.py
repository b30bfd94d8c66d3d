"""Small Java programs beside the daemon, compiled against its classes: for tests and benchmarks."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import amazon_kclpy

from record_processor import jars
from record_processor.testing.java import find_java

ROOT: Final = Path(__file__).resolve().parent.parent
BUILD: Final = ROOT / "target" / "programs"
"""Where their classes are."""

_JARS: Final = tuple(
    str(jar)
    for folder in (jars.FOLDER, Path(amazon_kclpy.__file__).with_name("jars"))
    for jar in sorted(folder.glob("*.jar"))
)


@dataclass(frozen=True, slots=True)
class JavaProgram:
    """A program and the classes that it needs besides the daemon's, the one with `main` first."""

    sources: Sequence[Path]

    def command(self, *arguments: str, flags: Sequence[str] = ()) -> list[str]:
        """Return what runs it, compiled.

        Raises StartError without a Java, CalledProcessError if it does not compile.
        """
        java = find_java()
        classpath = os.pathsep.join([str(self._compiled(java)), *_JARS])
        return [java, *flags, "-cp", classpath, self._main(), *arguments]

    def version(self) -> str:
        """Return a digest of it and the daemon: what it wrote can be kept as long as that is the same."""
        sources = [*self.sources, jars.LOCK, jars.BUILT]
        return hashlib.sha256(b"\0".join(source.read_bytes() for source in sources)).hexdigest()

    def _main(self) -> str:
        source = self.sources[0]
        return f"{source.parent.name}.{source.stem}"

    def _compiled(self, java: str) -> Path:
        """Return the folder of its classes, compiled unless they are there already."""
        classes = BUILD / self.version()
        if not classes.exists():
            BUILD.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=BUILD, ignore_cleanup_errors=True) as new:
                self._compile(java, new)
                with suppress(OSError):  # another process was faster
                    Path(new).rename(classes)
        return classes

    def _compile(self, java: str, to: str) -> None:
        """Compile by the compiler inside of `java`, which a javac on PATH need not belong to."""
        compiler = [java, "--module", "jdk.compiler/com.sun.tools.javac.Main"]
        classpath = os.pathsep.join(_JARS)
        subprocess.run([*compiler, "-d", to, "-cp", classpath, *map(str, self.sources)], check=True)
