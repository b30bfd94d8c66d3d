"""The commands of a shard's child process, and the environment that our processes run in."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from record_processor.launcher.log_lines import Level
from record_processor.settings import Settings

_WORKER: Final = "record_processor.worker"

_FOR_WORKERS: Final = {
    "applicationName",
    "regionName",
    "dynamoDBEndpoint",
    "numbers",
    "batchSize",
    "maximumBatchingWindowInSeconds",
    "maximumUnacknowledgedBytesPerShard",
    "parallelizationFactor",
    "timeoutInSeconds",
    "retryBackoffMillis",
    "maximumRetryBackoffMillis",
    "maximumRetryAttempts",
    "maximumRecordAgeInSeconds",
    "bisectBatchOnFunctionError",
    "onFailureDestination",
    "onFailureOverflow",
    "idempotency",
    "idempotencyKey",
    "idempotencyLockSeconds",
    "idempotencyTtlSeconds",
}
"""The properties that decide what a worker does."""

TETHER: Final = str(Path(__file__).parents[1] / "worker" / "tether.py")
"""The program that ties what it starts to the life of its parent."""


def worker_command(settings: Settings, level: Level) -> list[str]:
    """Return the command of our own worker, which looks for the class here and beside the properties file."""
    folders = dict.fromkeys((str(Path.cwd()), str(settings.path.absolute().parent)))
    return [
        sys.executable,
        "-m",
        _WORKER,
        *("--processor", str(settings["processor"])),
        *(word for folder in folders for word in ("--path", folder)),
        *("--log-level", level.name.lower()),
        *(
            "--settings",
            json.dumps({name: settings.values[name] for name in _FOR_WORKERS & settings.values.keys()}),
        ),
    ]


def nursery_command(worker: Sequence[str]) -> list[str]:
    """Return the command of the nursery that forks such workers."""
    return ["record_processor.worker.nursery" if word == _WORKER else word for word in worker]


def program_command(command_line: str) -> list[str]:
    """Return the command of a stock program: itself, tied to the life of the daemon."""
    # -I and -S: to tie it needs nothing of the user's Python setup.
    return [sys.executable, "-I", "-S", TETHER, "--", *shlex.split(command_line)]


_GIVE_BACK: Final = {"MALLOC_ARENA_MAX": "2", "MALLOC_TRIM_THRESHOLD_": str(128 * 1024)}
"""Keeps glibc from holding on to memory: as much for each thread, or as large as a batch once was."""


def daemon_environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the environment of the processes that we start, which their children inherit."""
    return {
        **_GIVE_BACK,
        **environ,
        **_utf8_locale(environ),
        "PYTHONUTF8": "1",
        "RECORD_PROCESSOR_PARENT_PID": str(os.getpid()),
    }


def _utf8_locale(environ: Mapping[str, str]) -> dict[str, str]:
    """Replace a locale without UTF-8: in it Java cannot find jars in /home/josé, nor pass such paths on."""
    locale = environ.get("LC_ALL") or environ.get("LC_CTYPE") or environ.get("LANG") or "C"
    return {} if "UTF8" in locale.upper().replace("-", "") else {"LC_ALL": "C.UTF-8"}
