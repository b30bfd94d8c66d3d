"""What handles a shard, checked before Java starts: the user's class in workers of ours, or a program."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Final

from record_processor.errors import ConfigurationError
from record_processor.launcher.commands import (
    daemon_environment,
    nursery_command,
    program_command,
    worker_command,
)
from record_processor.launcher.logs import Log
from record_processor.launcher.nursery import Forker, NurseryProcess
from record_processor.launcher.preflight import check_processor, check_program
from record_processor.launcher.signals import Signals
from record_processor.launcher.socket_folder import socket_folder
from record_processor.launcher.spawner import Spawner
from record_processor.launcher.worker_logs import WorkerLogs
from record_processor.launcher.workers import Starter, Workers, become_subreaper
from record_processor.settings import Settings

_LAST_OUTPUT_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Program:
    """What handles a shard."""

    command: list[str]
    """What the daemon starts for each shard, unless there are workers."""
    workers: Workers | None
    """What starts them for the daemon, and the launcher watches."""


def checked_program(settings: Settings, log: Log, signals: Signals, stack: ExitStack) -> Program:
    """Return what handles a shard, once it is known that it can be started; `stack` ends it."""
    program = settings["executableName"]
    if isinstance(program, str):
        check_program(program, settings.path)
        return Program(program_command(program), None)
    command = worker_command(settings, log.level)
    if settings["workerTransport"] == "stdio":
        check_processor(command, settings.path, signals)
        return Program(command, None)
    starter = _starter(settings, command, log, signals, stack)
    return Program(command, Workers(starter, socket_folder(stack), signals))


def _starter(settings: Settings, worker: list[str], log: Log, signals: Signals, stack: ExitStack) -> Starter:
    """Return the nursery, once the user's code is imported; a spawner where it cannot be forked."""
    environment = daemon_environment()
    logs = WorkerLogs(log)
    stack.callback(logs.close, _LAST_OUTPUT_SECONDS)
    if not _may_fork(settings):
        check_processor(worker, settings.path, signals)
        return Spawner(worker, environment, logs)
    start = partial(NurseryProcess, nursery_command(worker), environment, logs, signals.wake)
    forker = Forker(start, logs, log)
    stack.callback(forker.close)
    why_not = forker.await_ready(settings.path, signals)
    if why_not is None:
        return forker
    forker.close()
    log.warning(_why_spawned(settings, why_not))
    return Spawner(worker, environment, logs)


def _may_fork(settings: Settings) -> bool:
    method = settings["workerStartMethod"]
    may = method != "spawn" and become_subreaper()
    if method == "fork" and not may:
        raise ConfigurationError(f"{settings.path}: workerStartMethod: fork needs Linux; write spawn")
    return may


def _why_spawned(settings: Settings, reason: str) -> str:
    return (
        f"{settings.path}: processor: importing it {reason}, so workers are spawned, not forked: "
        "it takes more time and memory; move that to setup(context), or write workerStartMethod = spawn"
    )
