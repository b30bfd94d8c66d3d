"""What scripts/demo shows: changes to a table on DynamoDB Local, and `record-processor run` handling them.

Some changes are there before the command starts, the others are written while it runs. When all have been
handled it is told to drain, and what it wrote down is held against what was written.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from record_processor.testing import (
    DynamoDBLocal,
    Handled,
    WrittenChanges,
    check_history,
    create_stream_table,
    write_changes,
)

SCRIPTS: Final = Path(__file__).resolve().parent
TABLE: Final = "demo-changes"
APPLICATION: Final = "demo"  # and so the name of its lease table
PATIENCE_SECONDS: Final = 90.0
DRAIN_SECONDS: Final = 40.0
LAST_LOG_LINES: Final = 20
MUST_BE_ZERO: Final = ("missing", "out_of_order", "owned_leases", "drained_exit_code")


def main() -> int:
    """Run the demo and return the exit code."""
    changes = arguments().changes
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with tempfile.TemporaryDirectory(prefix="record-processor-demo-") as folder:
            outcome = run(changes, Path(folder))
    except DemoError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("demo: interrupted", file=sys.stderr)
        return 130
    print(json.dumps(outcome))
    failures = {name: outcome[name] for name in MUST_BE_ZERO if outcome[name]}
    for name, number in failures.items():
        print(f"demo: failed: {name} is {number}, and must be 0", file=sys.stderr)
    return int(bool(failures))


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="scripts/demo", description="Shows the main job on DynamoDB Local.")
    parser.add_argument("--changes", type=count, default=1000, metavar="N", help="how many (default 1000)")
    return parser.parse_args()


def count(text: str) -> int:
    """Read a whole number that is not negative."""
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number, 0 or more")
    return int(text)


def run(changes: int, folder: Path) -> dict[str, Any]:
    """Write and handle the changes; return what came of it."""
    progress = Progress(changes, folder / "history.jsonl")
    progress.tell("starting DynamoDB Local")
    with DynamoDBLocal() as local:
        client = local.client()
        create_stream_table(client, TABLE)
        before = write_changes(client, TABLE, changes // 10, prefix="early-", on_progress=progress.wrote)
        with record_processor(local, folder) as daemon:
            progress.await_start(daemon, client)
            progress.written_before = before.total
            after = write_changes(client, TABLE, changes - before.total, on_progress=progress.wrote)
            progress.await_all(daemon)
            progress.tell("draining")
            exit_code = daemon.drain()
        progress.end()
        return {
            **outcome(joined(before, after), progress.history.read(), daemon.started_seconds),
            "drained_exit_code": exit_code,
            "owned_leases": len(lease_owners(client)),
        }


def joined(first: WrittenChanges, second: WrittenChanges) -> WrittenChanges:
    """Return both; they have no key in common."""
    return WrittenChanges(
        {**first.per_key, **second.per_key},
        first.inserted + second.inserted,
        first.modified + second.modified,
        first.removed + second.removed,
    )


def outcome(written: WrittenChanges, lines: list[dict[str, Any]], started_seconds: float) -> dict[str, Any]:
    """Hold what was handled against what was written."""
    report = check_history([handled(line) for line in lines], written.per_key)
    events = Counter(what for what, _, _ in {(line["what"], line["key"], line["n"]) for line in lines})
    first = min((line["monotonic_seconds"] for line in lines), default=None)
    return {
        "written": report.written,
        "handled": report.handled,
        "inserted": events["inserted"],
        "modified": events["modified"],
        "removed": events["removed"],
        "out_of_order": len(report.out_of_order),
        "missing": len(report.missing),
        "repeated": len(report.repeats),
        "first_record_seconds": None if first is None else round(first - started_seconds, 2),
    }


def handled(line: dict[str, Any]) -> Handled:
    """Read one line of the history."""
    return Handled(line["key"], line["n"], line["sequence_number"], run=str(line["pid"]), pid=line["pid"])


def lease_owners(client: Any) -> list[str]:
    """Return who owns the application's leases; nobody before the lease table is there."""
    if APPLICATION not in client.list_tables()["TableNames"]:
        return []
    rows = client.scan(TableName=APPLICATION, ConsistentRead=True)["Items"]
    return [row["leaseOwner"]["S"] for row in rows if "leaseOwner" in row]


class DemoError(Exception):
    """The demo cannot go on; the message says why."""


class History:
    """The lines that the processor has written so far."""

    def __init__(self, path: Path) -> None:
        """Take the file's path."""
        self.path = path

    def __len__(self) -> int:
        """Return how many lines are whole."""
        return self.path.read_bytes().count(b"\n") if self.path.exists() else 0

    def read(self) -> list[dict[str, Any]]:
        """Return all of them."""
        text = self.path.read_text(encoding="utf-8") if self.path.exists() else ""
        return [json.loads(line) for line in text.splitlines()]


class Daemon:
    """The command `record-processor run`, in a session of its own: a Ctrl-C here is passed on once, by us."""

    def __init__(self, command: list[str], environment: dict[str, str], log: Path) -> None:
        """Start it."""
        self.log = log
        self.started_seconds = time.monotonic()
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def drain(self) -> int:
        """Ask it to end and return its exit code. If that takes too long, it is killed, and all with it."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(DRAIN_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def check(self) -> None:
        """Raise DemoError if it has ended by itself."""
        if (code := self.process.poll()) is not None:
            raise DemoError(f"record-processor ended with exit code {code}\n{self.last_lines()}")

    def last_lines(self) -> str:
        """Return the end of its log."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(lines[-LAST_LOG_LINES:])


@contextmanager
def record_processor(local: DynamoDBLocal, folder: Path) -> Iterator[Daemon]:
    """Run `record-processor run` on the demo's class; whatever happens, it has ended afterwards."""
    properties = folder / "demo.properties"
    properties.write_text(
        "processor        = demo_processor:Demo\n"
        f"sourceTable      = {TABLE}\n"
        f"applicationName  = {APPLICATION}\n"
        f"dynamoDBEndpoint = {local.endpoint}\n",
        encoding="utf-8",
    )
    ours = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment = {**ours, "PYTHONPATH": str(SCRIPTS), "DEMO_HISTORY": str(folder / "history.jsonl")}
    command = [str(Path(sys.executable).parent / "record-processor"), "run", str(properties)]
    daemon = Daemon(command, environment, folder / "record-processor.log")
    try:
        yield daemon
    finally:
        daemon.drain()


class Progress:
    """Says on stderr how far it is: a line that is rewritten on a terminal, else a line every second."""

    def __init__(self, changes: int, history: Path) -> None:
        """Take what is to come."""
        self.changes = changes
        self.history = History(history)
        self.written = 0
        self.written_before = 0
        self._last_seconds = 0.0
        self._is_terminal = sys.stderr.isatty()

    def wrote(self, written: int) -> None:
        """Note how many changes have been written by the call of `write_changes` that is under way."""
        self.written = self.written_before + written
        self.show()

    def await_start(self, daemon: Daemon, client: Any) -> None:
        """Wait for the first record; if there is none yet, for the first lease."""
        self.tell("starting record-processor")
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (len(self.history) if self.written else lease_owners(client)):
            self._wait(daemon, deadline)

    def await_all(self, daemon: Daemon) -> None:
        """Wait until as many records as changes have been handled, as long as there are always more."""
        handled, deadline = 0, time.monotonic() + PATIENCE_SECONDS
        while handled < self.changes:
            if len(self.history) > handled:
                handled, deadline = len(self.history), time.monotonic() + PATIENCE_SECONDS
            self._wait(daemon, deadline)

    def show(self) -> None:
        """Show how far it is, unless that was just done."""
        if time.monotonic() - self._last_seconds >= (0.1 if self._is_terminal else 1.0):
            self.tell(f"written {self.written}/{self.changes}, handled {len(self.history)}")

    def tell(self, text: str) -> None:
        """Show a text."""
        self._last_seconds = time.monotonic()
        start, end = ("\r\033[K", "") if self._is_terminal else ("", "\n")
        print(f"{start}demo: {text}", end=end, file=sys.stderr, flush=True)

    def end(self) -> None:
        """Show the last state and leave the line."""
        self.tell(f"written {self.written}/{self.changes}, handled {len(self.history)}, drained")
        if self._is_terminal:
            print(file=sys.stderr)

    def _wait(self, daemon: Daemon, deadline: float) -> None:
        daemon.check()
        if time.monotonic() > deadline:
            raise DemoError(
                f"handled {len(self.history)} of {self.changes}, and nothing for {PATIENCE_SECONDS:.0f} s\n"
                f"{daemon.last_lines()}"
            )
        time.sleep(0.05)
        self.show()


if __name__ == "__main__":
    sys.exit(main())
