"""`record-processor run FILE`."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import click

from record_processor.cli.output import exit_code_of
from record_processor.errors import RecordProcessorError


@click.command(short_help="Follow a table's changes, as a properties file says.")
@click.argument("file")
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"], case_sensitive=False),
    default="info",
    show_default=True,
    help="The least important lines to show.",
)
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"], case_sensitive=False),
    default="text",
    show_default=True,
    help="Lines for people, or one JSON object a line.",
)
def run(file: str, log_level: str, log_format: str) -> int:
    """Follow a table's changes, as the properties FILE says, until a signal ends it.

    Ctrl-C or SIGTERM drains: what is in hand is finished and checkpointed, the leases are given back. A
    second one ends at once; what was not checkpointed is delivered again. The log goes to standard error.

    \b
    Example, orders.properties:
        processor       = myapp.orders:Orders
        sourceTable     = orders
        applicationName = orders-to-search
        regionName      = eu-west-1
    \b
    Then:
        record-processor run orders.properties

    \b
    Exit status:
        0    drained
        2    the command line or the configuration must be mended
        3    could not start: Java, credentials, table or stream
        4    gave up on a fatal error
        130  ended at once by a second signal
    """  # noqa: D301  # click keeps the lines of what follows a backspace
    from record_processor.launcher.signals import Signals

    with Signals() as signals:  # before what takes time: from here on Ctrl-C is an orderly end
        from record_processor.launcher import run as launcher
        from record_processor.launcher.log_lines import Level
        from record_processor.launcher.logs import LogFormat, open_log
        from record_processor.launcher.preflight import ImportFailedError

        with open_log(Level[log_level.upper()], cast("LogFormat", log_format)) as log:
            try:
                return launcher.run(Path(file), log, signals)
            except RecordProcessorError as error:
                log.fail(str(error), error.output if isinstance(error, ImportFailedError) else "")
                return exit_code_of(error)
