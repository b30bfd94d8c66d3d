"""Makes a Python on this host one on another, as far as names that the kernel holds are concerned."""

from __future__ import annotations

import os
from typing import Any

_bind = __import__("socket").socket.bind


def _bind_elsewhere(self: Any, address: Any) -> None:
    if isinstance(address, str) and address.startswith("\0record_processor/"):
        address = f"{address}-{os.getpid()}"
    _bind(self, address)


__import__("socket").socket.bind = _bind_elsewhere
