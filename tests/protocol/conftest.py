"""What the tests of the wire share."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.protocol.scripted_daemon import WIRES, ScriptedDaemon


@pytest.fixture(params=WIRES)
def start(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., ScriptedDaemon]:
    """Start a scripted daemon with a worker: the user's source, then options. On each of the wires in turn."""
    return partial(ScriptedDaemon, tmp_path, wire=request.param)
