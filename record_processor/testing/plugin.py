"""Fixtures for pytest, found by it when this package is installed. They start nothing until a test asks."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Protocol

import pytest

from record_processor.processor import RecordProcessor
from record_processor.testing.aws_server import AwsServer
from record_processor.testing.dynamodb_local import DynamoDBLocal
from record_processor.testing.fault_proxy import FaultProxy
from record_processor.testing.running import RunningApplication
from record_processor.testing.simulator import StreamSimulator
from record_processor.testing.tables import StreamTable, create_stream_table


class RunApplication(Protocol):
    """The fixture `running_application`."""

    def __call__(
        self,
        processor: type[RecordProcessor[Any]] | str,
        endpoint: str | None = None,
        **properties: object,
    ) -> RunningApplication:
        """Start `record-processor run`, on `dynamodb_local` unless an endpoint is given.

        It reads a shard when this returns. Raises AssertionError, with the end of its log, if it does not.
        """


class MakeStreamTable(Protocol):
    """The fixture `stream_table`."""

    def __call__(self, stream_view_type: str = "NEW_AND_OLD_IMAGES", name: str | None = None) -> StreamTable:
        """Create a table with a stream, with a unique name unless one is given."""


@pytest.fixture(scope="session")
def dynamodb_local() -> Iterator[DynamoDBLocal]:
    """Give a DynamoDB Local, the same for all tests of the session."""
    with DynamoDBLocal() as server:
        yield server


@pytest.fixture
def fault_proxy(dynamodb_local: DynamoDBLocal) -> Iterator[FaultProxy]:
    """Give a fault proxy of the test's own, in front of `dynamodb_local`."""
    with FaultProxy(dynamodb_local.endpoint) as proxy:
        yield proxy


@pytest.fixture
def stream_simulator(dynamodb_local: DynamoDBLocal) -> Iterator[StreamSimulator]:
    """Give a stream simulator of the test's own, in front of `dynamodb_local`."""
    with StreamSimulator(dynamodb_local.endpoint) as simulator:
        yield simulator


@pytest.fixture(scope="session")
def aws_server() -> Iterator[AwsServer]:
    """Give moto as a server, the same for all tests of the session: queues, topics, buckets."""
    with AwsServer() as server:
        yield server


@pytest.fixture
def running_application(dynamodb_local: DynamoDBLocal, tmp_path: Path) -> Iterator[RunApplication]:
    """Give a function that starts applications; at the test's end they are killed."""
    with ExitStack() as stack:

        def run(
            processor: type[RecordProcessor[Any]] | str, endpoint: str | None = None, **properties: object
        ) -> RunningApplication:
            folder = Path(tempfile.mkdtemp(prefix="application-", dir=tmp_path))
            application = RunningApplication(
                folder, endpoint or dynamodb_local.endpoint, processor, **properties
            )
            return stack.enter_context(application).start_and_wait()

        yield run


@pytest.fixture
def stream_table(dynamodb_local: DynamoDBLocal) -> Iterator[MakeStreamTable]:
    """Give a function that creates tables with a stream in `dynamodb_local`, for the time of the test."""
    client = dynamodb_local.client()
    names: list[str] = []

    def make(stream_view_type: str = "NEW_AND_OLD_IMAGES", name: str | None = None) -> StreamTable:
        names.append(name or f"table-{secrets.token_hex(6)}")
        return create_stream_table(client, names[-1], stream_view_type)

    yield make
    for name in names:
        with suppress(client.exceptions.ResourceNotFoundException):  # the test may have deleted it
            client.delete_table(TableName=name)
