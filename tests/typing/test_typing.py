"""What users write is accepted by type checkers, and their mistakes are found: by mypy and by pyright."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

HERE = Path(__file__).parent
Checker: TypeAlias = Callable[[Path], dict[int, str]]
# pyright's own variables could make it fetch another version.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("PYRIGHT_")}


def _mypy(folder: Path) -> dict[int, str]:
    """Return the lines of app.py that `mypy --strict` reports, and what it says."""
    reports = _run(folder, "mypy", "--strict", "--no-error-summary", "--output=json", "app.py").splitlines()
    found = [json.loads(report) for report in reports]
    return {report["line"]: report["message"] for report in found if report["severity"] == "error"}


def _pyright(folder: Path) -> dict[int, str]:
    """The same of pyright, in its strict mode."""
    config = {"include": ["app.py"], "typeCheckingMode": "strict"}
    (folder / "pyrightconfig.json").write_text(json.dumps(config), encoding="utf-8")
    said = json.loads(_run(folder, "pyright", "--outputjson", "--pythonpath", sys.executable))
    assert said["summary"]["filesAnalyzed"] == 1
    return {
        report["range"]["start"]["line"] + 1: report["message"]
        for report in said["generalDiagnostics"]
        if report["severity"] == "error"
    }


def _run(folder: Path, module: str, *arguments: str) -> str:
    command = [sys.executable, "-m", module, *arguments]
    ran = subprocess.run(command, check=False, capture_output=True, text=True, cwd=folder, env=ENVIRONMENT)
    assert ran.returncode in {0, 1}, ran.stderr
    return ran.stdout


each_checker = pytest.mark.parametrize("check", [_mypy, _pyright])


@each_checker
def test_what_users_write_is_accepted(check: Checker, tmp_path: Path) -> None:
    """Items as dicts and as objects, batches, and a processor that is set up with a context."""
    shutil.copy(HERE / "right.py", tmp_path / "app.py")
    assert check(tmp_path) == {}


@each_checker
def test_mistakes_are_found(check: Checker, tmp_path: Path) -> None:
    """Exactly the lines that are marked as wrong are reported."""
    app = tmp_path / "app.py"
    shutil.copy(HERE / "wrong.py", app)
    lines = enumerate(app.read_text(encoding="utf-8").splitlines(), 1)
    marked = {number for number, line in lines if "  # wrong: " in line}
    reported = check(tmp_path)
    unmarked = {number: message for number, message in reported.items() if number not in marked}
    assert unmarked == {}
    assert marked - reported.keys() == set()
    assert marked
