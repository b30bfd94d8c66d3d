"""What can be found out before Java starts: does the user's class import, is there where failures go."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from record_processor.errors import ConfigurationError, ExitCode, StartError
from record_processor.launcher.commands import daemon_environment
from record_processor.launcher.probe import how_it_ended, probe
from record_processor.launcher.signals import Signals
from record_processor.settings import Settings


class ImportFailedError(ConfigurationError):
    """The user's class cannot be imported."""

    def __init__(self, message: str, output: str) -> None:
        """Carry what the attempt wrote: the user's own traceback, and whatever the module printed."""
        super().__init__(message)
        self.output = output


def check_processor(worker: Sequence[str], file: Path, signals: Signals) -> None:
    """Import the class in a process of its own, as the worker will.

    Raises ImportFailedError, StartError and Stopped.
    """
    exit_code, output = probe([*worker, "--check"], signals, daemon_environment())
    if exit_code == 0:
        return
    if exit_code == ExitCode.USAGE and output.strip():
        before, _, last = output.rstrip().rpartition("\n")
        raise ImportFailedError(f"{file}: processor: {last}", before)
    raise ended_by_import(file, exit_code, output)


def ended_by_import(file: Path, exit_code: int, output: str = "") -> ImportFailedError | StartError:
    """Return the error for a Python that ended while it imported the user's class.

    SIGKILL comes from outside, most often from a kernel that is out of memory, so another start may succeed.
    """
    what = f"{file}: processor: importing it ended Python {how_it_ended(exit_code)}"
    if exit_code == -signal.SIGKILL:
        return StartError(f"{what}: the host may be out of memory (see its kernel's log); start again")
    return ImportFailedError(what, output)


def check_places(settings: Settings, signals: Signals) -> None:
    """Look for onFailureDestination and the store of idempotency, if there are any, in a process of its own.

    It is one so that a signal ends the wait for AWS, and because boto3 has no place in the launcher. Raises
    ConfigurationError, StartError and Stopped.
    """
    if settings["onFailureDestination"] in (None, "discard") and settings["idempotency"] in (None, "memory"):
        return
    command = [sys.executable, "-m", "record_processor.worker.check", str(settings.path)]
    exit_code, output = probe(command, signals, daemon_environment())
    if exit_code == 0:
        return
    kind = ConfigurationError if exit_code == ExitCode.USAGE else StartError
    last = (output.strip() or f"the check ended {how_it_ended(exit_code)}").rpartition("\n")[2]
    raise kind(f"{settings.path}: {last}")


def check_program(command_line: str, file: Path) -> None:
    """Look for the program of `executableName`, on PATH unless it has a slash. Raises ConfigurationError."""
    program = shlex.split(command_line)[0]
    if not shutil.which(program):
        raise ConfigurationError(f"{file}: executableName: {program} {_why_not(program)}")


def _why_not(program: str) -> str:
    file = Path(program)
    if file.is_dir():
        return "is a folder; name a program"
    if file.exists() and not os.access(file, os.X_OK):
        return f"is not executable: chmod +x {shlex.quote(program)}"
    if file.exists():
        return f"is not on PATH; for the one in this folder write ./{program}"
    if os.sep in program:
        return f"does not exist; looked from {Path.cwd()}"
    return "is not on PATH; write its full path"
