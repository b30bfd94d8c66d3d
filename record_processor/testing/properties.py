"""Properties as Python values, written as their file has them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path


def text_of(value: object) -> str:
    """Write a value: True as `true`, a list with commas, a dict as JSON, all else as `str` has it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return json.dumps(value)
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(value)


def write_properties(file: Path, properties: Mapping[str, object]) -> None:
    """Write a properties file that only this user can read. None leaves a property out."""
    lines = [f"{name} = {text_of(value)}\n" for name, value in properties.items() if value is not None]
    file.touch(mode=0o600)
    file.write_text("".join(lines), encoding="utf-8")
