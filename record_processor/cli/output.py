"""What every command says in the same way: its errors, its exit code."""

from __future__ import annotations

import os
import select
from contextlib import suppress
from typing import Final

from record_processor.errors import ConfigurationError, ExitCode, FatalError, RecordProcessorError, StartError

_A_READERS_SECONDS: Final = 1.0
_EXIT_CODES: Final[dict[type[RecordProcessorError], ExitCode]] = {
    ConfigurationError: ExitCode.USAGE,
    StartError: ExitCode.COULD_NOT_START,
    FatalError: ExitCode.FATAL,
}


def exit_code_of(error: RecordProcessorError) -> ExitCode:
    """Return what the command ends with because of an error."""
    return next((code for kind, code in _EXIT_CODES.items() if isinstance(error, kind)), ExitCode.FATAL)


def fail(message: str) -> None:
    """Say in one line on standard error why the command ends; to nobody, if nobody reads it."""
    line = f"record-processor: error: {' '.join(message.split())}\n".encode(errors="backslashreplace")
    with suppress(OSError):
        while line and select.select([], [2], [], _A_READERS_SECONDS)[1]:
            line = line[os.write(2, line[: select.PIPE_BUF]) :]


def keep_standard_descriptors_open() -> None:
    """Give 0, 1 and 2 to /dev/null where they are closed: else the next file opened would get our output."""
    for descriptor in (0, 1, 2):
        if not _is_open(descriptor):
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True
