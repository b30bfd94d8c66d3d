"""The launcher's small parts: Java and its jars, the worker's id, programs, commands, signals."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from record_processor import jars
from record_processor import settings as properties
from record_processor.errors import ConfigurationError, StartError
from record_processor.launcher import java
from record_processor.launcher.commands import daemon_environment, worker_command
from record_processor.launcher.identity import hold_by_file, hold_worker_id
from record_processor.launcher.log_lines import Level
from record_processor.launcher.preflight import check_program
from record_processor.launcher.probe import probe
from record_processor.launcher.signals import Signals, Stopped
from record_processor.worker.options import parse


@pytest.fixture
def signals() -> Iterator[Signals]:
    """Signals, taken over for a test."""
    with Signals() as taken:
        yield taken


@pytest.fixture
def application(tmp_path: Path) -> str:
    """An application that no other test has."""
    return f"app-{os.getpid()}-{tmp_path.name}"


def program(path: Path, text: str) -> Path:
    """Write a shell script."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


# --- Java ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "output",
    [
        'openjdk version "17.0.15" 2025-04-15',
        'openjdk version "25-ea" 2025-09-16',
        'java version "21" 2023-09-19',
    ],
)
def test_a_java_that_is_new_enough_is_found(tmp_path: Path, signals: Signals, output: str) -> None:
    """JAVA_HOME's java is taken, also when it first says which options it picked up."""
    found = program(
        tmp_path / "bin" / "java", f"echo 'Picked up JAVA_TOOL_OPTIONS: -Dx=\"1\"'; echo '{output}' >&2"
    )
    assert java.find_java(signals, {"JAVA_HOME": str(tmp_path)}) == str(found)


@pytest.mark.parametrize(("version", "major"), [("1.8.0_402", 8), ("11.0.2", 11)])
def test_an_old_java_is_refused(tmp_path: Path, signals: Signals, version: str, major: int) -> None:
    """The line names the version that was found and what to install."""
    program(tmp_path / "java", f"echo 'openjdk version \"{version}\"'")
    with pytest.raises(StartError, match=f"is Java {major}, which is too old: install a Java runtime"):
        java.find_java(signals, {"PATH": str(tmp_path)})


def test_no_java_on_path(tmp_path: Path, signals: Signals) -> None:
    """The line says what to install."""
    with pytest.raises(StartError, match="no java on PATH: install"):
        java.find_java(signals, {"PATH": str(tmp_path)})


def test_a_wrong_java_home_is_not_passed_over(tmp_path: Path, signals: Signals) -> None:
    """JAVA_HOME was set on purpose: another Java would be a surprise."""
    with pytest.raises(StartError, match="JAVA_HOME is"):
        java.find_java(signals, {"JAVA_HOME": str(tmp_path), "PATH": os.environ["PATH"]})


def test_a_java_that_fails_is_told_with_its_last_line(tmp_path: Path, signals: Signals) -> None:
    """As macOS's placeholder for a Java that is not installed."""
    program(tmp_path / "java", "echo The operation could not be completed. >&2; exit 1")
    with pytest.raises(StartError, match=r"failed with exit code 1 \(The operation could not be completed"):
        java.find_java(signals, {"PATH": str(tmp_path)})


def test_missing_jars_name_the_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkout without jars asks for scripts/install."""
    monkeypatch.setattr(jars, "FOLDER", tmp_path)
    with pytest.raises(StartError, match="run scripts/install first"):
        java.daemon_command("java")


def test_a_jar_with_one_bit_changed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever it is, ours too: what was not tested is not run."""
    for jar in jars.FOLDER.glob("*"):
        (tmp_path / jar.name).write_bytes(jar.read_bytes())
    monkeypatch.setattr(jars, "FOLDER", tmp_path)
    assert java.daemon_command("java")
    for jar in tmp_path.glob("*.jar"):
        content = jar.read_bytes()
        jar.write_bytes(content[:1000] + bytes([content[1000] ^ 1]) + content[1001:])
        with pytest.raises(StartError, match=rf"^{re.escape(jar.name)} is not the file that was locked"):
            java.daemon_command("java")
        jar.write_bytes(content)


@pytest.mark.parametrize("variable", ["JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS"])
@pytest.mark.parametrize("flag", ["-Xmx2g", "-XX:MaxRAMPercentage=50", "-XX:MaxHeapSize=2g"])
def test_the_heap_is_limited_unless_the_user_does_it(variable: str, flag: str) -> None:
    """What stands on the command line would override the variables."""
    (limit,) = [word for word in java.daemon_command("java", {}) if word.startswith("-Xmx")]
    assert 0 < int(limit.removeprefix("-Xmx").removesuffix("m")) <= 1024
    assert not any(word.startswith("-Xmx") for word in java.daemon_command("java", {variable: flag}))


# --- The worker's id ----------------------------------------------------------------------------------------


def test_each_process_gets_the_smallest_free_number(application: str) -> None:
    """Two at once differ; a number that is free again is the next one's, so a restart finds its leases."""
    host = os.uname().nodename
    with ExitStack() as first:
        assert first.enter_context(hold_worker_id(application, None)) == f"{host}-1"
        with hold_worker_id(application, None) as second:
            assert second == f"{host}-2"
            first.close()
            with hold_worker_id(application, None) as third:
                assert third == f"{host}-1"


def test_applications_number_their_workers_apart(application: str) -> None:
    """Another application's workers do not count."""
    with hold_worker_id(application, None) as one, hold_worker_id(f"{application}x", None) as other:
        assert one == other


def test_a_worker_id_in_use_is_refused(application: str) -> None:
    """Also when it is the one that another process was given by itself."""
    with (
        hold_worker_id(application, None) as name,
        pytest.raises(ConfigurationError, match=f"as workerId {name}"),
        hold_worker_id(application, name),
    ):
        pass


def test_a_file_holds_a_name_where_there_is_no_abstract_namespace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock is exclusive, its folder private, and it is gone with its descriptor."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    held = hold_by_file("key")
    assert held is not None
    assert hold_by_file("key") is None
    os.close(held)
    again = hold_by_file("key")
    assert again is not None
    os.close(again)
    (folder,) = tmp_path.iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_folder_that_others_can_write_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else could hold or replace our locks."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / f"record_processor-{os.getuid()}").mkdir()
    (tmp_path / f"record_processor-{os.getuid()}").chmod(0o777)
    with pytest.raises(StartError, match="only you can read and write"):
        hold_by_file("key")


# --- Commands -----------------------------------------------------------------------------------------------


def test_a_program_is_found_as_a_shell_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bare name on PATH, a name with a slash from the current folder; the line says what is wrong."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    program(tmp_path / "bin" / "known", "")
    program(tmp_path / "here", "")
    (tmp_path / "text").touch()
    file = Path("x.properties")
    check_program("known --fast", file)
    check_program("./here 'an argument'", file)
    mistakes = {
        "here": "x.properties: executableName: here is not on PATH; for the one in this folder write ./here",
        "./gone": f"./gone does not exist; looked from {tmp_path}",
        "gone": "gone is not on PATH; write its full path",
        "./text": "./text is not executable: chmod \\+x ./text",
        "./bin": "./bin is a folder",
    }
    for command_line, message in mistakes.items():
        with pytest.raises(ConfigurationError, match=message):
            check_program(command_line, file)


def test_the_workers_command_looks_here_and_beside_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The current folder comes first, then the file's; the level and the settings are passed on."""
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    file = there / "x.properties"
    text = "processor=a:B\nsourceTable=orders\napplicationName=app\nregionName=eu-west-1"
    file.write_text(f"{text}\nretryBackoffMillis=7\nnumbers=Decimal\n")
    file.chmod(0o600)
    monkeypatch.chdir(here)
    command = worker_command(properties.load(file), Level.WARNING)
    assert command[:5] == [sys.executable, "-m", "record_processor.worker", "--processor", "a:B"]
    assert command[5:9] == ["--path", str(here), "--path", str(there)]
    assert command[9:12] == ["--log-level", "warning", "--settings"]
    assert len(command) == 13
    said = json.loads(command[12])
    assert {name: said[name] for name in ("retryBackoffMillis", "numbers")} == {
        "retryBackoffMillis": 7,
        "numbers": "decimal",
    }


WORKER_PROPERTIES = {
    "batchSize": "50",
    "maximumBatchingWindowInSeconds": "2",
    "maximumUnacknowledgedBytesPerShard": "1000000",
    "parallelizationFactor": "10",
    "timeoutInSeconds": "30",
    "retryBackoffMillis": "7",
    "maximumRetryBackoffMillis": "700",
    "maximumRetryAttempts": "3",
    "maximumRecordAgeInSeconds": "600",
    "bisectBatchOnFunctionError": "true",
    "onFailureDestination": "sqs://orders-failed",
    "onFailureOverflow": "s3://bucket/prefix",
    "idempotency": "dynamodb://orders-keys",
    "idempotencyKey": "orderId, lines[0].id",
    "idempotencyLockSeconds": "30",
    "idempotencyTtlSeconds": "600",
    "numbers": "decimal",
}


def test_what_a_worker_needs_comes_through_its_command(tmp_path: Path) -> None:
    """The worker's settings are the launcher's, of the same types; what is not for it is not said."""
    file = tmp_path / "x.properties"
    given = {
        "processor": "a:B",
        "sourceTable": "orders",
        "applicationName": "app",
        "regionName": "eu-west-1",
        "workerId": "canary",
        **WORKER_PROPERTIES,
    }
    file.write_text("".join(f"{name} = {value}\n" for name, value in given.items()))
    file.chmod(0o600)
    loaded = properties.load(file)
    command = worker_command(loaded, Level.INFO)
    options = parse(command[3:])
    assert options.processor == "a:B"
    received = options.loaded_settings()
    names = [*WORKER_PROPERTIES, "applicationName", "regionName", "dynamoDBEndpoint"]
    assert {name: received[name] for name in names} == {name: loaded[name] for name in names}
    assert "canary" not in " ".join(command)


def test_a_worker_without_settings_has_the_defaults() -> None:
    """So that it can be started by hand."""
    assert parse(["--processor", "a:B"]).loaded_settings().values == properties.DEFAULTS


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "C.UTF-8"),
        ({"LC_ALL": "C", "LANG": "en_US.UTF-8"}, "C.UTF-8"),
        ({"LANG": "de_DE.ISO-8859-1"}, "C.UTF-8"),
        ({"LANG": "de_DE.UTF-8"}, None),
        ({"LC_CTYPE": "C.utf8", "LANG": "C"}, None),
    ],
)
def test_only_a_locale_without_utf8_is_replaced(given: dict[str, str], expected: str | None) -> None:
    """A locale that holds every path is left as it is."""
    assert daemon_environment(given).get("LC_ALL") == expected


def test_memory_is_given_back_unless_the_user_has_set_how() -> None:
    """Glibc's own variables, which a user may have reasons to set."""
    assert daemon_environment({})["MALLOC_ARENA_MAX"] == "2"
    assert daemon_environment({"MALLOC_ARENA_MAX": "8"})["MALLOC_ARENA_MAX"] == "8"


# --- Signals ------------------------------------------------------------------------------------------------


def test_a_signal_is_remembered_until_it_is_looked_for(signals: Signals) -> None:
    """A signal between two looks is not lost."""
    os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(Stopped):
        signals.raise_if_stopped()
    assert signals.received == [signal.SIGTERM]


def test_a_hangup_that_is_ignored_stays_ignored() -> None:
    """Under nohup the end of the terminal is not the end of the command."""
    previous = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Signals() as signals:
            os.kill(os.getpid(), signal.SIGHUP)
            signals.wait(0)
            assert signals.received == []
    finally:
        signal.signal(signal.SIGHUP, previous)


def test_handlers_are_given_back() -> None:
    """After the block everything is as before."""
    before = signal.getsignal(signal.SIGINT)
    with Signals():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before


def test_the_end_of_a_command_ends_the_wait_for_it(signals: Signals) -> None:
    """No time limit, and no polling: the end of the child wakes."""
    assert probe(["/bin/sh", "-c", "echo out; echo err >&2; exit 7"], signals) == (7, "out\nerr\n")
