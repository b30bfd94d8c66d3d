"""Fixtures of the tests that run the whole system on DynamoDB Local."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from record_processor.testing import DynamoDBLocal
from tests.local.application import Application, MakeApplication


@pytest.fixture
def application(dynamodb_local: DynamoDBLocal, tmp_path: Path) -> Iterator[MakeApplication]:
    """Give a function that makes applications; at the end nothing of them runs."""
    with ExitStack() as stack:

        def make(endpoint: str | None = None, **properties: Any) -> Application:
            return stack.enter_context(
                Application(tmp_path, endpoint or dynamodb_local.endpoint, **properties)
            )

        yield make
