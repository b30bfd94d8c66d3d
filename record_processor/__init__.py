"""The Python way to consume DynamoDB Streams: subclass RecordProcessor and run it."""

from __future__ import annotations

from record_processor.errors import (
    CheckpointError,
    ConfigurationError,
    DecodeError,
    DependencyError,
    ExitCode,
    FatalError,
    InvalidStateError,
    LeaseLostError,
    ModelError,
    ProtocolError,
    RecordProcessorError,
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
    # What it may catch
    "CheckpointError",
    "ThrottlingError",
    "DependencyError",
    "InvalidStateError",
    "LeaseLostError",
    "DecodeError",
    "ModelError",
    # What the command and the daemon end with
    "RecordProcessorError",
    "ConfigurationError",
    "StartError",
    "FatalError",
    "ProtocolError",
    "ExitCode",
]
