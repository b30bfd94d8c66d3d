"""What `record-processor run` does, as a recipe."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from record_processor import settings as properties
from record_processor.errors import ExitCode
from record_processor.launcher import versions
from record_processor.launcher.class_archive import ClassArchive
from record_processor.launcher.commands import daemon_environment
from record_processor.launcher.daemon import Daemon
from record_processor.launcher.identity import hold_worker_id
from record_processor.launcher.java import daemon_command, find_java
from record_processor.launcher.logs import Log
from record_processor.launcher.preflight import check_places
from record_processor.launcher.program import checked_program
from record_processor.launcher.signals import Signals, Stopped
from record_processor.launcher.supervisor import Supervisor
from record_processor.launcher.workers import Workers
from record_processor.settings import Settings


def run(file: Path, log: Log, signals: Signals) -> ExitCode:
    """Run a properties file until a signal ends it: DRAINED or INTERRUPTED.

    Raises ConfigurationError, StartError and FatalError, whose one line says how to mend it.
    """
    settings = properties.load(file)
    with ExitStack() as stack:
        try:
            program = checked_program(settings, log, signals, stack)
            check_places(settings, signals)
            command = daemon_command(find_java(signals))
            signals.raise_if_stopped()
        except Stopped:
            return ExitCode.DRAINED

        worker_id = stack.enter_context(
            hold_worker_id(str(settings["applicationName"]), _text(settings, "workerId"))
        )
        log.info(_greeting(settings, worker_id))
        first_line = {
            "settings": dict(settings.values),
            "workerId": worker_id,
            "command": program.command,
            "stockProgram": settings["executableName"] is not None,
            "logLevel": log.level.name.lower(),
        }
        archive = stack.enter_context(ClassArchive(command, log))
        supervisor = Supervisor(
            start=partial(_start, archive, first_line, log, program.workers),
            grace_seconds=_grace_seconds(settings),
            signals=signals,
            log=log,
            workers=program.workers,
        )
        return supervisor.run()


def _start(
    archive: ClassArchive, first_line: Mapping[str, object], log: Log, workers: Workers | None
) -> Daemon:
    command, environment = archive.command(), daemon_environment()
    if workers is None:
        daemon = Daemon(command, first_line, environment, log)
    else:
        token = secrets.token_hex(32)
        first_line = {**first_line, "socket": workers.socket, "token": token}
        daemon = Daemon(command, first_line, environment, log, partial(workers.ask, token))
        workers.serve(token, daemon.tell_ended)
    archive.watch(daemon)
    return daemon


def _text(settings: Settings, name: str) -> str | None:
    value = settings[name]
    return value if isinstance(value, str) else None


def _grace_seconds(settings: Settings) -> float:
    millis = settings["shutdownGraceMillis"]
    assert isinstance(millis, int)  # so says the schema
    return millis / 1000


def _greeting(settings: Settings, worker_id: str) -> str:
    """Say for a person who runs, and what is read."""
    names = settings["sourceTable"] or settings["streamArn"]
    assert isinstance(names, tuple)  # so says the schema
    where = settings["dynamoDBEndpoint"] or settings["regionName"]
    return (
        f"record-processor {versions.ours()}: {settings['applicationName']}, worker {worker_id}, "
        f"reads {', '.join(names)} in {where}"
    )
