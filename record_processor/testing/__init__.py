"""What tests of record processors are made of: DynamoDB Local, faults, histories. Not for production.

As pytest fixtures, found by pytest without an import: `dynamodb_local`, `aws_server`, `fault_proxy`,
`stream_simulator`, `stream_table`, `running_application`.
"""

from __future__ import annotations

from record_processor.testing import records
from record_processor.testing.aws_errors import AwsError
from record_processor.testing.aws_server import AwsServer
from record_processor.testing.calls import Call, Calls
from record_processor.testing.captured import read_records, write_records
from record_processor.testing.dynamodb_local import DynamoDBLocal
from record_processor.testing.fault_proxy import FaultProxy
from record_processor.testing.faults import Fault
from record_processor.testing.history import (
    Handled,
    HistoryLog,
    HistoryReader,
    HistoryReport,
    Mark,
    check_history,
)
from record_processor.testing.in_memory import RunResult, run
from record_processor.testing.record_filter import RecordFilter
from record_processor.testing.running import RunningApplication
from record_processor.testing.simulator import (
    SimulatedShard,
    SimulatedStream,
    StreamSimulator,
    VirtualClock,
)
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
    # A processor in memory, without Java
    "run",
    "RunResult",
    "records",
    "read_records",
    "write_records",
    # The command, with its daemon and its workers
    "RunningApplication",
    # A DynamoDB, and other services, to test against
    "DynamoDBLocal",
    "AwsServer",
    # Faults on the way to it, and what was called
    "FaultProxy",
    "Fault",
    "AwsError",
    "Calls",
    "Call",
    # DynamoDB Streams that do as they are told
    "StreamSimulator",
    "SimulatedStream",
    "SimulatedShard",
    "VirtualClock",
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
    "HistoryReader",
    "Handled",
    "Mark",
    "check_history",
    "HistoryReport",
    # Waiting
    "wait_until",
]
