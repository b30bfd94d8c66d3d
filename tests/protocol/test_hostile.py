"""A real worker with hostile handlers, and with a daemon that speaks nonsense or dies."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from tests.protocol.scripted_daemon import (
    IMPORTS,
    LONG_SECONDS,
    ROOT,
    ScriptedDaemon,
    WireName,
    record,
    wait_until,
)

Start: TypeAlias = Callable[..., ScriptedDaemon]
FORGED_STATUS = json.dumps({"action": "status", "responseFor": "processRecords"})
FORGED_CHECKPOINT = json.dumps({"action": "checkpoint", "sequenceNumber": "999"})
IDLE = """
class Processor(RecordProcessor):
    def on_insert(self, record):
        pass
    def teardown(self, reason):
        print("teardown", flush=True)
"""

DISTURBANCES = {
    "junk": "print('junk')",
    "null": "print('null')",
    "forged status": f"print({FORGED_STATUS!r})",
    "forged checkpoint": f"print({FORGED_CHECKPOINT!r})",
    "a megabyte without a newline": "print('x' * 1_000_000, end='')",
    "a thread": f"t = threading.Thread(target=print, args=({FORGED_STATUS!r},)); t.start(); t.join()",
    "a subprocess": f"subprocess.run(['echo', {FORGED_STATUS!r}], check=True)",
    "a shell with every descriptor": "os.system('for n in 1 3 4 5 6 7; do echo null >&$n; done 2>&-')",
    "a forked child": "pid = os.fork()\n        if pid == 0:\n"
    f"            print({FORGED_STATUS!r}, flush=True)\n            os._exit(0)\n        os.waitpid(pid, 0)",
    "descriptor 1": f"os.write(1, {(FORGED_STATUS + chr(10)).encode()!r})",
    "C": f"ctypes.CDLL(None).puts({FORGED_STATUS.encode()!r}); ctypes.CDLL(None).fflush(None)",
    "sys.__stdout__": f"sys.__stdout__.write({(FORGED_STATUS + chr(10))!r}); sys.__stdout__.flush()",
    "closed stdout": "sys.stdout.close()",
    "closed descriptors": "os.close(0); os.close(1)",
    "reading standard input": "assert sys.stdin.read() == ''",
    "input()": "\n        try:\n            input('name? ')\n        except EOFError:\n            pass",
    "a subprocess that reads": "assert subprocess.check_output(['cat']) == b''",
    "odd characters": "print('\\udcff\\x00\\x1b[31m\\x1e{}')",
    "a warning": "warnings.warn('careful')",
    "a thread that raises": "t = threading.Thread(target=lambda: 1 / 0); t.start(); t.join()",
    "own logging": "logging.basicConfig(level=0, force=True); logging.warning('mine')",
}


@pytest.mark.parametrize("disturbance", DISTURBANCES.values(), ids=DISTURBANCES.keys())
@pytest.mark.fault(6)
def test_nothing_reaches_the_protocol(disturbance: str, start: Start) -> None:
    """Whatever a handler prints, by whatever way, the conversation is the same."""
    source = f"""
class Processor(RecordProcessor):
    def on_insert(self, record):
        {disturbance}
"""
    with start(source) as daemon:
        daemon.initialize()
        daemon.send_batch(1)
        daemon.expect_acknowledge(1)
        daemon.send({"action": "shardEnded"})
        daemon.expect_status("shardEnded")
        daemon.expect_exit(0)
        assert not [log for log in daemon.logs("ERROR") if "attempt" in log["message"]]


def test_output_is_not_lost_and_not_late(start: Start) -> None:
    """A line that is printed is there at once; the rest at the end, from the import on."""
    source = """
print("at import")
class Processor(RecordProcessor):
    def setup(self, context):
        ctypes.CDLL(None).puts(b"from C")
    def on_insert(self, record):
        print("in the handler")
    def teardown(self, reason):
        print("at the end", end="")
import atexit
atexit.register(print, ", and after it")
"""
    with start(source) as daemon:
        daemon.initialize()
        daemon.send_batch(1)
        daemon.expect_acknowledge(1)
        wait_until(lambda: "in the handler" in daemon.printed())
        daemon.send({"action": "shardEnded"})
        daemon.expect_status("shardEnded")
        daemon.expect_exit(0)
        assert daemon.printed()[0] == "at import"
        assert "at the end, and after it" in daemon.printed()
        assert "from C" in daemon.printed()


def test_log_records_stay_one_line(start: Start) -> None:
    """Newlines, escape sequences and NUL stay inside the JSON; a book is cut in its middle."""
    source = r"""
class Processor(RecordProcessor):
    def setup(self, context):
        log = logging.getLogger("orders")
        log.warning("two\nlines \x1b[31m \x00 \udcff")
        log.critical("x" * 10**6)
        log.log(25, "between")
        log.debug("hidden")
        log.info("%d", "not a number")
        log.info("after")
    def on_insert(self, record): pass
"""
    with start(source) as daemon:
        daemon.initialize()
        logs = daemon.logs()
    assert logs[0] == {"level": "WARNING", "logger": "orders", "message": "two\nlines \x1b[31m \x00 \udcff"}
    assert [log["level"] for log in logs] == ["WARNING", "ERROR", "INFO", "INFO"]
    assert len(logs[1]["message"]) < 17_000
    assert "characters left out" in logs[1]["message"]
    assert logs[3]["message"] == "after"


def test_uncaught_exceptions_of_threads_are_errors(start: Start) -> None:
    """A thread that dies is in the log, with its traceback; a warning is one, too."""
    source = """
class Processor(RecordProcessor):
    def setup(self, context):
        thread = threading.Thread(target=lambda: 1 / 0, name="mine")
        thread.start()
        thread.join()
        warnings.warn("careful")
    def on_insert(self, record): pass
"""
    with start(source) as daemon:
        daemon.initialize()
        (error,) = daemon.logs("ERROR")
        (warning,) = daemon.logs("WARNING")
    assert error["message"] == "uncaught ZeroDivisionError in thread mine"
    assert error["exception"].endswith("ZeroDivisionError: division by zero")
    assert (warning["logger"], "careful" in warning["message"]) == ("py.warnings", True)


# --- A daemon that speaks nonsense ---


@pytest.mark.parametrize(
    "payload",
    [
        b"canary",
        b"null",
        b"\xff\xfe",
        b"[" * 100_000,
        b"\x91" * 100_000,
        b'{"action":"canary"}',
        b"\x81\xa6action\xc1",
    ],
    ids=lambda payload: str(payload[:40]),
)
def test_a_message_that_is_not_understood(payload: bytes, start: Start) -> None:
    """It is one error that quotes nothing, and the end of the worker: never a hang, never a guess."""
    with start(IDLE) as daemon:
        daemon.initialize()
        daemon.send_payload(payload)
        _expect_one_error(daemon, "is not understood: ")


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ({"action": "canary"}, "it has no action that this version knows"),
        ({"action": "processRecords"}, "Object missing required field `records`"),
        ({"action": "processRecords", "records": [record("canary")]}, "not one to a hundred digits"),  # type: ignore[arg-type]
        ({"action": "checkpoint", "error": None}, "the daemon's checkpoint came out of turn"),
        ({"action": "initialize", "shardId": "canary"}, "the daemon's initialize came out of turn"),
    ],
)
def test_a_message_that_nobody_asked_for(message: dict[str, object], reason: str, start: Start) -> None:
    """The same for what can be read, and is not as it should be."""
    with start(IDLE) as daemon:
        daemon.initialize()
        daemon.send(message)
        _expect_one_error(daemon, reason)


@pytest.mark.parametrize("length", [0, (16 << 20) + 1, 2**32 - 1])
def test_a_frame_of_a_length_that_cannot_be(length: int, tmp_path: Path) -> None:
    """It is found before its bytes are waited for."""
    with ScriptedDaemon(tmp_path, IDLE, wire="socket") as daemon:
        daemon.initialize()
        daemon.send_bytes(length.to_bytes(4, "big"))
        _expect_one_error(daemon, f"a frame of {length} bytes from the daemon is empty or too long")


def test_a_daemon_that_dies_within_a_frame(tmp_path: Path) -> None:
    """What it did not live to finish is nothing."""
    with ScriptedDaemon(tmp_path, IDLE, wire="socket") as daemon:
        daemon.initialize()
        daemon.send_bytes(b"\x00\x00\x00\x05\x81")
        daemon.hang_up()
        daemon.expect_exit(1)
        assert daemon.logs() == []


def _expect_one_error(daemon: ScriptedDaemon, reason: str) -> None:
    daemon.expect_exit(1)
    (error,) = daemon.logs()
    assert error["level"] == "ERROR"
    assert reason in error["message"]
    assert error["message"].endswith("; the worker is replaced")
    assert "canary" not in json.dumps(error)


def test_a_first_message_that_is_not_initialize(start: Start) -> None:
    """A worker does not handle records of a shard that it does not know."""
    with start(IDLE) as daemon:
        daemon.send_batch(1)
        daemon.expect_exit(1)
        (error,) = daemon.logs()
    assert error["message"] == "the daemon's first message is not initialize; the worker is replaced"


def test_nonsense_cannot_be_swallowed_by_a_handler(start: Start) -> None:
    """Met while a handler asks for a checkpoint, it still ends the worker."""
    source = """
class Processor(RecordProcessor):
    def setup(self, context):
        self.checkpointer = context.checkpointer
    def on_insert(self, record):
        try:
            self.checkpointer.checkpoint(record)
        except Exception:
            pass
"""
    with start(source) as daemon:
        daemon.initialize()
        daemon.send_batch(1)
        daemon.receive()
        daemon.send_payload(b"canary")
        daemon.receive()
        daemon.expect_exit(1)


@pytest.mark.parametrize("moment", ["before", "idle", "in a batch", "in a checkpoint"])
def test_a_daemon_that_dies(moment: str, start: Start) -> None:
    """At the end of the input the worker ends at once and says nothing, and nothing is torn down."""
    source = """
class Processor(RecordProcessor):
    def on_insert(self, record):
        if record.sequence_number == "2":
            raise ValueError
    def teardown(self, reason):
        print("teardown")
"""
    with start(source) as daemon:
        if moment != "before":
            daemon.initialize()
        if moment == "in a batch":
            daemon.send_batch(1, 2)
            daemon.expect_acknowledge(1)
        if moment == "in a checkpoint":
            daemon.send_batch(1)
            daemon.receive()
        daemon.hang_up()
        daemon.expect_exit(1)
        assert daemon.printed() == []
        assert [log for log in daemon.logs() if "ValueError" not in log["message"]] == []


def test_a_daemon_that_no_longer_reads(start: Start) -> None:
    """A broken pipe is the same as its end."""
    with start(IDLE) as daemon:
        daemon.initialize()
        daemon.stop_reading()
        daemon.send_batch(1)
        assert daemon.process.wait(LONG_SECONDS) == 1
        assert daemon.logs() == []


# --- Handlers that do not behave ---


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "    def setup(self, context): raise ValueError('no database')",
            "shardId-1: setup failed; the worker is ",
        ),
        (
            "    def __init__(self): raise ValueError('no database')",
            "shardId-1: setup failed; the worker is replaced",
        ),
    ],
)
def test_a_setup_that_raises(source: str, message: str, start: Start) -> None:
    """The reason is logged with its traceback, and the worker ends before any record."""
    with start(f"{IDLE}{source}") as daemon:
        daemon.send({"action": "initialize", "shardId": "shardId-1", "sequenceNumber": "TRIM_HORIZON"})
        daemon.expect_exit(1)
        (error,) = daemon.logs()
        assert daemon.printed() == []
    assert error["message"].startswith(message)
    assert error["exception"].endswith("ValueError: no database")
    assert "record_processor/" not in error["exception"]


@pytest.mark.parametrize("action", ["shardEnded", "leaseLost", "shutdownRequested"])
def test_a_teardown_that_raises(action: str, start: Start) -> None:
    """It is logged, and the shard ends all the same."""
    with start(f"{IDLE}    def teardown(self, reason): raise ValueError") as daemon:
        daemon.initialize()
        daemon.send({"action": action})
        daemon.expect_status(action)
        daemon.expect_exit(0)
        (error,) = daemon.logs()
    assert error["message"] == "shardId-1: teardown failed"


def test_a_handler_that_exits(start: Start) -> None:
    """sys.exit in a handler never looks like success, and acknowledges nothing."""
    with start(f"{IDLE}    def on_insert(self, record): sys.exit(0)") as daemon:
        daemon.initialize()
        daemon.send_batch(1)
        daemon.expect_exit(1)
        (error,) = daemon.logs()
    assert error["message"] == "a handler called sys.exit(0); the worker is replaced"


def test_a_thread_that_never_ends(start: Start) -> None:
    """A worker whose shard is over does not stay for it."""
    source = """
class Processor(RecordProcessor):
    def setup(self, context):
        threading.Thread(target=time.sleep, args=(10**6,), name="mine").start()
    def on_insert(self, record): pass
"""
    with start(source) as daemon:
        daemon.initialize()
        daemon.send({"action": "shardEnded"})
        daemon.expect_status("shardEnded")
        daemon.expect_exit(0)
        (warning,) = daemon.logs()
    assert warning["message"].startswith("these threads did not end with the worker, and are abandoned: ")
    assert "mine" in warning["message"]


@pytest.mark.parametrize(
    ("wire", "keys"), [("socket", b"\x81\xa2pk\xc7\x06\x01canary"), ("stdio", {"pk": {"N": "canary"}})]
)
def test_a_record_that_cannot_be_decoded(wire: WireName, keys: object, tmp_path: Path) -> None:
    """It is retried under its number, and nothing behind it runs ahead; its content is not in the log."""
    source = f"{IDLE}    def on_insert(self, record): print(record.keys, flush=True)"
    with ScriptedDaemon(tmp_path, source, "--settings", '{"retryBackoffMillis": 1}', wire=wire) as daemon:
        daemon.initialize()
        daemon.send_batch(1, record(2, Keys=keys), 3)
        daemon.expect_acknowledge(1)
        wait_until(lambda: len(daemon.logs("ERROR")) >= 2)
        assert (
            "record 2: record_processor.errors.DecodeError: record 2 cannot be decoded: Keys: an N is not a "
            in daemon.logs("ERROR")[0]["message"]
        )
        assert daemon.printed() == ["{'pk': 'item-1'}"]
        assert "canary" not in daemon.stderr()


def test_descriptors_that_a_handler_closed(start: Start) -> None:
    """Without its connection a worker ends, and says why; it does not turn in circles."""
    with start(f"{IDLE}    def on_insert(self, record): os.closerange(3, 1000)") as daemon:
        daemon.initialize()
        daemon.send_batch(1)
        _expect_one_error(daemon, "was closed from within this process: Bad file descriptor")


@pytest.mark.parametrize("line", [b"canary\n", b"\n", b'{"socket": "canary"}\n', b"canary", b"\xff\n"])
def test_an_assignment_that_is_not_understood(line: bytes, tmp_path: Path) -> None:
    """There is nobody to talk to: the log says so, and does not quote what may hold a secret."""
    run = _run_worker(line, tmp_path)
    assert run.returncode == 1
    assert run.stderr.count("\n") == 1
    assert "the assignment" in run.stderr or "without an assignment" in run.stderr
    assert "canary" not in run.stderr


def test_a_daemon_that_does_not_listen(tmp_path: Path) -> None:
    """One line, and the status that asks for another worker."""
    line = json.dumps({"socket": "/no/such", "token": "canary", "worker": 1, "shard": "shardId-1"})
    run = _run_worker(line.encode() + b"\n", tmp_path)
    assert run.returncode == 1
    assert run.stderr.count("\n") == 1
    assert "shardId-1: cannot connect to /no/such: No such file or directory" in run.stderr


def _run_worker(line: bytes, folder: Path) -> subprocess.CompletedProcess[str]:
    (folder / "app.py").write_text(IMPORTS + IDLE, encoding="utf-8")
    words = ["--socket", "--processor", "app:Processor", "--path", str(folder)]
    return subprocess.run(
        [sys.executable, "-m", "record_processor.worker", *words],
        input=line.decode("latin-1"),
        encoding="latin-1",
        capture_output=True,
        check=False,
        timeout=LONG_SECONDS,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


# --- --check ---


def _check(tmp_path: Path, source: str) -> tuple[int, list[str]]:
    with ScriptedDaemon(tmp_path, source, "--check", wire="stdio") as daemon:
        return daemon.process.wait(30), daemon.stderr().splitlines()


def test_check_of_a_good_class(tmp_path: Path) -> None:
    """It prints nothing of its own; what the module prints goes to standard error."""
    assert _check(tmp_path, f"print('hello')\n{IDLE}") == (0, ["hello"])


def test_check_of_a_broken_module(tmp_path: Path) -> None:
    """The user's own traceback, then one line."""
    exit_status, lines = _check(tmp_path, "import no_such_thing")
    assert exit_status == 2
    assert lines[0] == "Traceback (most recent call last):"
    assert [line for line in lines if line.startswith("  File")] == [
        f'  File "{tmp_path}/app.py", line 4, in <module>'
    ]
    assert lines[-1] == "app cannot be imported: ModuleNotFoundError: No module named 'no_such_thing'"


def test_check_of_a_class_that_is_not_there(tmp_path: Path) -> None:
    """One line, and no traceback."""
    assert _check(tmp_path, "class Procesor(RecordProcessor): pass") == (
        2,
        ["app has no Processor; did you mean Procesor?"],
    )


def test_check_is_not_held_up_by_threads(tmp_path: Path) -> None:
    """A thread that the module starts at import does not keep the check from ending, nor add a last line."""
    source = f"threading.Thread(target=time.sleep, args=(10**6,)).start()\n{IDLE}"
    assert _check(tmp_path, source) == (0, [])


def test_a_worker_whose_class_cannot_be_imported(start: Start) -> None:
    """The reason is in the log, and the exit status tells it from a crash."""
    with start("import no_such_thing") as daemon:
        daemon.expect_exit(2)
        (error,) = daemon.logs()
    assert error["message"].startswith("app cannot be imported: ModuleNotFoundError")
    assert "importlib" not in error["exception"]
