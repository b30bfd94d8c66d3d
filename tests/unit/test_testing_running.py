"""What can be said of a running application before it runs, and of the server that needs moto."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from record_processor import ConfigurationError, Record, RecordProcessor, StartError
from record_processor import settings as properties
from record_processor.testing import AwsServer, RunningApplication, aws_server
from record_processor.testing.properties import write_properties

ENDPOINT = "http://127.0.0.1:1"


class Orders(RecordProcessor):
    """Can be imported."""

    class Nested(RecordProcessor):
        """So can this one."""

    def process_record(self, record: Record) -> None:
        """Do nothing."""


def test_a_class_is_named_as_a_properties_file_names_it(tmp_path: Path) -> None:
    """Nested ones, too."""
    for processor, name in ((Orders, "Orders"), (Orders.Nested, "Orders.Nested")):
        application = RunningApplication(tmp_path, ENDPOINT, processor, sourceTable="orders")
        settings = properties.load(application.write_file(), {})
        assert settings["processor"] == f"{__name__}:{name}"
        assert settings["applicationName"] == application.name
        assert stat.S_IMODE((tmp_path / "app.properties").stat().st_mode) == 0o600


def test_what_was_not_started_cannot_be_asked(tmp_path: Path) -> None:
    """Nor does it leave anything."""
    with RunningApplication(tmp_path, ENDPOINT, Orders) as application:
        assert (application.lines(), application.output(), application.has_ended) == ([], "", False)
        with pytest.raises(AssertionError, match="it was not started"):
            application.drain()
    with pytest.raises(ConfigurationError, match="cannot be imported by another process"):
        RunningApplication(tmp_path, ENDPOINT, type("Made", (Orders,), {"__module__": "__main__"}))


@given(
    batch=st.integers(1, 10_000),
    bisect=st.booleans(),
    tables=st.lists(st.from_regex(r"[a-z]{3,9}", fullmatch=True), min_size=1, max_size=3, unique=True),
)
def test_python_values_are_what_the_file_says(
    tmp_path_factory: pytest.TempPathFactory, batch: int, bisect: bool, tables: list[str]
) -> None:
    """Read again, they are the same; None is left out."""
    file = tmp_path_factory.mktemp("properties") / "app.properties"
    criteria = {"Filters": [{"Pattern": '{"eventName": ["INSERT"]}'}]}
    given = {"processor": "a:B", "applicationName": "app", "regionName": "eu-west-1", "sourceTable": tables}
    more = {"batchSize": batch, "bisectBatchOnFunctionError": bisect, "filterCriteria": criteria}
    write_properties(file, {**given, **more, "timeoutInSeconds": None})
    settings = properties.load(file, {})
    assert settings["sourceTable"] == tuple(tables)
    assert (settings["batchSize"], settings["bisectBatchOnFunctionError"]) == (batch, bisect)
    assert settings["filterCriteria"] is not None
    assert settings["timeoutInSeconds"] is None


def test_without_moto_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Instead of a server that does not answer."""
    monkeypatch.setattr(aws_server, "_NEEDED", ("moto", "not_installed_anywhere"))
    with pytest.raises(StartError, match=r"not_installed_anywhere cannot be imported.*\[testing-aws\]"):
        AwsServer().__enter__()
