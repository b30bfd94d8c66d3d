"""Whether the jars that we run on are those we were tested with: the SHA-256 of each one against jars.lock.

`amazon_kclpy` downloads its jars when it is installed, without checksums, and goes on quietly when that
fails.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

OURS: Final = "record-processor-daemon.jar"
"""The one jar that is built here."""

FOLDER: Final = Path(__file__).with_name("jars")
"""Where our own jar is, and those that amazon_kclpy lacks."""

LOCK: Final = Path(__file__).with_name("jars.lock")
"""One line for each jar but ours, as `sha256sum` writes them: digest, two spaces, file name."""

BUILT: Final = FOLDER / "built.lock"
"""The same for our own jar, written when it is built, and in the wheel beside it."""


def verify(folders: Iterable[Path], lock: Path = LOCK, built: Path = BUILT) -> Iterator[str]:
    """Yield a line for each jar that is missing from `folders`, changed, or not locked; none if all is well.

    Their 33 MB take some 30 ms once they are in the page cache. Raises OSError if one cannot be read.
    """
    locked, found = read(lock) | read(built), digests(folders)
    for name in sorted(locked.keys() | found.keys()):
        if name not in found:
            yield f"{name} is missing"
        elif name not in locked:
            yield f"{name} is not in {lock.name}: it does not belong there"
        elif found[name] != locked[name]:
            yield f"{name} is not the file that was locked (its SHA-256 is {found[name]})"


def digests(folders: Iterable[Path]) -> dict[str, str]:
    """Return the SHA-256 of every jar in `folders`, by file name."""
    jars = (jar for folder in folders for jar in folder.glob("*.jar"))
    return {jar.name: hashlib.sha256(jar.read_bytes()).hexdigest() for jar in jars}


def read(lock: Path = LOCK) -> dict[str, str]:
    """Return what the lock says: SHA-256 by file name; nothing if it is not there."""
    if not lock.is_file():
        return {}
    lines = (line.split() for line in lock.read_text(encoding="ascii").splitlines())
    return {name: digest for digest, name in lines}


def write(jars: Mapping[str, str], lock: Path = LOCK) -> None:
    """Write the lock anew."""
    lock.write_text("".join(f"{jars[name]}  {name}\n" for name in sorted(jars)), encoding="ascii")
