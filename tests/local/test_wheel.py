"""The wheel: what a production host installs, with a Java runtime and without Maven."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from record_processor.testing import DynamoDBLocal, wait_until, write_changes
from record_processor.testing.plugin import MakeStreamTable
from tests.local.application import Application, MakeApplication

pytestmark = [pytest.mark.local, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from the tree and install it, with what it needs, in a fresh virtual environment."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = ("-m", "pip", "--quiet", "--disable-pip-version-check")
    build = (*pip, "wheel", "--no-build-isolation", "--no-deps", "--wheel-dir", str(folder), str(ROOT))
    subprocess.run([sys.executable, *build], check=True)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / "bin" / "python"
    subprocess.run([python, *pip, "install", f"{wheel}[testing]"], check=True)
    return python


def installed(python: Path, application: MakeApplication, table: str) -> Application:
    """Make an application that runs on the wheel, away from this tree, with Java and nothing else on PATH."""
    app = application(sourceTable=table, processor="demo_processor:Demo")
    java = shutil.which("java")
    assert java
    programs = app.folder / "bin"
    programs.mkdir()
    for program in (java, "/bin/sh"):
        (programs / Path(program).name).symlink_to(Path(program).resolve())
    shutil.copy(ROOT / "scripts" / "demo_processor.py", app.folder)
    app.python = str(python)
    app.environment = {
        "PATH": str(programs),
        "PYTHONPATH": "",
        "DEMO_HISTORY": str(app.folder / "demo.jsonl"),
    }
    return app


def test_the_wheel_runs_the_demos_processor(
    python: Path, application: MakeApplication, stream_table: MakeStreamTable, dynamodb_local: DynamoDBLocal
) -> None:
    """Everything that a host needs is in it or in what pip installs with it; Maven is not."""
    table = stream_table()
    written = write_changes(dynamodb_local.client(), table.name, 100, seed=1)
    app = installed(python, application, table.name).start()
    history = app.folder / "demo.jsonl"
    wait_until(
        lambda: history.exists() and len(history.read_text().splitlines()) >= written.total, 60, "the changes"
    )
    assert app.drain() == 0
    handled = [json.loads(line) for line in history.read_text().splitlines()]
    assert len({(line["key"], line["n"]) for line in handled}) == written.total
    where = "import record_processor; print(record_processor.__file__)"
    found = subprocess.run([python, "-c", where], check=True, capture_output=True, text=True, cwd=app.folder)
    assert str(python.parents[1]) in found.stdout


@pytest.mark.parametrize("jar", ["record-processor-daemon.jar", "dynamodb-streams-kinesis-adapter-2.0.1.jar"])
def test_a_flipped_bit_in_a_jar_is_refused(
    python: Path, application: MakeApplication, stream_table: MakeStreamTable, jar: str
) -> None:
    """Before Java starts, with exit code 3 and one line that names the jar."""
    (path,) = python.parents[1].rglob(jar)
    content = path.read_bytes()
    middle = len(content) // 2
    path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    try:
        app = installed(python, application, stream_table().name).start()
        assert app.wait() == 3
        assert f"{jar} is not the file that was locked" in app.output()
        assert "install again with pip install" in app.output()
    finally:
        path.write_bytes(content)
