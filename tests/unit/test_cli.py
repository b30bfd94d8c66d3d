"""The command line: help, versions, usage errors."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from record_processor.cli import cli, main
from record_processor.cli.output import exit_code_of
from record_processor.errors import (
    ConfigurationError,
    DecodeError,
    ExitCode,
    FatalError,
    RecordProcessorError,
    StartError,
)

_COMMAND = [sys.executable, "-m", "record_processor"]


def run(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Run the command in this process; return its exit code and what it wrote."""
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    out, err = capfd.readouterr()
    assert isinstance(exit_.value.code, int)
    return exit_.value.code, out, err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "Missing command. See: record-processor --help"),
        (["rn"], "No such command 'rn'."),
        (["--colour"], "No such option"),
        (["run"], "Missing argument 'FILE'. See: record-processor run --help"),
        (["run", "a", "b"], "unexpected extra argument"),
        (["run", "a", "--log-level", "loud"], "is not one of 'debug', 'info', 'warning', 'error'"),
        (["local", "--port", "70000"], "70000 is not in the range"),
        (["run", "no-such-file"], "no-such-file: there is no such file"),
        (["run", "/"], "/: this is a folder"),
    ],
)
def test_a_usage_error_is_one_line_and_exit_code_2(
    arguments: list[str], expected: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Every mistake on the command line is told in one line, with where to read more."""
    code, out, err = run(arguments, capfd)
    assert (code, out) == (2, "")
    assert err.startswith("record-processor: error: ")
    assert err.count("\n") == 1
    assert expected in err


def test_every_command_has_help_with_an_example(capfd: pytest.CaptureFixture[str]) -> None:
    """--help of each command exits with 0 and shows how it is used."""
    for arguments in ([], *([name] for name in cli.commands)):
        code, out, _ = run([*arguments, "--help"], capfd)
        assert code == 0
        assert "\n  Example" in out
        assert f"record-processor {' '.join(arguments)}".strip() in out


def test_the_help_of_run_lists_every_exit_code(capfd: pytest.CaptureFixture[str]) -> None:
    """Whoever writes a unit file finds them there."""
    _, out, _ = run(["run", "--help"], capfd)
    assert all(f"\n      {code.value} " in out for code in ExitCode)


def test_the_version_names_what_takes_part(capfd: pytest.CaptureFixture[str]) -> None:
    """One line with our version, KCL's and the adapter's."""
    code, out, _ = run(["--version"], capfd)
    assert code == 0
    assert out.startswith("record-processor ")
    assert "KCL 3" in out
    assert out.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigurationError("x"), ExitCode.USAGE),
        (StartError("x"), ExitCode.COULD_NOT_START),
        (FatalError("x"), ExitCode.FATAL),
        (DecodeError("x"), ExitCode.FATAL),
    ],
)
def test_every_error_has_an_exit_code(error: RecordProcessorError, code: ExitCode) -> None:
    """An error that should not get as far is fatal."""
    assert exit_code_of(error) == code


_HEAVY = {"asyncio", "boto3", "botocore", "concurrent", "http", "multiprocessing", "sqlite3", "ssl"}


def test_help_comes_at_once() -> None:
    """Nothing that takes long to import is imported for it."""
    code = (
        "import runpy, sys, atexit\n"
        "atexit.register(lambda: print(*sys.modules, file=sys.stderr))\n"
        "sys.argv = ['record-processor', '--help']\n"
        "runpy.run_module('record_processor', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imported = set(done.stderr.split())
    assert "click" in imported  # it did run
    assert not imported & _HEAVY


def test_a_reader_that_leaves_early_is_no_error() -> None:
    """`record-processor run --help | head -1` is quiet."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([*_COMMAND, "run", "--help"], stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")


def test_an_error_that_nobody_can_read_is_still_an_exit_code() -> None:
    """A full pipe or a closed standard error does not hang or fail the command."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    while _fills(writer):
        pass
    command = [*_COMMAND, "run", "no-such-file"]
    assert subprocess.run(command, stderr=writer, timeout=20, check=False).returncode == 2
    closing = ["sh", "-c", 'exec "$@" 2>&-', "sh", *command]
    assert subprocess.run(closing, timeout=20, check=False).returncode == 2
    os.close(reader)
    os.close(writer)


def _fills(writer: int) -> bool:
    try:
        os.write(writer, b"x" * 4096)
    except BlockingIOError:
        return False
    return True
