"""`record-processor parked`, in this process, on records in files."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from record_processor.cli import main
from record_processor.parking import Condition, Entry, ErrorInfo, Parked
from record_processor.parking.files import FileDestination
from tests.destination_suite import records
from tests.parked_records import NOW, SHARD, parked

_HANDLER = """
from record_processor import *
{log}
class Orders(RecordProcessor):
{body}
"""
_RAISES_FOR_BAD = """
    def process_record(self, record):
        log(record.sequence_number)
        if record.keys["pk"] == "bad":
            raise ValueError("no total")
"""


class Application:
    """A properties file, a class, and where its records are parked."""

    def __init__(self, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.module = f"shop_{folder.name.replace('-', '_')}"
        self.destination = FileDestination(folder / "failed")
        self.destination.check()
        self.handled = folder / "handled"
        self.handled.touch()
        self._capfd = capfd
        self.properties()
        self.handler(_RAISES_FOR_BAD)

    def properties(self, **more: str) -> None:
        """Write the properties file."""
        values = {
            "processor": f"{self.module}:Orders",
            "sourceTable": "orders",
            "applicationName": "orders-to-search",
            "regionName": "eu-west-1",
            "onFailureDestination": f"file://{self.folder / 'failed'}",
            **more,
        }
        path = self.folder / "orders.properties"
        path.write_text("".join(f"{name} = {value}\n" for name, value in values.items() if value))
        path.chmod(0o600)

    def handler(self, body: str) -> None:
        """Write the class's body; in it, `log(text)` writes a line that `lines` returns."""
        log = f"def log(text):\n    with open({str(self.handled)!r}, 'a') as file: print(text, file=file)\n"
        (self.folder / f"{self.module}.py").write_text(_HANDLER.format(log=log, body=body))

    def lines(self) -> list[str]:
        """Return what the handler logged."""
        return self.handled.read_text().splitlines()

    def park(self, *given: Parked) -> None:
        """Park records."""
        for each in given:
            self.destination.put(each)

    def left(self) -> list[str]:
        """Return the sequence numbers of what is still parked."""
        return [each.sequence_number for each in records(self.destination)]

    def run(self, command: str, *options: str) -> tuple[int, str, str]:
        """Run a command on the file; return its exit code and what it wrote."""
        sys.modules.pop(self.module, None)
        with pytest.raises(SystemExit) as exit_:
            main(["parked", command, str(self.folder / "orders.properties"), *options])
        out, err = self._capfd.readouterr()
        assert isinstance(exit_.value.code, int)
        return exit_.value.code, out, err


@pytest.fixture
def application(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Application]:
    """Give an application that has parked nothing."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    made = Application(tmp_path, capfd)
    yield made
    sys.modules.pop(made.module, None)


# --- list and show ---


def test_list_shows_what_is_parked_and_nothing_of_its_items(application: Application) -> None:
    """For people and for programs; an item may be personal."""
    application.park(parked("100", pk="canary", data="canary", error=ValueError("no\x1b[31m\ntotal")))
    for options in ([], ["--json"]):
        code, out, err = application.run("list", *options)
        assert (code, err) == (0, "")
        assert "canary" not in out
        assert "\x1b" not in out
        for part in (parked().id, "RetryAttemptsExhausted", "orders", SHARD, "100", "ValueError"):
            assert part in out


def test_list_for_people_has_a_header_and_a_line_each(application: Application) -> None:
    """Also if nothing is parked."""
    assert application.run("list")[1].count("\n") == 1
    application.park(parked("1"), parked("2", error=ValueError("two\nlines")))
    assert application.run("list")[1].count("\n") == 3


def test_list_for_programs_is_the_document_without_the_record(application: Application) -> None:
    """And with the id and the place beside it."""
    application.park(parked())
    document = json.loads(application.run("list", "--json")[1])
    expected = parked().to_json()
    del expected["record"]
    assert document.pop("where") == str(application.folder / "failed" / parked().path)
    assert document == {"id": parked().id, **expected}


def test_show_has_all(application: Application) -> None:
    """The traceback and the item, for people and for programs; nothing that a terminal obeys."""
    application.park(parked(data="canary\x1b[31m", error=ValueError("no\x1b[31m total")), parked("101"))
    code, out, err = application.run("show", parked().id)
    assert (code, err) == (0, "")
    assert "canary" in out
    assert "ValueError: no\\x1b[31m total" in out
    assert "\x1b" not in out
    code, out, _ = application.run("show", parked().id, "--json")
    assert json.loads(out)["record"]["dynamodb"]["SequenceNumber"] == "100"


def test_show_of_an_unknown_id_is_one_line(application: Application) -> None:
    """With exit code 1."""
    code, out, err = application.run("show", "nope")
    assert (code, out) == (1, "")
    assert err == "record-processor: error: there is no parked record nope; list shows what there is\n"


_ERROR = ErrorInfo("botocore.exceptions.ConnectTimeoutError", "Connect timeout on x", "…")
_TWO_HOURS = timedelta(hours=2)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], "1 2 3 4"),
        (["--table", "orders"], "1 2 3"),
        (["--table", "customers"], "4"),
        (["--table", "orders", "--table", "customers"], "1 2 3 4"),
        (["--shard", "shardId-2"], "2"),
        (["--id", parked("1").id], "1"),
        (["--condition", "ParkRequested"], "3"),
        (["--error", "connecttimeout"], "1"),
        (["--error", "TIMEOUT ON"], "1"),
        (["--error", "nothing"], ""),
        (["--since", "2026-11-24T12:30:15Z"], "1 3 4"),
        (["--since", "2026-11-24T11:00"], "1 3 4"),
        (["--until", "2026-11-24T12:30:15+00:00"], "2"),
        (["--since", "2026-11-24", "--until", "2026-11-25"], "1 2 3 4"),
        (["--since", "2026-11-24T14:30:15.123+02:00"], "1 3 4"),
        (["--since", "1s"], ""),
        (["--limit", "2"], "1 2"),
        (["--table", "orders", "--condition", "RetryAttemptsExhausted", "--limit", "1"], "1"),
    ],
)
def test_filters(options: list[str], expected: str, application: Application) -> None:
    """All must match; what is given several times, any; a time is that of parking."""
    application.park(
        replace(parked("1"), error=_ERROR),
        parked("2", shard_id="shardId-2", now=NOW - _TWO_HOURS),
        parked("3", condition=Condition.PARK_REQUESTED),
        replace(parked("4"), table_name="customers"),
    )
    code, out, _ = application.run("list", "--json", *options)
    assert code == 0
    numbers = [json.loads(each)["DDBStreamBatchInfo"]["startSequenceNumber"] for each in out.splitlines()]
    if "--limit" in options:
        assert len(numbers) == len(expected.split())
    else:
        assert sorted(numbers) == expected.split()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ["list", "--since", "yesterday"],
            "'yesterday' must be an ISO time, such as 2026-11-24T12:30Z, or how",
        ),
        (["list", "--since", "999999d"], "must be an ISO time"),
        (["list", "--limit", "0"], "0 is not in the range x>=1"),
        (["list", "--condition", "x"], "is not one of 'RetryAttemptsExhausted'"),
        (["redrive"], "There is no terminal to ask on: add --yes, or --dry-run"),
        (["delete"], "There is no terminal to ask on: add --yes, or --dry-run"),
    ],
)
def test_a_usage_error_is_one_line(
    arguments: list[str], line: str, application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With exit code 2, and nothing is touched."""
    application.park(parked())
    with Path(os.devnull).open() as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        code, out, err = application.run(*arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert line in err
    assert application.left() == ["100"]


@pytest.mark.parametrize(
    ("properties", "line"),
    [
        ({"onFailureDestination": ""}, "it has no onFailureDestination, so nothing is parked; add one"),
        ({"onFailureDestination": "discard"}, "onFailureDestination = discard keeps nothing"),
        (
            {"onFailureDestination": "file:///no/such"},
            "there is no folder /no/such on this host: nothing was",
        ),
    ],
)
def test_where_nothing_can_be_read_is_one_line(
    properties: dict[str, str], line: str, application: Application
) -> None:
    """For each command."""
    application.properties(**properties)
    for arguments in (["list"], ["show", "x"], ["redrive", "--yes"], ["delete", "--yes"]):
        code, out, err = application.run(*arguments)
        assert (code, err.count("\n")) == (2, 1)
        assert line in err
        assert out.count("\n") <= 1


def test_what_is_not_ours_is_told_and_left_alone(application: Application) -> None:
    """Neither another application's records nor other files are handled or deleted."""
    application.park(parked("1"), parked("2", application_name="other"))
    odd = application.folder / "failed" / "odd\x1b.json"
    odd.write_text("{}")
    for arguments in (["list"], ["redrive", "--yes"], ["delete", "--yes"]):
        code, out, err = application.run(*arguments)
        assert code == 0
        assert "odd\\x1b.json: it is no parked record" in err
        assert "left alone: 1 of other applications" in err
        assert "\x1b" not in out + err
    assert application.left() == ["2"]
    assert application.lines() == ["1"]
    assert odd.exists()


# --- delete ---


def test_delete_removes_what_matches(application: Application) -> None:
    """And says how many; nothing is handled."""
    application.park(*(parked(str(number), error=ValueError()) for number in (1, 2)), parked("3"))
    code, out, err = application.run("delete", "--yes", "--error", "ValueError")
    assert (code, out, err) == (0, "", "2 of 2 deleted, 0 failed\n")
    assert application.left() == ["3"]
    assert application.lines() == []


def test_delete_of_nothing_says_so(application: Application) -> None:
    """It is no failure."""
    assert application.run("delete", "--yes") == (0, "", "0 to delete\n")


def test_what_cannot_be_deleted_is_told(application: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are deleted; exit code 1."""
    application.park(parked("1"), parked("2"))
    delete = FileDestination.delete

    def fail_for_1(self: FileDestination, entry: Entry) -> None:
        if entry.parked.sequence_number == "1":
            raise PermissionError(13, "Permission denied")
        delete(self, entry)

    monkeypatch.setattr(FileDestination, "delete", fail_for_1)
    code, _, err = application.run("delete", "--yes")
    assert code == 1
    assert f"failed: {parked('1').id}: PermissionError: [Errno 13] Permission denied" in err
    assert err.endswith("1 of 2 deleted, 1 failed\n")
    assert application.left() == ["1"]


@pytest.mark.parametrize("command", ["redrive", "delete"])
def test_a_dry_run_changes_nothing(command: str, application: Application) -> None:
    """It lists what it would be, without a question."""
    application.park(parked("1", pk="canary"), parked("2"))
    code, out, err = application.run(command, "--dry-run", "--limit", "1")
    assert (code, err) == (0, f"1 to {command}\n")
    assert parked("1").id in out
    assert "canary" not in out
    assert application.left() == ["1", "2"]
    assert application.lines() == []


# --- redrive ---


def test_redrive_hands_out_the_oldest_first_and_removes_what_is_handled(application: Application) -> None:
    """By number, whatever shard they are of."""
    application.park(parked("100"), parked("20", pk="b", shard_id="shardId-2"), parked("3"))
    code, out, err = application.run("redrive", "--yes")
    assert (code, out, err) == (0, "", "3 of 3 redriven, 0 failed\n")
    assert application.lines() == ["3", "20", "100"]
    assert application.left() == []


def test_redrive_with_a_limit_takes_the_oldest(application: Application) -> None:
    """A first try on a few."""
    application.park(parked("100"), parked("20"), parked("3"))
    application.run("redrive", "--yes", "--limit", "2")
    assert application.lines() == ["3", "20"]


def test_what_fails_stays_and_holds_back_its_key(application: Application) -> None:
    """Newer records of other keys are handled, those of the same key are left; exit code 1."""
    application.park(parked("1", pk="bad"), parked("2"), parked("3", pk="bad"), parked("4"))
    code, out, err = application.run("redrive", "--yes", "--json")
    assert code == 1
    assert application.lines() == ["1", "2", "4"]
    assert application.left() == ["1", "3"]
    assert f"failed: {parked('1').id}: ValueError: no total" in err
    assert 'raise ValueError("no total")' in err
    assert f"left: {parked('3').id}: an older record of the same key is still parked" in err
    assert err.endswith("2 of 4 redriven, 1 failed, 1 left\n")
    results = [json.loads(each) for each in out.splitlines()]
    assert [each["result"] for each in results] == ["failed", "redriven", "left", "redriven"]
    assert results[0]["reason"] == "ValueError: no total"


def test_what_was_handled_and_cannot_be_removed_holds_back_its_key(
    application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would be handled again, after what is newer."""
    application.park(parked("1"), parked("2"), parked("3", pk="b"))
    delete = FileDestination.delete

    def fail_for_1(self: FileDestination, entry: Entry) -> None:
        if entry.parked.sequence_number == "1":
            raise PermissionError(13, "Permission denied")
        delete(self, entry)

    monkeypatch.setattr(FileDestination, "delete", fail_for_1)
    code, _, err = application.run("redrive", "--yes")
    assert code == 1
    assert application.lines() == ["1", "3"]
    assert application.left() == ["1", "2"]
    assert err.endswith("1 of 3 redriven, 1 failed, 1 left\n")


_BATCH = "    def process_batch(self, records):\n        (record,) = records\n        log(record.event_id)\n"


@pytest.mark.parametrize(
    ("body", "is_handled"),
    [
        ("    def on_insert(self, record): log(record.event_id)\n", True),
        ("    def on_insert(self, record): log(record.event_id); raise SkipRecordError\n", True),
        ("    def on_insert(self, record): log(record.event_id); raise ParkRecordError\n", False),
        ("    def on_insert(self, record): log(record.event_id); 1 / 0\n", False),
        ("    def on_insert(self, record): log(record.event_id); import sys; sys.exit(0)\n", False),
        (_BATCH, True),
        (f"{_BATCH}        return {{}}\n", True),
        (f"{_BATCH}        return {{'batchItemFailures': []}}\n", True),
        (f"{_BATCH}        return {{'batchItemFailures': None}}\n", True),
        (f"{_BATCH}        return {{'batchItemFailures': [{{'itemIdentifier': '100'}}]}}\n", False),
        (f"{_BATCH}        return {{'batchItemFailures': [{{'itemIdentifier': '99'}}]}}\n", False),
        (f"{_BATCH}        return {{'batchItemFailures': [{{}}]}}\n", False),
        (f"{_BATCH}        return {{'failures': []}}\n", False),
        (f"{_BATCH}        return 'done'\n", False),
        (f"{_BATCH}        return BatchItemFailures([])\n", True),
        (f"{_BATCH}        return BatchItemFailures([record])\n", False),
        (f"{_BATCH}        raise BatchItemFailures({{record: ValueError('x')}})\n", False),
        (f"{_BATCH}        raise BatchItemFailures({{record: SkipRecordError()}})\n", True),
        (f"{_BATCH}        raise KeyError('x')\n", False),
    ],
)
def test_what_counts_as_handled(body: str, is_handled: bool, application: Application) -> None:
    """A return, a skip, and what Lambda takes as success; nothing else."""
    application.handler(body)
    application.park(parked())
    code, _, _ = application.run("redrive", "--yes")
    assert application.lines() == ["event-100"]
    assert (code, application.left()) == ((0, []) if is_handled else (1, ["100"]))


def test_a_fatal_error_ends_it(application: Application) -> None:
    """Running on would be wrong: nothing more is handed out."""
    application.handler(
        "    def on_insert(self, record):\n        log(record.sequence_number); raise FatalError('stop')\n"
    )
    application.park(parked("1"), parked("2", pk="b"))
    code, _, err = application.run("redrive", "--yes")
    assert (code, application.lines(), application.left()) == (1, ["1"], ["1", "2"])
    assert err.endswith("0 of 2 redriven, 1 failed\n")


def test_the_class_is_set_up_and_torn_down_once(application: Application) -> None:
    """With a context that has no checkpoints; what it prints is no output."""
    application.handler(
        "    def setup(self, context):\n"
        "        print('setup'); log(f'{context.table_name} {context.shard_id}')\n"
        "        self.checkpointer = context.checkpointer\n"
        "    def on_insert(self, record):\n"
        "        print('handling')\n"
        "        try: self.checkpointer.checkpoint(record)\n"
        "        except CheckpointError as error: log(error)\n"
        "    def teardown(self, reason): print('teardown'); log(reason.value)\n"
    )
    application.park(parked("1"), parked("2"))
    code, out, err = application.run("redrive", "--yes", "--json")
    assert (code, out.count("\n")) == (0, 2)
    assert err.splitlines() == ["setup", "handling", "handling", "2 of 2 redriven, 0 failed", "teardown"]
    refused = "a redriven record is not in a shard: there is nothing to checkpoint"
    assert application.lines() == ["orders redrive", refused, refused, "shutdownRequested"]


def test_numbers_are_what_the_properties_say(application: Application) -> None:
    """A redriven record is decoded as by a worker."""
    application.handler("    def on_insert(self, record): log(repr(record.item['total']))\n")
    for numbers, expected in (("int", "7"), ("decimal", "Decimal('7')")):
        application.properties(numbers=numbers)
        application.park(parked(total=7))
        application.run("redrive", "--yes")
        assert application.lines()[-1] == expected


def test_items_are_of_the_model(application: Application) -> None:
    """As a worker makes them, from the table's and shard's records."""
    application.handler(
        "    from dataclasses import make_dataclass\n"
        "    model = make_dataclass('Order', [('pk', str), ('total', int)])\n"
        "    def on_insert(self, record): log(f'{record.item.total} {record.shard_id} {record.table_name}')\n"
    )
    application.park(parked(total=7))
    assert application.run("redrive", "--yes")[0] == 0
    assert application.lines() == [f"7 {SHARD} orders"]


@pytest.mark.parametrize(
    ("body", "code", "line"),
    [
        ("    def on_insert(self, record):\n", 2, "processor: "),
        ("    def nothing(self): pass\n", 2, "handles nothing"),
        (
            "    def setup(self, context): raise KeyError('host')\n    def on_insert(self, record): pass\n",
            3,
            ":Orders: setup failed: KeyError: 'host'",
        ),
    ],
)
def test_a_class_that_cannot_be_used_changes_nothing(
    body: str, code: int, line: str, application: Application
) -> None:
    """The last line says why."""
    application.handler(body)
    application.park(parked())
    told, _, err = application.run("redrive", "--yes")
    assert told == code
    assert line in err.splitlines()[-1]
    assert application.left() == ["100"]


def test_a_teardown_that_fails_changes_nothing(application: Application) -> None:
    """What was handled is handled."""
    application.handler(
        "    def on_insert(self, record): pass\n    def teardown(self, reason): raise ValueError('x')\n"
    )
    application.park(parked())
    code, _, err = application.run("redrive", "--yes")
    assert code == 0
    assert "teardown failed:\nTraceback" in err


def test_a_document_that_cannot_be_made_a_record_fails_alone(application: Application) -> None:
    """Somebody changed it; the others are handled."""
    broken: dict[str, Any] = {"dynamodb": {"SequenceNumber": "x"}}
    application.park(replace(parked("1"), record=broken), parked("2"))
    code, _, err = application.run("redrive", "--yes")
    assert (code, application.lines(), application.left()) == (1, ["2"], ["1"])
    assert "DecodeError" in err
