"""Gets DynamoDB Local's files through Maven, once, into a cache folder; afterwards neither Maven nor network.

Each file is checked against the SHA-256 in dynamodb-local.sha256, every time. After a change of the version
in dynamodb-local.pom.xml, `python -m record_processor.testing.dynamodb_local_files` writes that list anew.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

from record_processor.errors import StartError

POM: Final = Path(__file__).with_name("dynamodb-local.pom.xml")
LOCK_FILE: Final = Path(__file__).with_name("dynamodb-local.sha256")
_VERSION_ELEMENT: Final = "{*}dependencies/{*}dependency/{*}version"
_MAVEN_TIMEOUT_SECONDS: Final = 900


def dynamodb_local_files() -> Path:
    """Return the folder with DynamoDB Local's jars and native libraries, all checked.

    They are got first if needed. Raises StartError if then Maven is missing or fails, or brings other files
    than the lock file names.
    """
    expected = _read_lock_file()
    folder = cache_folder() / f"dynamodb-local-{dynamodb_local_version()}"
    if _difference(folder, expected) is None:
        return folder
    with _locked(folder.with_name(f"{folder.name}.lock")):
        if _difference(folder, expected) is not None:  # another process may have been faster
            with _resolved(folder.parent) as fresh:
                _refuse_difference(fresh, expected)
                shutil.rmtree(folder, ignore_errors=True)
                fresh.rename(folder)
    return folder


def dynamodb_local_version() -> str:
    """Return the version of DynamoDB Local that the pom names."""
    version = ET.parse(POM).findtext(_VERSION_ELEMENT)  # noqa: S314 it is our own file
    assert version is not None
    return version


def cache_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Return where downloads are kept: $RECORD_PROCESSOR_CACHE, else in $XDG_CACHE_HOME, else in ~/.cache."""
    if given := environ.get("RECORD_PROCESSOR_CACHE"):
        return Path(given).absolute()
    base = environ.get("XDG_CACHE_HOME")
    return Path(base or Path.home() / ".cache").absolute() / "record_processor"


def write_lock_file() -> None:
    """Write down the SHA-256 of every file that Maven resolves now. Raises StartError if it cannot."""
    with tempfile.TemporaryDirectory() as scratch, _resolved(Path(scratch)) as fresh:
        lines = [f"{_sha256(file)}  {file.name}\n" for file in sorted(fresh.iterdir())]
    LOCK_FILE.write_text("".join(lines), encoding="utf-8")


def _read_lock_file() -> dict[str, str]:
    """Return each file's SHA-256 by its name; the format is that of `sha256sum`."""
    pairs = (line.split() for line in LOCK_FILE.read_text(encoding="utf-8").splitlines())
    return {name: digest for digest, name in pairs}


def _difference(folder: Path, expected: Mapping[str, str]) -> str | None:
    """Say in which file the folder differs from what is expected, or None. A file too many is one, too."""
    if not folder.is_dir():
        return f"{folder} is missing"
    found = {file.name for file in folder.iterdir()}
    for name in sorted(found ^ expected.keys()):
        return f"{name} is {'not expected' if name in found else 'missing'}"
    for name, digest in expected.items():
        if _sha256(folder / name) != digest:
            return f"{name} has another SHA-256"
    return None


def _refuse_difference(folder: Path, expected: Mapping[str, str]) -> None:
    difference = _difference(folder, expected)
    if difference is not None:
        raise StartError(
            f"what Maven brought is not what {LOCK_FILE.name} names: {difference}; check Maven's repositories"
        )


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


@contextmanager
def _resolved(beside: Path) -> Iterator[Path]:
    """Let Maven put the files into a new folder in `beside`; afterwards it is gone, unless it was renamed."""
    maven = shutil.which("mvn")
    if maven is None:
        raise StartError(
            f"DynamoDB Local is not complete in {beside} and there is no mvn on PATH to get it: "
            "install Maven (Debian: apt install maven), or copy that folder from a host that has it"
        )
    fresh = Path(tempfile.mkdtemp(prefix="dynamodb-local-", dir=beside))
    try:
        _copy_dependencies(maven, fresh)
        yield fresh
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _copy_dependencies(maven: str, folder: Path) -> None:
    command = [maven, "--batch-mode", "--quiet", "--file", str(POM), "dependency:copy-dependencies"]
    options = [f"-DoutputDirectory={folder}", "-DincludeScope=runtime"]
    try:
        done = subprocess.run(
            [*command, *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            timeout=_MAVEN_TIMEOUT_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise StartError(f"mvn did not get DynamoDB Local within {_MAVEN_TIMEOUT_SECONDS} s") from None
    if done.returncode != 0:
        reason = _first_error(done.stdout.decode("utf-8", "replace"))
        raise StartError(f"mvn could not get DynamoDB Local: {reason}")


def _first_error(output: str) -> str:
    """Return Maven's first line at ERROR, which names the cause, else its last line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("[ERROR]")]
    return (errors or lines[-1:] or ["no output"])[0]


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Keep other processes out while the block runs; however this process ends, the lock ends with it."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock = file.open("a")
    except OSError as error:
        raise StartError(
            f"{file} cannot be written ({error.strerror}): set RECORD_PROCESSOR_CACHE to a folder that can"
        ) from None
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    write_lock_file()
