"""The jars we run on: `collect` puts ours into the package, `verify` checks all, `lock` writes the lock anew.

amazon_kclpy brings KCL and all below it; Maven builds our own jar and brings the adapter.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from pathlib import Path
from typing import Final

from record_processor import jars

ROOT: Final = Path(__file__).resolve().parent.parent

OUR_FOLDER: Final = jars.FOLDER
TARGET: Final = ROOT / "target"


def main() -> None:
    """Do what the command line says."""
    commands = {"collect": collect, "verify": verify, "lock": lock}
    if len(sys.argv) != 2 or sys.argv[1] not in commands:
        sys.exit(f"usage: jars.py {'|'.join(commands)}")
    commands[sys.argv[1]]()


def collect() -> None:
    """Copy our jar, and each jar of Maven's class path that amazon_kclpy lacks, into the package."""
    theirs = {jar.name: jar for jar in kcl_folder().glob("*.jar")}
    class_path = [Path(jar) for jar in (TARGET / "class-path.txt").read_text("utf-8").split(os.pathsep)]
    wanted = [TARGET / jars.OURS, *(jar for jar in class_path if jar.name not in theirs)]
    OUR_FOLDER.mkdir(exist_ok=True)
    for jar in wanted:
        copy(jar, OUR_FOLDER / jar.name)
    for stale in {*OUR_FOLDER.glob("*.jar")} - {OUR_FOLDER / jar.name for jar in wanted}:
        stale.unlink()
    jars.write({jars.OURS: jars.digests([OUR_FOLDER])[jars.OURS]}, jars.BUILT)


def verify() -> None:
    """Exit with a message if any jar is not as it was locked."""
    if complaints := list(jars.verify([kcl_folder(), OUR_FOLDER])):
        sys.exit("\n".join(complaints))


def lock() -> None:
    """Write jars.lock from what is installed and collected."""
    found = jars.digests([kcl_folder(), OUR_FOLDER])
    del found[jars.OURS]
    jars.write(found)


def kcl_folder() -> Path:
    """Return the folder of amazon_kclpy's jars."""
    spec = importlib.util.find_spec("amazon_kclpy")
    if spec is None or spec.origin is None:
        sys.exit("amazon_kclpy is not installed")
    return Path(spec.origin).parent / "jars"


def copy(jar: Path, to: Path) -> None:
    """Copy in one step: a JVM that has the old file open keeps it."""
    temporary = to.with_suffix(".new")
    shutil.copyfile(jar, temporary)
    temporary.replace(to)


if __name__ == "__main__":
    main()
