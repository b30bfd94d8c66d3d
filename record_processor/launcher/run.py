"""What `record-processor run` does, as a recipe."""

from __future__ import annotations

from pathlib import Path

from record_processor import settings as properties
from record_processor.errors import ExitCode
from record_processor.launcher import versions
from record_processor.launcher.commands import daemon_environment, program_command, worker_command
from record_processor.launcher.daemon import Daemon
from record_processor.launcher.identity import hold_worker_id
from record_processor.launcher.java import daemon_command, find_java
from record_processor.launcher.log_lines import Level
from record_processor.launcher.logs import Log
from record_processor.launcher.preflight import check_processor, check_program
from record_processor.launcher.signals import Signals, Stopped
from record_processor.launcher.supervisor import Supervisor
from record_processor.settings import Settings


def run(file: Path, log: Log, signals: Signals) -> ExitCode:
    """Run a properties file until a signal ends it: DRAINED or INTERRUPTED.

    Raises ConfigurationError, StartError and FatalError, whose one line says how to mend it.
    """
    settings = properties.load(file)
    try:
        child = _checked_child(settings, log.level, signals)
        daemon = daemon_command(find_java(signals))
        signals.raise_if_stopped()
    except Stopped:
        return ExitCode.DRAINED

    with hold_worker_id(str(settings["applicationName"]), _text(settings, "workerId")) as worker_id:
        log.info(_greeting(settings, worker_id))
        first_line = {
            "settings": dict(settings.values),
            "workerId": worker_id,
            "command": child,
            "stockProgram": settings["executableName"] is not None,
            "logLevel": log.level.name.lower(),
        }
        environment = daemon_environment()
        supervisor = Supervisor(
            start=lambda: Daemon(daemon, first_line, environment, log),
            grace_seconds=_grace_seconds(settings),
            signals=signals,
            log=log,
        )
        return supervisor.run()


def _checked_child(settings: Settings, level: Level, signals: Signals) -> list[str]:
    """Return the command of a shard's child process, once it is known to be there."""
    program = _text(settings, "executableName")
    if program is not None:
        check_program(program, settings.path)
        return program_command(program)
    command = worker_command(settings, level)
    check_processor(command, settings.path, signals)
    return command


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
