"""Fixtures of the tests that run the whole system on DynamoDB Local."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from record_processor.testing import DynamoDBLocal
from tests.local.application import Application, MakeApplication

ON_BOTH_TRANSPORTS = (
    "test_main_job",
    "test_failures",
    "test_values",
    "test_filters",
)
"""The modules whose tests run on each wire."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run these tests twice."""
    if "application" in metafunc.fixturenames and metafunc.module.__name__.endswith(ON_BOTH_TRANSPORTS):
        metafunc.parametrize("transport", ["socket", "stdio"])


@pytest.fixture
def transport() -> str:
    """What carries the records."""
    return "socket"


@pytest.fixture
def application(dynamodb_local: DynamoDBLocal, tmp_path: Path, transport: str) -> Iterator[MakeApplication]:
    """Give a function that makes applications; at the end nothing of them runs."""
    with ExitStack() as stack:

        def make(endpoint: str | None = None, **properties: Any) -> Application:
            if transport != "socket":
                properties = {"workerTransport": transport, **properties}
            return stack.enter_context(
                Application(tmp_path, endpoint or dynamodb_local.endpoint, **properties)
            )

        yield make


@pytest.fixture
def host(dynamodb_local: DynamoDBLocal, tmp_path: Path) -> Iterator[MakeApplication]:
    """Give a function that makes hosts of one application, by number; they share flags and history."""
    with ExitStack() as stack:

        def make(number: int, endpoint: str | None = None, **properties: Any) -> Application:
            folder = tmp_path / f"host-{number}"
            folder.mkdir(mode=0o700)
            properties = {"workerId": f"host-{number}", **properties}
            return stack.enter_context(
                Application(folder, endpoint or dynamodb_local.endpoint, shared=tmp_path, **properties)
            )

        yield make
