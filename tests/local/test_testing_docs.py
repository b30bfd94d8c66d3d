"""The test that docs/testing.md shows for the fixtures passes, as a user's own file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT, blocks

pytestmark = pytest.mark.local
PAGE = ROOT / "docs" / "testing.md"


def test_the_shown_test_passes(tmp_path: Path) -> None:
    """With nothing but an import before it."""
    (shown,) = (block.text for block in blocks(PAGE) if "running_application)" in block.text)
    imports = "from record_processor import Record, RecordProcessor\n\n"
    (tmp_path / "test_shown.py").write_text(imports + shown, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_shown.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=170,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
