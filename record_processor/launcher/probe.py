"""Runs a short command before the daemon, and lets a signal end the wait for it."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress

from record_processor.launcher.signals import Signals, Stopped


def probe(
    command: Sequence[str], signals: Signals, environment: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """Return the command's exit code (negative: the signal that ended it) and all that it wrote.

    It runs in a session of its own, so that Ctrl-C reaches only us. Raises OSError if it cannot be run, and
    Stopped after killing it when a signal arrives.
    """
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
        while process.poll() is None:
            signals.wait()
            if signals.received:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                raise Stopped
        output.seek(0)
        return process.returncode, output.read().decode("utf-8", "replace")


def how_it_ended(code: int) -> str:
    """Say an exit code in words; a negative one is the signal that killed the process."""
    if code >= 0:
        return f"with exit code {code}"
    try:
        return f"by {signal.Signals(-code).name}"
    except ValueError:
        return f"by signal {-code}"
