"""The record processors of the tests on DynamoDB Local. Each says in a history what it handled."""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from record_processor import (
    ConfigurationError,
    FatalError,
    Record,
    RecordProcessor,
    ShardContext,
    TeardownReason,
)
from record_processor.parking import Parked
from record_processor.parking.files import FileDestination
from record_processor.stores import Claim, Store, once_in_sqlite
from record_processor.testing import wait_until
from record_processor.testing.history import Handled, HistoryLog
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


class WholeBatches(RecordProcessor):
    """Writes down whole batches, with one wait for the disk each."""

    def process_batch(self, records: Sequence[Record]) -> None:
        HISTORY.append_all(map(as_handled, records))


def as_handled(record: Record) -> Handled:
    """A change of `write_changes`, as a history has it."""
    n = change_number(record.new_image, record.old_image)
    return Handled(record.keys["pk"], n, record.sequence_number, record.shard_id)


class Soaked(WholeBatches):
    """Says when it begins with a shard, and raises as often as the flag `raise` says."""

    def setup(self, context: ShardContext) -> None:
        HISTORY.mark(f"shard begins in {os.getpid()}", shard_id=context.shard_id)

    def process_batch(self, records: Sequence[Record]) -> None:
        with suppress(FileNotFoundError):
            if random.random() < float(flag("raise").read_text("ascii") or 0):
                raise ConnectionError("the search index does not answer")
        super().process_batch(records)


class Fails(RecordProcessor):
    """Raises at one change until the flag `mended` is there."""

    def process_record(self, record: Record) -> None:
        if "poison" in record.keys["pk"] and not flag("mended").exists():
            flag("failed").touch()
            raise ValueError("the search index does not answer")
        write_down(record)


def is_bad(record: Record) -> bool:
    """Whether it is the second change of a key."""
    return change_number(record.new_image, record.old_image) == 2


def raise_at_poison(record: Record) -> None:
    """Raise at the second change of a key that begins with `poison`, until the flag `mended` is there."""
    if record.keys["pk"].startswith("poison") and is_bad(record) and not flag("mended").exists():
        HISTORY.mark("poison")
        raise ValueError("the search index refuses it")


class Poisoned(RecordProcessor):
    """Cannot handle one change."""

    def process_record(self, record: Record) -> None:
        raise_at_poison(record)
        write_down(record)


class PoisonedBatches(RecordProcessor):
    """Cannot handle one change, and handles all of a batch or nothing of it."""

    def process_batch(self, records: Sequence[Record]) -> None:
        for record in records:
            raise_at_poison(record)
        for record in records:
            write_down(record)


class StopsParking(Poisoned):
    """Stops before or after the folder of parked records has taken one, as the flag `hold` says."""

    def setup(self, context: ShardContext) -> None:
        put = FileDestination.put

        def put_and_stop(destination: FileDestination, parked: Parked) -> None:
            stop("before")
            put(destination, parked)
            stop("after")

        FileDestination.put = put_and_stop  # type: ignore[assignment,method-assign]


class Deadly(RecordProcessor):
    """Ends its process at the second change of the key `exits`, and hangs at that of the key `hangs`."""

    def process_record(self, record: Record) -> None:
        if is_bad(record) and record.keys["pk"] in {"exits", "hangs"}:
            with HISTORY.during("death"):  # without an end, if it is one
                if record.keys["pk"] == "exits":
                    os._exit(7)
                time.sleep(3600)
        write_down(record)


class DeadlyInProcesses(Deadly):
    """Does so in processes of their own."""

    cpu_bound = True

    def setup(self, context: ShardContext) -> None:
        count_as_the_workers()


def count_as_the_workers() -> None:
    """Let what the processes of one worker write down be one run: a key's changes are in order in all of them."""
    HISTORY._process, HISTORY._run = os.getpid(), f"worker {os.getppid()}"


class DeadlyOnEventLoop(RecordProcessor):
    """Does so in an `async def`, which can be cancelled."""

    async def process_record(self, record: Record) -> None:
        if is_bad(record) and record.keys["pk"] == "exits":
            with HISTORY.during("death"):
                os._exit(7)
        if is_bad(record) and record.keys["pk"] == "hangs":
            await asyncio.sleep(3600)
        write_down(record)


class Stops(RecordProcessor):
    """Stops its shard at a key that begins with `fatal`, until the flag `mended` is there."""

    def process_record(self, record: Record) -> None:
        if record.keys["pk"].startswith("fatal") and not flag("mended").exists():
            raise FatalError("the table orders_copy is gone")
        write_down(record)


def die_once_at(moment: str, record: Record) -> None:
    """Kill this process, once for each key, if the key names this moment."""
    key = record.keys["pk"]
    died = flag(f"died-{key}")
    if key.startswith(moment) and not died.exists():
        died.touch()
        HISTORY.mark("kill")
        os.kill(os.getpid(), signal.SIGKILL)


class Killed(RecordProcessor):
    """Is killed before its effect, between that and its completion, and after that, as each key says."""

    def setup(self, context: ShardContext) -> None:
        complete = Store.complete

        def complete_and_die(store: Store, key: str, claim: Claim) -> None:
            complete(store, key, claim)
            die_once_at("completed", self.record)

        Store.complete = complete_and_die  # type: ignore[assignment,method-assign]

    def process_record(self, record: Record) -> None:
        self.record = record
        die_once_at("begun", record)
        write_down(record)
        die_once_at("done", record)


class Ledger(RecordProcessor):
    """Writes each change and its key into a database in one transaction, and is killed in it and after it."""

    def setup(self, context: ShardContext) -> None:
        self.database = sqlite3.connect(flag("ledger.db"), timeout=30)
        with self.database:
            self.database.execute("CREATE TABLE IF NOT EXISTS effects (pk TEXT, n INTEGER)")

    def process_record(self, record: Record) -> None:
        change = record.keys["pk"], change_number(record.new_image, record.old_image)
        with self.database:
            if once_in_sqlite(self.database, record.event_id):
                self.database.execute("INSERT INTO effects VALUES (?, ?)", change)
            die_once_at("begun", record)
        die_once_at("done", record)
        write_down(record)


TOGETHER = [f"together-{number}" for number in range(10)]
"""Keys whose handlers go on once all of them run."""


def all_run(record: Record) -> bool:
    """Whether a handler need not wait, or no more."""
    if record.keys["pk"] not in TOGETHER:
        return True
    flag(record.keys["pk"]).touch()
    return all(flag(key).exists() for key in TOGETHER)


class InThreads(RecordProcessor):
    """Waits a little with each record, and for the others of ten keys."""

    def process_record(self, record: Record) -> None:
        wait_until(lambda: all_run(record), 120, "ten handlers at once")
        time.sleep(random.uniform(0, 0.01))
        write_down(record)


class InProcesses(InThreads):
    """Does so in processes."""

    cpu_bound = True

    def setup(self, context: ShardContext) -> None:
        count_as_the_workers()


class OnEventLoop(RecordProcessor):
    """Does so in an `async def`."""

    async def process_record(self, record: Record) -> None:
        while not all_run(record):  # noqa: ASYNC110  # it waits for files
            await asyncio.sleep(0.02)
        await asyncio.sleep(random.uniform(0, 0.01))
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
            stop("before")
        write_down(record)
        if is_held:
            stop("after")


def stop(moment: str) -> None:
    """Wait while the flag `hold` says so."""
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
                if not deed():
                    write_down(record)
                    HISTORY.mark(deed.__name__)  # behind the record: it may come again
                return
        write_down(record)

    @staticmethod
    def forks() -> bool:
        """Fork, and let the child go back to whoever called, too."""
        return os.fork() == 0

    @staticmethod
    def closes_descriptors() -> bool:
        """Close everything that is open, as a badly written daemonizer does."""
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


class Slow(Recorder):
    """Takes a while for each change."""

    def process_record(self, record: Record) -> None:
        time.sleep(0.05)
        write_down(record)
