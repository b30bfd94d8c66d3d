"""Where the daemon listens for its workers: a socket in a folder that only this user can enter."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from record_processor.errors import StartError

_LONGEST_PATH_BYTES: Final = 103
"""What macOS takes; Linux takes four more."""


def socket_folder(stack: ExitStack) -> str:
    """Make the folder, which `stack` removes, and return the socket's path. Raises StartError."""
    path = ""
    for parent in dict.fromkeys((tempfile.gettempdir(), "/tmp")):  # noqa: S108  # its own folder is private
        try:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="rp-", dir=parent))
        except OSError as error:
            raise StartError(
                f"{parent}: no folder for the workers' socket can be made: {error.strerror}"
            ) from None
        path = str(Path(folder, "daemon"))
        if len(path.encode()) <= _LONGEST_PATH_BYTES:
            return path
    raise StartError(f"{path} is too long for the workers' socket: set TMPDIR to a shorter folder")
