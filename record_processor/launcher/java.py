"""Finds Java and the jars, and says how the daemon is started with them."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from record_processor import jars
from record_processor.errors import StartError
from record_processor.launcher.class_archive import OPTIONS
from record_processor.launcher.probe import probe
from record_processor.launcher.signals import Signals

MINIMUM_VERSION: Final = 17
"""The oldest Java that runs the daemon."""

_MAIN_CLASS: Final = "recordprocessor.Daemon"
_HOW_TO_INSTALL: Final = (
    f"install a Java runtime, version {MINIMUM_VERSION} or newer "
    "(Debian: apt install openjdk-17-jre-headless; "
    "Amazon Linux: dnf install java-17-amazon-corretto-headless; macOS: brew install openjdk@17), "
    "or set JAVA_HOME"
)
# The collector is left to the JVM and JDK_JAVA_OPTIONS: one that is named here would forbid all others.
_FLAGS: Final = (
    "-XX:+ExitOnOutOfMemoryError",  # a daemon that is out of memory does not drag on: it is started again
    "-XX:-CreateCoredumpOnCrash",  # a core dump would hold items
    "-XX:MinHeapFreeRatio=30",  # with the next: what a collection has freed is given back. With less room
    "-XX:MaxHeapFreeRatio=40",  # G1 collects so often that it doubles the heap, time and again
    "-Djava.util.concurrent.ForkJoinPool.common.parallelism=64",  # the adapter's calls block there
    "-Dfile.encoding=UTF-8",
    "-Dstdout.encoding=UTF-8",
    "-Dstderr.encoding=UTF-8",
    "-Duser.language=en",  # KCL formats and folds case with the default locale
    "-Duser.country=US",
    "-Djava.awt.headless=true",
)


_FIRST_HEAP_MEGABYTES: Final = 32
_HEAP_MEGABYTES: Final = 1024


def find_java(signals: Signals, environ: Mapping[str, str] = os.environ) -> str:
    """Return the path of a Java that is new enough: JAVA_HOME's if that is set, else the one on PATH.

    Raises StartError, saying what to install, and Stopped.
    """
    java = _locate(environ)
    version = _major_version(java, signals)
    if version < MINIMUM_VERSION:
        raise StartError(f"{java} is Java {version}, which is too old: {_HOW_TO_INSTALL}")
    return java


def daemon_command(java: str, environ: Mapping[str, str] = os.environ) -> list[str]:
    """Return the command that starts the daemon. Raises StartError unless every jar is the locked one."""
    folders = (jars.FOLDER, _kcl_jars())
    _verify(folders)
    class_path = os.pathsep.join(str(folder / "*") for folder in folders)
    return [java, *_FLAGS, *_heap(environ), "-cp", class_path, _MAIN_CLASS]


def _heap(environ: Mapping[str, str]) -> list[str]:
    """Return what limits the heap, unless the user does: a quarter of the memory, 1 GB at the most.

    It begins small, because a collector uses all that it has before it looks for what is spare.
    """
    given = " ".join(environ.get(name, "") for name in OPTIONS)
    if re.search(r"-Xm[xs]|HeapSize|RAM", given):
        return []
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return [f"-Xms{_FIRST_HEAP_MEGABYTES}m", f"-Xmx{min(_HEAP_MEGABYTES, memory // 4 // 2**20)}m"]


def _locate(environ: Mapping[str, str]) -> str:
    home = environ.get("JAVA_HOME")
    if home:
        java = str(Path(home, "bin", "java"))
        if not os.access(java, os.X_OK):
            raise StartError(
                f"JAVA_HOME is {home}, but there is no program {java}: set it right, or unset it"
            )
        return java
    found = shutil.which("java", path=environ.get("PATH"))
    if found is None:
        raise StartError(f"there is no java on PATH: {_HOW_TO_INSTALL}")
    return found


def _major_version(java: str, signals: Signals) -> int:
    try:
        exit_code, output = probe([java, "-version"], signals)
    except OSError as error:
        raise StartError(f"{java} cannot be run ({error.strerror}): {_HOW_TO_INSTALL}") from None
    # `version "17.0.15"`, `version "25-ea"`, and `version "1.8.0_402"` for Java 8.
    match = re.search(r'version "(?:1\.)?(\d+)', output)
    if exit_code != 0 or match is None:
        last_line = (output.strip().splitlines() or ["no output"])[-1]
        raise StartError(
            f"{java} -version failed with exit code {exit_code} ({last_line}): {_HOW_TO_INSTALL}"
        )
    return int(match[1])


def _kcl_jars() -> Path:
    spec = importlib.util.find_spec("amazon_kclpy")
    if spec is None or spec.origin is None:
        raise StartError("amazon_kclpy, which brings KCL's jars, is not installed: pip install amazon_kclpy")
    return Path(spec.origin).parent / "jars"


def _verify(folders: tuple[Path, Path]) -> None:
    """Run nothing that was not tested: no broken download, and no jar that somebody changed or added."""
    if not (jars.FOLDER / jars.OURS).is_file():
        raise StartError(
            f"the daemon's jars are not in {jars.FOLDER}: in a source checkout run scripts/install first"
        )
    try:
        complaints = list(jars.verify(folders))
    except OSError as error:
        raise StartError(f"{error.filename} cannot be read: {error.strerror}") from None
    if complaints:
        others = f", and {len(complaints) - 1} more" if len(complaints) > 1 else ""
        raise StartError(
            f"{complaints[0]}{others}, in {folders[0]} or {folders[1]}: install again with "
            "pip install --force-reinstall --no-cache-dir amazon_kclpy dynamodb-streams-record-processor"
        )
