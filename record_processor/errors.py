"""Every exception of the package, grouped by what happens next. Imported by all, imports nothing.

RecordProcessorError
├── ConfigurationError      you mend a file, a class or an argument; the command exits with 2
├── StartError              AWS or this host refused the start; the command exits with 3
├── FatalError              running on would be wrong; the command exits with 4
├── DecodeError             a record has a shape DynamoDB does not send; it is retried, never passed over
├── ModelError              an item does not fit the processor's `model`; it is retried, never passed over
├── CheckpointError         a checkpoint asked for by hand was refused: it would pass an unhandled record
│   ├── ThrottlingError     DynamoDB throttled it; ask again later
│   ├── DependencyError     DynamoDB did not answer; ask again later
│   ├── InvalidStateError   the lease table or the lease's row is not as it should be
│   └── LeaseLostError      another worker owns the shard now; stop, the rest of the batch goes there
└── ProtocolError           the daemon and its worker do not understand each other; the worker is replaced
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """How the command `record-processor` ends, as its process exit status."""

    DRAINED = 0
    """Asked to stop, everything handled was checkpointed and every lease given back."""
    USAGE = 2
    """The command line or the configuration must be mended."""
    COULD_NOT_START = 3
    """Credentials, table, stream or Java are not there."""
    FATAL = 4
    """Gave up on an error that running on would make worse."""
    INTERRUPTED = 130
    """A second signal ended it at once, without draining."""


class RecordProcessorError(Exception):
    """Something went wrong in record_processor."""

    def __init__(self, message: str = "") -> None:
        """Take one line that says what is wrong, where, and how to mend it; the docstring when empty."""
        super().__init__(message or " ".join((type(self).__doc__ or "").split()))


class ConfigurationError(RecordProcessorError):
    """The configuration must be mended."""


class StartError(RecordProcessorError):
    """The daemon could not start."""


class FatalError(RecordProcessorError):
    """The daemon gave up."""


class DecodeError(RecordProcessorError):
    """A record has a shape that DynamoDB does not send."""


class ModelError(RecordProcessorError):
    """An item does not fit the processor's `model`."""


class CheckpointError(RecordProcessorError):
    """The checkpoint was not made."""


class ThrottlingError(CheckpointError):
    """DynamoDB throttled the checkpoint: ask again later."""


class DependencyError(CheckpointError):
    """DynamoDB did not take the checkpoint: ask again later."""


class InvalidStateError(CheckpointError):
    """The lease table or the lease's row is not as it should be."""


class LeaseLostError(CheckpointError):
    """Another worker owns the shard now."""


class ProtocolError(RecordProcessorError):
    """The daemon and its worker do not understand each other."""
