"""The command `record-processor`: one file for each command, and `main`, which makes one line of every error.

Modules of weight are imported by the command that needs them, when it runs: help comes at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from record_processor.cli.local import local
from record_processor.cli.output import exit_code_of, fail, keep_standard_descriptors_open
from record_processor.cli.parked import parked
from record_processor.cli.run import run
from record_processor.cli.simulate import simulate
from record_processor.errors import ExitCode, RecordProcessorError

_NOBODY_READS = 1  # click's own exit code then


def _print_version(context: click.Context, _parameter: click.Parameter, is_wanted: bool) -> None:
    if not is_wanted or context.resilient_parsing:
        return
    from record_processor.launcher import versions

    click.echo(f"record-processor {versions.ours()} (KCL {versions.kcl()}, adapter {versions.adapter()})")
    context.exit()


@click.group(name="record-processor", no_args_is_help=False)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the versions and exit.",
)
def cli() -> None:
    """Consume DynamoDB Streams in Python.

    \b
    Example:
        record-processor run orders.properties
    """  # noqa: D301  # click keeps the lines of what follows a backspace


cli.add_command(run)
cli.add_command(local)
cli.add_command(simulate)
cli.add_command(parked)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command and exit, by default with the process's own arguments."""
    keep_standard_descriptors_open()
    sys.exit(_run(arguments))


def _run(arguments: Sequence[str] | None) -> int:
    try:
        code = cli.main(arguments, prog_name="record-processor", standalone_mode=False)
        if sys.stdout:  # there is none if descriptor 1 was closed
            sys.stdout.flush()
        return int(code or 0)
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "record-processor"
        fail(f"{error.format_message()} See: {command} --help")
        return ExitCode.USAGE
    except RecordProcessorError as error:
        fail(str(error))
        return exit_code_of(error)
    except BrokenPipeError:
        # Nobody reads any more, as after `| head`. What Python still holds back must not fail at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return _NOBODY_READS
    except (KeyboardInterrupt, click.Abort):
        return ExitCode.INTERRUPTED
