"""`python -m record_processor.worker`: one shard's process. With `--check` it only checks the user's class.

Exit status: 0 the daemon ended the shard, or the check succeeded; 1 the worker is to be replaced; 2 the class
cannot be used.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

from record_processor.errors import ConfigurationError, ExitCode, ProtocolError
from record_processor.processor import RecordProcessor
from record_processor.worker import messages, output, tether
from record_processor.worker.channel import DaemonGoneError, LineChannel
from record_processor.worker.conversation import Conversation
from record_processor.worker.load import add_paths, load
from record_processor.worker.options import WorkerOptions, parse
from record_processor.worker.shard import REPLACE_ME, Assignment, parse_assignment, run_over, run_shard
from record_processor.worker.tracebacks import users_part_of

_log = logging.getLogger("record_processor")


def main(arguments: Sequence[str]) -> None:
    """Run a worker and end the process."""
    options = parse(arguments)
    tether.ignore_signals()
    tether.give_forks_their_signals_back()
    tether.tie_to_parent(tether.parent_pid_from_environment())
    streams = LineChannel(*output.take_over_streams())
    add_paths(options.path)
    if options.check:
        output.end_at_once(_check(options.processor))
    output.log_to_daemon(options.log_level)
    output.finish(_work_on_socket(streams, options) if options.socket else _work_on(streams, options))


def _check(name: str) -> int:
    """Say on standard error what is wrong with the class; the last line says it in one."""
    try:
        load(name)
    except ConfigurationError as error:
        print(users_part_of(error), end="", file=sys.stderr)
        print(error, file=sys.stderr)
        return ExitCode.USAGE
    return 0


def _work_on(streams: LineChannel, options: WorkerOptions) -> int:
    processor = _load_or_log(options.processor)
    if processor is None:
        return ExitCode.USAGE
    return run_over(Conversation(streams, messages.LINES), processor, options.loaded_settings())


def _work_on_socket(streams: LineChannel, options: WorkerOptions) -> int:
    assignment = _read_assignment(streams)
    if assignment is None:
        return REPLACE_ME
    tether.name_process(assignment.process_name())
    processor = _load_or_log(options.processor)  # before the daemon hears of us: it waits for each step
    return run_shard(assignment, processor, options.loaded_settings()) if processor else ExitCode.USAGE


def _read_assignment(streams: LineChannel) -> Assignment | None:
    """Read the line that says what to do; None if there is none, which is logged. The streams are closed."""
    try:
        return parse_assignment(streams.read())
    except ProtocolError as error:
        _log.error("%s; the worker is replaced", error)
    except DaemonGoneError:
        _log.error("standard input ended without an assignment; the worker is replaced")
    finally:
        streams.close()
    return None


def _load_or_log(name: str) -> type[RecordProcessor] | None:
    try:
        return load(name)
    except ConfigurationError as error:
        _log.error("%s", error, exc_info=error.__cause__)
        return None


if __name__ == "__main__":
    main(sys.argv[1:])
