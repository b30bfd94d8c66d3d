"""`python -m record_processor.worker.nursery`: imports the user's code once, then forks a worker per shard.

A fork takes milliseconds and shares the memory of all that is imported. It is safe only from a process with
one thread and without connections: two forks would read each other's answers. So that is looked at after the
import, and if it does not hold the launcher is told, which spawns workers instead.

The launcher speaks over a socket of whole messages, each a JSON object: it sends an assignment with the
descriptor that the worker prints to, and hears the worker's process id. A worker is the launcher's child, not
the nursery's (the launcher is the subreaper of all that it starts): so the nursery's end disturbs no worker,
and the launcher sees the end of each.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from record_processor.errors import ConfigurationError, ExitCode
from record_processor.processor import RecordProcessor
from record_processor.settings import Settings
from record_processor.worker import output, shard, tether
from record_processor.worker.load import add_paths, load
from record_processor.worker.options import parse
from record_processor.worker.tracebacks import users_part_of

_LONGEST_MESSAGE_BYTES: Final = 65_536
_TASKS: Final = Path("/proc/self/task")
_DESCRIPTORS: Final = Path("/proc/self/fd")
_FAILED: Final = -1


def main(arguments: Sequence[str]) -> None:
    """Serve the launcher until it is gone. In each forked worker: handle a shard, and end the process."""
    options = parse(arguments)
    launcher_pid = tether.parent_pid_from_environment()
    tether.ignore_signals()
    tether.tie_to_parent(launcher_pid)
    tether.name_process("rp-nursery")
    output.print_line_by_line()
    output.log_to_daemon(options.log_level)
    add_paths(options.path)
    with socket.socket(fileno=options.control) as control:
        processor = _load(control, options.processor)
        settings = options.loaded_settings()  # here, so that workers share them
        _load_for_all(settings)
        if reason := why_not_fork(control.fileno()):
            _tell(control, {"cannotFork": reason})
            output.end_at_once(0)
        _tell(control, {"ready": True})
        assignment = _fork_workers(control, launcher_pid)
    # From here on this is a worker.
    output.finish(shard.run_shard(assignment, processor, settings))


def _load(control: socket.socket, name: str) -> type[RecordProcessor]:
    try:
        return load(name)
    except ConfigurationError as error:
        _tell(control, {"failed": str(error), "traceback": users_part_of(error)})
        output.end_at_once(ExitCode.USAGE)
        raise


def _load_for_all(settings: Settings) -> None:
    """Import what each worker would: then they share its memory, and none waits for it. It opens nothing."""
    places = f"{settings['onFailureDestination']} {settings['idempotency']}"
    if any(f"{scheme}://" in places for scheme in ("sqs", "sns", "s3", "dynamodb")):
        importlib.import_module("boto3.session")


def why_not_fork(own_socket: int) -> str | None:
    """Return what makes a fork of this process unsafe, None if nothing does. Linux only."""
    if not _TASKS.is_dir():
        return "left nothing to look at, since /proc is not there"
    if len(list(_TASKS.iterdir())) > 1:
        names = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
        return f"started a thread, {', '.join(names) or 'in C'}"
    if any(_is_socket(entry) for entry in _DESCRIPTORS.iterdir() if entry.name != str(own_socket)):
        return "opened a connection"
    return None


def _is_socket(entry: Path) -> bool:
    try:
        return str(entry.readlink()).startswith("socket:")
    except FileNotFoundError:  # that of the listing itself
        return False


def _fork_workers(control: socket.socket, launcher_pid: int) -> shard.Assignment:
    """Fork a worker for each assignment; return it in the worker, and never in the nursery."""
    gc.collect()
    gc.freeze()  # what is there now stays shared: the collector would write into each object
    gc.disable()
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, _LONGEST_MESSAGE_BYTES, 1)
        if not message:
            output.end_at_once(0)
        assignment = shard.parse_assignment(message)
        (log,) = descriptors
        if between := _fork_worker(control, json.loads(message)["id"]):
            begin_worker(log, launcher_pid, between)
            tether.name_process(assignment.process_name())
            return assignment
        os.close(log)


def _fork_worker(control: socket.socket, order: int) -> int | None:
    """Fork twice, so that the worker is the launcher's child.

    Return None in the nursery, and in the worker the id of the process between the two.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):  # the user's code may have closed or replaced it
            stream.flush()  # what is buffered would be printed twice
    middle = _fork(control, order)
    if middle:
        if middle != _FAILED:
            os.waitpid(middle, 0)
        return None
    between = os.getpid()
    worker = _fork(control, order)
    if worker:
        if worker != _FAILED:
            _tell(control, {"id": order, "pid": worker})
        os._exit(0)
    return between


def _fork(control: socket.socket, order: int) -> int:
    try:
        return os.fork()
    except OSError as error:
        reason = f"it cannot be forked: {error.strerror}"
        _tell(control, {"id": order, "error": reason})
        return _FAILED


def begin_worker(log: int, launcher_pid: int, between: int) -> None:
    """Become a session of its own that ends with the launcher and writes to `log`.

    `between` is the id of the process that forked this one. It may have ended before the first line of this
    ran, and the launcher too: then another one is our parent.
    """
    os.setsid()  # so that it and what it starts can be killed together
    while os.getppid() == between:
        time.sleep(0.0002)  # its end would end us, once we are tied
    tether.tie_to_parent(launcher_pid)
    tether.give_forks_their_signals_back()
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    gc.enable()


def _tell(control: socket.socket, message: Mapping[str, object]) -> None:
    with suppress(OSError):  # the launcher is gone, and so are we, soon
        control.send(json.dumps(message).encode())


if __name__ == "__main__":
    main(sys.argv[1:])
