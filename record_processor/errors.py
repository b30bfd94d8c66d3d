"""Every exception of the package, grouped by what happens next. Imported by all, imports nothing.

RecordProcessorError
├── ConfigurationError      you mend a file, a class or an argument; the command exits with 2
├── StartError              AWS or this host refused the start; the command exits with 3
├── FatalError              running on would be wrong: raised in a handler, it stops the shard; the command
│                           exits with 4
├── RetryableError          the record is handed out again, as for every exception that is not named here
│   ├── BatchItemFailures   these records of a batch failed, the others were handled
│   ├── DecodeError         a record has a shape DynamoDB does not send
│   ├── ModelError          an item does not fit the processor's `model`
│   └── InProgressError     another call is handling the same thing; this is no failed attempt
│       └── FencedError     a newer owner of the shard has it
├── SkipRecordError         the record is passed over, and counts as handled
├── ParkRecordError         the record goes to `onFailureDestination`, and then counts as handled
├── CheckpointError         a checkpoint asked for by hand was refused: it would pass an unhandled record
│   ├── ThrottlingError     DynamoDB throttled it; ask again later
│   ├── DependencyError     DynamoDB did not answer; ask again later
│   ├── InvalidStateError   the lease table or the lease's row is not as it should be
│   └── LeaseLostError      another worker owns the shard now; stop, the rest of the batch goes there
└── ProtocolError           the daemon and its worker do not understand each other; the worker is replaced
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import Protocol


class ExitCode(IntEnum):
    """How the command `record-processor` ends, as its process exit status."""

    DRAINED = 0
    """Asked to stop, everything handled was checkpointed and every lease given back."""
    USAGE = 2
    """The command line or the configuration must be mended."""
    COULD_NOT_START = 3
    """Credentials, table, stream or Java are not there, or Python was killed while it imported the class."""
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
    """Running on would be wrong."""


class RetryableError(RecordProcessorError):
    """The record could not be handled now: it is handed out again."""


class SkipRecordError(RecordProcessorError):
    """The record is not to be handled: it is passed over, and counts as handled."""


class ParkRecordError(RecordProcessorError):
    """The record cannot be handled: it goes to `onFailureDestination` without another attempt."""


class HasSequenceNumber(Protocol):
    """A record, `record_processor.Record`."""

    @property
    def sequence_number(self) -> str:
        """Its place in the shard."""


class BatchItemFailures(RetryableError):  # noqa: N818  # Lambda's word
    """These records of a batch failed, the others are handled. Raise or return it in `process_batch`.

    A record that failed is handed out again, and so is every record behind it of the same key, so that none
    is overtaken. `failures` says for each why it failed: an exception, whose type decides what happens to the
    record, or None.

    It is Lambda's ReportBatchItemFailures; its response can be returned as it is, too, that is
    `{"batchItemFailures": [{"itemIdentifier": "<sequence number>"}]}`:
    https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html.
    """

    def __init__(
        self, failures: Mapping[HasSequenceNumber | str, Exception | None] | Iterable[HasSequenceNumber | str]
    ) -> None:
        """Take the records that failed, or their sequence numbers; in a mapping, each with its exception."""
        reasons = failures if isinstance(failures, Mapping) else dict.fromkeys(failures)
        self.failures: dict[str, Exception | None] = {
            each if isinstance(each, str) else each.sequence_number: reason
            for each, reason in reasons.items()
        }
        """The sequence number of each record that failed, and why."""
        super().__init__(f"{len(self.failures)} records of the batch failed")


class DecodeError(RetryableError):
    """A record has a shape that DynamoDB does not send."""


class ModelError(RetryableError):
    """An item does not fit the processor's `model`."""


class InProgressError(RetryableError):
    """Another call is handling the same thing: try again later."""


class FencedError(InProgressError):
    """A newer owner of the shard is handling it: what this one does no longer counts."""


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
