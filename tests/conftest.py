"""What holds for all tests: none sees this host's AWS settings, none is late because the host is busy."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

from tests import fault_report
from tests.fault_report import recovery  # noqa: F401 a fixture

# No test reaches an account, whatever the developer is logged in to, or waits for an instance's metadata.
for name in [name for name in os.environ if name.startswith("AWS_")]:
    del os.environ[name]
os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull

settings.register_profile("shared machine", deadline=None, print_blob=True)
settings.load_profile("shared machine")


def pytest_configure(config: pytest.Config) -> None:
    """Gather what tests show of the fault matrix."""
    fault_report.configure(config)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let a test's report say which faults it is about."""
    fault_report.note_faults(item)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse names that differ from process to process: tests run in several, which must agree on them."""
    unnamed = [item.nodeid for item in items if " at 0x" in item.nodeid]
    if unnamed:
        raise pytest.UsageError(f"give its parameters ids that are the same in every process: {unnamed[0]}")
