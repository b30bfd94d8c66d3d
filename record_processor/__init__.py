"""The Python way to consume DynamoDB Streams: subclass RecordProcessor and run it."""

from __future__ import annotations

from record_processor.errors import (
    BatchItemFailures,
    CheckpointError,
    ConfigurationError,
    DecodeError,
    DependencyError,
    ExitCode,
    FatalError,
    FencedError,
    InProgressError,
    InvalidStateError,
    LeaseLostError,
    ModelError,
    ParkRecordError,
    ProtocolError,
    RecordProcessorError,
    RetryableError,
    SkipRecordError,
    StartError,
    ThrottlingError,
)
from record_processor.processor import Checkpointer, RecordProcessor, ShardContext, TeardownReason
from record_processor.record import Record, UserIdentity

__all__ = [
    # What you write
    "RecordProcessor",
    # What it is given
    "Record",
    "UserIdentity",
    "ShardContext",
    "Checkpointer",
    "TeardownReason",
    # What it may raise, to say what becomes of a record
    "RetryableError",
    "BatchItemFailures",
    "SkipRecordError",
    "ParkRecordError",
    "FatalError",
    # What it may catch
    "CheckpointError",
    "ThrottlingError",
    "DependencyError",
    "InvalidStateError",
    "LeaseLostError",
    "DecodeError",
    "ModelError",
    "InProgressError",
    "FencedError",
    # What the command and the daemon end with
    "RecordProcessorError",
    "ConfigurationError",
    "StartError",
    "ProtocolError",
    "ExitCode",
]
