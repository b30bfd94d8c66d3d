"""Where something is kept, as a URL: `sqs://orders-failed`, `s3://bucket/prefix`, `file:///var/lib/parked`.

Pure: nothing is opened. Used by settings, and by those who then open it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple
from urllib.parse import unquote

_QUEUE: Final = r"[a-zA-Z0-9_-]{1,75}(\.fifo)?"
_ARN: Final = r"arn:aws[a-z-]*:{service}:[a-z0-9-]+:[0-9]{{12}}:{name}"
_PATTERNS: Final = {
    "sqs": rf"(?P<name>{_QUEUE}|{_ARN.format(service='sqs', name=_QUEUE)})",
    "sns": rf"(?P<name>{_ARN.format(service='sns', name='[a-zA-Z0-9_-]{1,256}')})",
    "s3": r"(?P<name>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(/(?P<prefix>[^/\x00-\x1f][^\x00-\x1f]*)?)?",
    "file": r"(?P<name>/[^\x00-\x1f]+)",
    "dynamodb": r"(?P<name>[a-zA-Z0-9_.-]{3,255})",
    "sqlite": r"(?P<name>/[^\x00-\x1f]*[^/\x00-\x1f])",
}
_SHAPES: Final = {
    "sqs": "sqs://<queue> or sqs://<ARN>",
    "sns": "sns://<ARN of a topic>",
    "s3": "s3://<bucket>/<prefix>",
    "file": "file:///<folder>",
    "dynamodb": "dynamodb://<table>",
    "sqlite": "sqlite:///<file>",
}


class Location(NamedTuple):
    """Where something is kept."""

    scheme: str
    """What keeps it: `sqs`, `sns`, `s3`, `file`, `dynamodb`, `sqlite`; or a plain word, such as `memory`."""
    name: str = ""
    """The queue's name or ARN, the topic's ARN, the bucket, the table, or the absolute path."""
    prefix: str = ""
    """In a bucket, what names begin with; without a slash at its end."""

    def __str__(self) -> str:
        """Return the URL, for people."""
        path = f"{self.name}/{self.prefix}" if self.prefix else self.name
        return f"{self.scheme}://{path}" if self.name else self.scheme


def parse(text: str, schemes: Iterable[str]) -> Location:
    """Read a URL of one of these schemes, or one of these words. Raises ValueError: what it must be."""
    allowed = list(schemes)
    scheme, mark, rest = text.partition("://")
    if scheme in allowed and scheme not in _PATTERNS and not mark:
        return Location(scheme)
    if scheme in allowed and scheme in _PATTERNS:
        name = unquote(rest) if scheme in ("file", "sqlite") else rest
        if found := re.fullmatch(_PATTERNS[scheme], name):
            parts = found.groupdict()
            return Location(scheme, parts["name"], (parts.get("prefix") or "").rstrip("/"))
        allowed = [scheme]
    shapes = [_SHAPES.get(each, each) for each in allowed]
    raise ValueError(" or ".join(filter(None, (", ".join(shapes[:-1]), shapes[-1]))))
