"""One shard's work in this process, from its connection to its exit status. Called by main, and by a nursery.

All that it needs is imported with it: after a fork nothing is read from disk any more.
"""

from __future__ import annotations

import fcntl
import logging
import os
import socket
from typing import Any, Final

import msgspec

from record_processor.errors import ProtocolError
from record_processor.processor import RecordProcessor
from record_processor.settings import Settings
from record_processor.values import UNREADABLE
from record_processor.worker import loop, messages
from record_processor.worker.channel import DaemonGoneError, FrameChannel
from record_processor.worker.children import ChildDiedError
from record_processor.worker.conversation import Conversation
from record_processor.worker.messages import Hello
from record_processor.worker.output import FIRST_PRIVATE_FD

_log = logging.getLogger("record_processor")
REPLACE_ME: Final = 1
"""The exit status of a worker that is to be replaced."""


class Assignment(msgspec.Struct, frozen=True):
    """What a worker is told when it is started: where its daemon listens, and who to say it is."""

    socket: str
    """The path of a Unix socket."""
    token: str
    """The daemon's secret."""
    worker: int
    """The number under which the daemon asked for this worker."""
    shard: str
    """The shard's id, for people who look at processes and logs."""

    def process_name(self) -> str:
        """Return what `ps` shows: the shard's own part of its id."""
        return f"rp-{self.shard[-8:]}"


_ASSIGNMENT: Final = msgspec.json.Decoder(Assignment)
"""Made once, not in each worker, which would share less memory."""


def parse_assignment(line: bytes | bytearray) -> Assignment:
    """Parse one line of JSON. Raises ProtocolError, which does not quote it: the token is a secret."""
    assignment = _assignment(line)
    if assignment is None:
        raise ProtocolError("the assignment on standard input is not understood")
    return assignment


def run_shard(assignment: Assignment, processor: type[RecordProcessor[Any]], settings: Settings) -> int:
    """Connect to the daemon, handle the shard until the daemon ends it, and return the exit status.

    Status 0: the daemon ended the shard. 1: the worker is to be replaced; what is wrong is logged.
    """
    try:
        channel = FrameChannel(_connect(assignment.socket))
    except OSError as error:
        _log.error(
            "%s: cannot connect to %s: %s", assignment.shard, assignment.socket, error.strerror or error
        )
        return REPLACE_ME
    hello = Hello(assignment.token, assignment.worker, os.getpid())
    return run_over(Conversation(channel, messages.FRAMES), processor, settings, hello)


def run_over(
    conversation: Conversation,
    processor: type[RecordProcessor[Any]],
    settings: Settings,
    hello: Hello | None = None,
) -> int:
    """Handle the shard over a connection that there is; what is returned is the same."""
    # Else a forked child would hide our death from the daemon.
    os.register_at_fork(after_in_child=conversation.close)
    try:
        if hello:
            conversation.say_hello(hello)
        loop.run(conversation, processor, settings)
    except (ProtocolError, loop.HungError, ChildDiedError) as error:
        _log.error("%s; the worker is replaced", error)
    except SystemExit as request:
        _log.error("a handler called sys.exit(%r); the worker is replaced", request.code, exc_info=request)
    except DaemonGoneError as gone:
        if gone.args:  # else the daemon need not hear of it
            _log.error("%s; the worker is replaced", gone)
    except loop.SetupFailedError:
        pass  # it is logged
    else:
        return 0
    return REPLACE_ME


def _assignment(line: bytes | bytearray) -> Assignment | None:
    try:
        return _ASSIGNMENT.decode(line)
    except UNREADABLE:
        return None


def _connect(path: str) -> int:
    """Return a connected socket on a descriptor that nobody else uses, and that `exec` closes."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connected:
        connected.setblocking(True)  # whatever default the user's code has set
        connected.connect(path)
        return fcntl.fcntl(connected.fileno(), fcntl.F_DUPFD_CLOEXEC, FIRST_PRIVATE_FD)
