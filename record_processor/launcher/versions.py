"""The versions of what takes part, read without starting anything."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

_DISTRIBUTION = "dynamodb-streams-record-processor"
_ADAPTER = "dynamodb-streams-kinesis-adapter"


def ours() -> str:
    """Return this package's version, `unknown` in a source folder that was never installed."""
    return _of_distribution(_DISTRIBUTION)


def kcl() -> str:
    """Return amazon_kclpy's version, which is that of the KCL in it."""
    return _of_distribution("amazon_kclpy")


def adapter() -> str:
    """Return the version of the DynamoDB Streams Kinesis Adapter among our jars."""
    for jar in (Path(__file__).parents[1] / "jars").glob(f"{_ADAPTER}-*.jar"):
        if match := re.fullmatch(rf"{_ADAPTER}-(\d.*)\.jar", jar.name):
            return match[1]
    return "unknown"


def _of_distribution(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "unknown"
