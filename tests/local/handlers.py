"""The record processors of the tests on DynamoDB Local. Each says in a history what it handled."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from record_processor import ConfigurationError, Record, RecordProcessor, ShardContext, TeardownReason
from record_processor.testing.history import HistoryLog
from record_processor.testing.tables import change_number

FOLDER = Path(os.environ["TEST_FOLDER"])
HISTORY = HistoryLog(FOLDER / "history.jsonl")


def flag(name: str) -> Path:
    """A file by which a test and a handler tell each other something."""
    return FOLDER / name


def write_down(record: Record) -> None:
    """Handle a change of `write_changes`."""
    key = f"{record.table_name}/{record.keys['pk']}" if flag("several-tables").exists() else record.keys["pk"]
    HISTORY.append(
        key, change_number(record.new_image, record.old_image), record.sequence_number, record.shard_id
    )


class Recorder(RecordProcessor):
    """Writes down every change."""

    def setup(self, context: ShardContext) -> None:
        self.context = context

    def process_record(self, record: Record) -> None:
        write_down(record)

    def teardown(self, reason: TeardownReason) -> None:
        with flag("teardowns").open("a") as file:
            print(reason.value, file=file)


class ByKind(RecordProcessor):
    """Overrides the three methods for the kinds of change."""

    def on_insert(self, record: Record) -> None:
        assert record.old_image is None
        write_down(record)

    def on_modify(self, record: Record) -> None:
        write_down(record)

    def on_remove(self, record: Record) -> None:
        assert record.new_image is None
        write_down(record)


class InBatches(RecordProcessor):
    """Handles batches, and checkpoints each by hand."""

    def setup(self, context: ShardContext) -> None:
        self.checkpointer = context.checkpointer

    def process_batch(self, records: Sequence[Record]) -> None:
        for record in records:
            write_down(record)
        self.checkpointer.checkpoint(records[-1])


class Fails(RecordProcessor):
    """Raises at one change until the flag `mended` is there."""

    def process_record(self, record: Record) -> None:
        if "poison" in record.keys["pk"] and not flag("mended").exists():
            flag("failed").touch()
            raise ValueError("the search index does not answer")
        write_down(record)


class Waits(RecordProcessor):
    """Stays in its handler, out of reach of any signal, while the flag `wait` is there."""

    def process_record(self, record: Record) -> None:
        if flag("wait").exists():
            flag("waiting").write_text(record.sequence_number)
            while flag("wait").exists():
                time.sleep(0.05)
        write_down(record)


class Hangs(RecordProcessor):
    """Hangs for good, once."""

    def process_record(self, record: Record) -> None:
        if not flag("hung").exists():
            flag("hung").touch()
            time.sleep(3600)
        write_down(record)


class Exits(RecordProcessor):
    """Ends its process in three ways, once each."""

    def process_record(self, record: Record) -> None:
        for name, end in (("exited", lambda: os._exit(0)), ("raised", sys.exit), ("crashed", crash)):
            if not flag(name).exists():
                flag(name).touch()
                HISTORY.mark(name)
                end()
        write_down(record)


def crash() -> None:
    """Read address 0."""
    ctypes.string_at(0)


class Talks(RecordProcessor):
    """Prints what must not be taken for the protocol, from everywhere, and leaves half lines behind."""

    forged = (
        'null\n{"action": "status", "responseFor": "processRecords"}\n'
        '{"action": "checkpoint", "sequenceNumber": "999999999999999999999"}\n'
    )

    def process_record(self, record: Record) -> None:
        print(self.forged)
        sys.__stdout__.write(self.forged)  # type: ignore[union-attr]
        os.write(1, self.forged.encode())
        libc = ctypes.CDLL(None)
        libc.puts(b"from C")
        libc.fflush(None)
        subprocess.run(["echo", "from a subprocess"], check=True)
        thread = threading.Thread(target=print, args=("from a thread",))
        thread.start()
        thread.join()
        if not flag("talked").exists():
            flag("talked").touch()
            os.write(1, b"x" * 1_000_000)
        print("half a line", end="", flush=True)
        write_down(record)


class Dumps(RecordProcessor):
    """Writes down every value of each record as Python shows it."""

    def process_record(self, record: Record) -> None:
        fields = {
            name: repr(_field(record, name))
            for name in [
                "event_id",
                "event_name",
                "event_source",
                "event_version",
                "aws_region",
                "table_name",
                "stream_arn",
                "shard_id",
                "keys",
                "new_image",
                "old_image",
                "sequence_number",
                "size_bytes",
                "stream_view_type",
                "user_identity",
            ]
        }
        assert record.created_at is not None
        fields["created"] = record.created_at.isoformat()
        with flag("dump.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(fields) + "\n")
            file.flush()


def _field(record: Record, name: str) -> object:
    try:
        return getattr(record, name)
    except ConfigurationError:
        return "refused"


class Sizes(RecordProcessor):
    """Writes down how large the images are."""

    def process_record(self, record: Record) -> None:
        sizes = [len(image["blob"]) if image else 0 for image in (record.old_image, record.new_image)]
        with flag("sizes.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(sizes) + "\n")


class BadSetup(RecordProcessor):
    """Cannot be set up until the flag `mended` is there."""

    def setup(self, context: ShardContext) -> None:
        if not flag("mended").exists():
            raise ConnectionError("no search index")

    def process_record(self, record: Record) -> None:
        write_down(record)


class Staged(RecordProcessor):
    """Stops at a change of a key that begins with `a-`, before or after writing it down, as the flag `hold` says."""

    def process_record(self, record: Record) -> None:
        is_held = record.keys["pk"].startswith("a-")
        if is_held:
            self._stop("before")
        write_down(record)
        if is_held:
            self._stop("after")

    @staticmethod
    def _stop(moment: str) -> None:
        hold = flag("hold")
        while hold.exists() and hold.read_text() == moment:
            flag("holding").touch()
            time.sleep(0.02)


class Hostile(RecordProcessor):
    """Does what no handler should, one thing at each of its first changes, and then its work."""

    def process_record(self, record: Record) -> None:
        for deed in (self.forks, self.closes_descriptors, self.allocates, self.ignores_and_deadlocks):
            if not flag(deed.__name__).exists():
                flag(deed.__name__).touch()
                if deed():
                    return
                break
        write_down(record)

    @staticmethod
    def forks() -> bool:
        """Fork, and let the child go back to whoever called, too."""
        return os.fork() == 0

    @staticmethod
    def closes_descriptors() -> bool:
        """Close everything that is open, as a badly written daemonizer does."""
        HISTORY.mark("close")
        os.closerange(3, 1000)
        return False

    @staticmethod
    def allocates() -> bool:
        """Take 2 GB, write to all of it, and give it back."""
        memory = bytearray(2 << 30)
        memory[::4096] = b"x" * (len(memory) // 4096)
        return False

    @staticmethod
    def ignores_and_deadlocks() -> bool:
        """Wait for a lock that is never released, deaf to SIGTERM."""
        HISTORY.mark("deadlock")
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        lock = threading.Lock()
        lock.acquire()
        return lock.acquire()


class Slow(RecordProcessor):
    """Takes a while for each change."""

    def process_record(self, record: Record) -> None:
        time.sleep(0.05)
        write_down(record)
