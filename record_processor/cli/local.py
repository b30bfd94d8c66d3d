"""`record-processor local`."""

from __future__ import annotations

import signal

import click

from record_processor.errors import ExitCode, FatalError, StartError

_DEFAULT_PORT = 8000


@click.command(short_help="Run DynamoDB Local, in memory, until interrupted.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=_DEFAULT_PORT,
    show_default=True,
    metavar="N",
    help="Where it listens; 0 takes any free port.",
)
def local(port: int) -> int:
    """Run DynamoDB Local, in memory, until Ctrl-C or SIGTERM ends it.

    For development and tests: it needs Java, and Maven for the first time. Its data are gone when it ends.

    \b
    Example:
        record-processor local --port 8001
    \b
    It prints the line to put into a properties file, and any AWS client reaches it there too:
        dynamoDBEndpoint = http://localhost:8001
    """  # noqa: D301  # click keeps the lines of what follows a backspace
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return _run(port)
    except KeyboardInterrupt:
        return ExitCode.DRAINED


def _run(port: int) -> int:
    try:
        from record_processor.testing.dynamodb_local import DynamoDBLocal
        from record_processor.testing.sockets import is_listening
    except ModuleNotFoundError as error:
        raise StartError(
            f"record-processor local needs {error.name}: "
            "pip install 'dynamodb-streams-record-processor[testing]'"
        ) from None
    from record_processor.launcher.signals import Signals

    click.echo("Starting DynamoDB Local; the first time it is downloaded.", err=True)
    with DynamoDBLocal(port or None) as server, Signals() as signals:
        click.echo(f"DynamoDB Local is ready, until Ctrl-C. In a properties file:\n{_property(server.port)}")
        while not signals.received:
            signals.wait()
            if not signals.received and not is_listening(server.pid, server.port):
                raise FatalError("DynamoDB Local has ended by itself")
    return ExitCode.DRAINED


def _property(port: int) -> str:
    return f"dynamoDBEndpoint = http://localhost:{port}"
