"""What tests of record processors are made of: DynamoDB Local, faults, histories. Not for production.

As pytest fixtures, found by pytest without an import: `dynamodb_local`, `fault_proxy`, `stream_table`.
"""

from __future__ import annotations

from record_processor.testing.aws_errors import AwsError
from record_processor.testing.calls import Call, Calls
from record_processor.testing.dynamodb_local import DynamoDBLocal
from record_processor.testing.fault_proxy import FaultProxy
from record_processor.testing.faults import Fault
from record_processor.testing.history import Handled, HistoryLog, HistoryReport, Mark, check_history
from record_processor.testing.record_filter import RecordFilter
from record_processor.testing.tables import (
    Change,
    StreamTable,
    WrittenChanges,
    change_number,
    create_stream_table,
    plan_changes,
    write_changes,
)
from record_processor.testing.waiting import wait_until

__all__ = [
    # A DynamoDB to test against
    "DynamoDBLocal",
    # Faults on the way to it, and what was called
    "FaultProxy",
    "Fault",
    "AwsError",
    "Calls",
    "Call",
    # Tables and changes
    "StreamTable",
    "create_stream_table",
    "Change",
    "plan_changes",
    "write_changes",
    "WrittenChanges",
    "change_number",
    # What the daemon's filter lets through
    "RecordFilter",
    # What handlers saw of them
    "HistoryLog",
    "Handled",
    "Mark",
    "check_history",
    "HistoryReport",
    # Waiting
    "wait_until",
]
