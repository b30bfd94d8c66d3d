"""The disk is full, files or descriptors run out: an error says so, and nothing is lost."""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from record_processor.testing import StreamSimulator, wait_until
from tests.fault_report import Recovery
from tests.local.application import MakeApplication

pytestmark = pytest.mark.local

SPARE: Final = 6
"""So many descriptors can be opened yet; a shard needs two."""
SHARDS: Final = 20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Give a folder on a disk of 64 KB."""
    folder = tmp_path / "disk"
    folder.mkdir(mode=0o700)
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "tmpfs", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("a small disk can only be mounted by root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.fault(33)
def test_a_full_disk_for_parked_records(
    application: MakeApplication, stream_simulator: StreamSimulator, small_disk: Path, recovery: Recovery
) -> None:
    """What cannot be parked is not given up: the shard waits, the log says why, and no checkpoint passes it."""
    stream = stream_simulator.create_stream("orders")
    filler = small_disk / "filler"
    filler.write_bytes(b"x" * 60_000)
    app = application(
        endpoint=stream_simulator.endpoint,
        sourceTable="orders",
        processor="handlers:Poisoned",
        maximumRetryAttempts=0,
        onFailureDestination=f"file://{small_disk}/parked",
        maximumRetryBackoffMillis=500,
        checkpointIntervalMillis=0,
    ).start_and_wait()
    for n in (1, 2, 3):
        old = None if n == 1 else {"n": n - 1, "body": "x" * 30_000}
        stream.put({"pk": "poison"}, {"n": n, "body": "x" * 30_000}, old)
    line = app.wait_for_line("No space left on device")
    assert line["level"] == "ERROR"
    (first, second, third) = stream.open_shards[0].records
    assert [entry.n for entry in app.history.handled()] == [1]
    assert app.leases()[0]["checkpoint"] in {"TRIM_HORIZON", first.sequence_number}
    filler.unlink()
    with recovery():
        wait_until(lambda: app.handled_count() == 2, 60, "what lies behind it")
        wait_until(lambda: app.leases()[0]["checkpoint"] == third.sequence_number, 60, "the checkpoint")
    assert app.drain() == 0
    assert second.sequence_number in app.parked("list").stdout


@pytest.mark.fault(33)
def test_descriptors_run_out(
    application: MakeApplication, stream_simulator: StreamSimulator, recovery: Recovery
) -> None:
    """The log says that there are too few; as soon as there are enough everything is read, by the same JVM."""
    stream = stream_simulator.create_stream("orders", shards=2)
    app = application(
        endpoint=stream_simulator.endpoint, sourceTable="orders", failoverTimeMillis=3000
    ).start_and_wait()
    written = dict(stream.write_changes(40, seed=1, prefix="few-").per_key)
    app.wait_until_handled(40)
    jvm = app.daemon_pid()
    limits = resource.prlimit(jvm, resource.RLIMIT_NOFILE)
    with app.disruption("descriptors"):
        opened = len(list(Path(f"/proc/{jvm}/fd").iterdir()))
        resource.prlimit(jvm, resource.RLIMIT_NOFILE, (opened + SPARE, limits[1]))
        while len(stream.open_shards) < SHARDS:
            for shard in stream.open_shards:
                stream.split(shard)
        written |= stream.write_changes(400, seed=2, prefix="many-").per_key
        app.wait_for_line("Too many open files")
        resource.prlimit(jvm, resource.RLIMIT_NOFILE, limits)
        with recovery():
            app.wait_until_handled(440)
    assert app.daemon_pid() == jvm
    assert app.drain() == 0
    app.check(written)
