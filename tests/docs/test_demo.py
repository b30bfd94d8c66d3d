"""scripts/demo shows the main job, says what came of it, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from record_processor.testing import wait_until
from tests.docs.blocks import ROOT

DEMO = [sys.executable, str(ROOT / "scripts" / "demo.py")]
"""Without scripts/demo's installation: it has run, or this would not."""


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*DEMO, *arguments], capture_output=True, text=True, check=False, timeout=150)


def _result(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


@pytest.mark.parametrize("changes", ["-1", "many", "1.5", "", "²"])
def test_a_wrong_number_is_refused(changes: str) -> None:
    """Only whole numbers from 0 on; the message names what was given."""
    done = _run(f"--changes={changes}")
    assert done.returncode == 2
    assert f"{changes!r} is not a whole number, 0 or more" in done.stderr


@pytest.mark.local
def test_every_change_is_handled() -> None:
    """All that was written is handled, in order and once, and no lease is left with an owner."""
    done = _run("--changes", "120")
    result = _result(done)
    assert result["first_record_seconds"] > 0
    counts = {name: result[name] for name in ("written", "handled", "missing", "out_of_order", "repeated")}
    assert counts == {"written": 120, "handled": 120, "missing": 0, "out_of_order": 0, "repeated": 0}
    assert result["inserted"] + result["modified"] + result["removed"] == 120
    assert result["drained_exit_code"] == result["owned_leases"] == 0
    assert "handled 120" in done.stderr


@pytest.mark.local
def test_no_change_at_all_is_fine() -> None:
    """With nothing to handle it starts, drains and says so."""
    result = _result(_run("--changes", "0"))
    assert (result["written"], result["handled"], result["first_record_seconds"]) == (0, 0, None)


@pytest.mark.local
@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_ctrl_c_leaves_nothing_behind(tmp_path: Path) -> None:
    """Interrupted while the daemon runs, it ends with 130, and no process or file of it is left."""
    with subprocess.Popen(
        DEMO, env={**os.environ, "TMPDIR": str(tmp_path)}, stderr=subprocess.PIPE, text=True
    ) as demo:
        assert demo.stderr is not None
        for line in demo.stderr:
            if "starting record-processor" in line:
                break
        wait_until(lambda: len(_processes_with(tmp_path)) > 3, what="Java under record-processor")
        demo.send_signal(signal.SIGINT)
        rest = demo.stderr.read()
    assert demo.returncode == 130, rest
    assert rest.splitlines()[-1] == "demo: interrupted"
    wait_until(lambda: not _processes_with(tmp_path), what="the end of all processes")
    assert list(tmp_path.iterdir()) == []


def _processes_with(folder: Path) -> list[int]:
    """Return the processes whose TMPDIR is the folder."""
    ours = f"TMPDIR={folder}".encode()
    return [
        int(file.parent.name)
        for file in Path("/proc").glob("[0-9]*/environ")
        if ours in _read(file).split(b"\0")
    ]


def _read(environment: Path) -> bytes:
    try:
        return environment.read_bytes()
    except OSError:
        return b""  # it has ended, or is another user's
