"""Finds the Java that runs DynamoDB Local."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from record_processor.errors import StartError

MINIMUM_VERSION: Final = 17
"""What DynamoDB Local 2 asks for."""

_TIMEOUT_SECONDS: Final = 60
_HOW_TO_INSTALL: Final = (
    f"install a Java runtime, version {MINIMUM_VERSION} or newer "
    "(Debian: apt install openjdk-17-jre-headless), or set JAVA_HOME"
)


def find_java(environ: Mapping[str, str] = os.environ) -> str:
    """Return the path of JAVA_HOME's Java if that is set, else of the one on PATH.

    Raises StartError if there is none, if it cannot be run, or if it is older than 17.
    """
    java = _locate(environ)
    version = _major_version(java)
    if version < MINIMUM_VERSION:
        raise StartError(f"{java} is Java {version}, which is too old: {_HOW_TO_INSTALL}")
    return java


def _locate(environ: Mapping[str, str]) -> str:
    if home := environ.get("JAVA_HOME"):
        return str(Path(home, "bin", "java"))
    java = shutil.which("java", path=environ.get("PATH"))
    if java is None:
        raise StartError(f"there is no java on PATH: {_HOW_TO_INSTALL}")
    return java


def _major_version(java: str) -> int:
    try:
        done = subprocess.run(
            [java, "-version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=_TIMEOUT_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StartError(f"{java} cannot be run ({error}): {_HOW_TO_INSTALL}") from None
    # `version "17.0.15"`, `version "25-ea"`, and `version "1.8.0_402"` for Java 8.
    match = re.search(rb'version "(?:1\.)?(\d+)', done.stdout + done.stderr)
    if done.returncode != 0 or match is None:
        raise StartError(f"{java} -version failed with exit code {done.returncode}: {_HOW_TO_INSTALL}")
    return int(match[1])
