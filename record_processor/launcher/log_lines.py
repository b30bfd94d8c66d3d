"""One line of the log: what it says, how the daemon writes it, how a person and a machine read it. Pure."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

_END_OF_TIME_MILLIS: Final = 253_402_300_800_000  # the year 10000
_LENGTH_OF_A_SHARDS_OWN_PART: Final = 8

# C0 and C1 controls but tab, DEL, Unicode's line ends, its overrides of writing direction, lone surrogates:
# whatever could forge a line, move the cursor or hide text in a terminal.
_DANGEROUS: Final = re.compile(
    r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


class Level(IntEnum):
    """How much a line matters; the names are Python's."""

    DEBUG = 10
    INFO = 20
    WARNING = 30
    ERROR = 40


@dataclass(frozen=True, slots=True)
class LogLine:
    """One thing that happened. Empty strings stand for what a line does not have."""

    level: Level
    logger: str
    message: str
    time_millis: int
    """Milliseconds since 1970."""
    shard: str = ""
    exception: str = ""
    event: str = ""
    """What the line means to the launcher: `started`, the daemon runs; `startWorker`, it needs one."""
    worker: int = 0
    """The number of the worker that it needs."""


def now_millis() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def parse(raw: bytes) -> LogLine:
    """Read a line of the daemon's standard output; what is not one becomes a WARNING with its text."""
    try:
        fields = json.loads(raw)
        return LogLine(
            level=Level[fields["level"]],
            logger=str(fields.get("logger", "")),
            message=str(fields["message"]),
            time_millis=_checked_time(fields["ts"]),
            shard=str(fields.get("shard") or ""),
            exception=str(fields.get("exception") or ""),
            event=str(fields.get("event") or ""),
            worker=int(fields.get("worker") or 0),
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        return plain(raw)


def plain(raw: bytes, level: Level = Level.WARNING) -> LogLine:
    """Make a line of text that Java itself wrote."""
    return LogLine(level, "java", raw.decode("utf-8", "replace").rstrip("\r\n"), now_millis())


def as_text(line: LogLine) -> bytes:
    """Format for a person, in local time: `2026-11-23 23:05:01.123 INFO    shardId-…a1b2c3d4  message`."""
    seconds, millis = divmod(line.time_millis, 1000)
    moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
    shard = f"{_short(line.shard)}  " if line.shard else ""
    text = escape(f"{moment}.{millis:03d} {line.level.name:7} {shard}{line.message}") + "\n"
    return (text + _indented(line.exception)).encode()


def as_json(line: LogLine) -> bytes:
    """Format for a machine: one ASCII JSON object, the time in UTC, fields without a value left out."""
    seconds, millis = divmod(line.time_millis, 1000)
    fields = {
        "time": f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{millis:03d}Z",
        "level": line.level.name,
        "logger": line.logger,
        "message": line.message,
        "shard": line.shard,
        "exception": line.exception,
    }
    return json.dumps({name: value for name, value in fields.items() if value}).encode() + b"\n"


def escape(text: str) -> str:
    r"""Show control characters as `\n`, `\x1b`, `\u2028`; leave every other character as it is."""
    if text.isprintable():
        return text
    return _DANGEROUS.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)


def escape_lines(text: str) -> str:
    """Escape a text of several lines and keep the lines; ends with a line feed unless it is empty."""
    return (
        "".join(escape(line.rstrip("\r")) + "\n" for line in text.rstrip("\r\n").split("\n")) if text else ""
    )


def _indented(exception: str) -> str:
    return "".join(f"    {line}\n" for line in escape_lines(exception).splitlines())


def _short(shard: str) -> str:
    """Shorten `shardId-00000001700000000000-a1b2c3d4` to `shardId-…a1b2c3d4`, which tells shards apart."""
    prefix, _, rest = shard.partition("-")
    if len(rest) <= _LENGTH_OF_A_SHARDS_OWN_PART:
        return shard
    return f"{prefix}-…{rest[-_LENGTH_OF_A_SHARDS_OWN_PART:]}"


def _checked_time(millis: object) -> int:
    if isinstance(millis, int) and 0 <= millis < _END_OF_TIME_MILLIS:
        return millis
    raise ValueError(f"not a time: {millis!r}")
