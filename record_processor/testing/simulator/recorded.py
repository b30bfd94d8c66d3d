"""Reads recorded changes: JSON lines, each a record as GetRecords or Lambda's event shows it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from record_processor.errors import ConfigurationError, DecodeError
from record_processor.testing.simulator.records import Change
from record_processor.testing.simulator.stream import SimulatedStream
from record_processor.values import decode_item

_EVENT_NAMES: Final = frozenset({"INSERT", "MODIFY", "REMOVE"})


def read_changes(path: Path) -> Iterator[Change]:
    """Yield the changes of a file, one a line; empty lines are passed over.

    A line has `eventName` and `dynamodb` with `Keys` and perhaps `NewImage` and `OldImage`, in DynamoDB's
    JSON, and perhaps `userIdentity`. Its sequence number, time and view type are not used: the simulated
    stream gives its own. Raises ConfigurationError, which names file and line.
    """
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield _read(line, f"{path}:{number}")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: cannot be read: {error}") from None


def feed(
    stream: SimulatedStream,
    changes: Iterable[Change],
    *,
    changes_per_second: float | None = None,
    wait: Callable[[float], object] = time.sleep,
) -> int:
    """Write changes to a stream, at once or so many in a second; return how many there were.

    `wait` is called with seconds of real time; once it returns something true, nothing more is written.
    Raises ValueError as `SimulatedStream.put_change` does.
    """
    begin = time.monotonic()
    count = 0
    for change in changes:
        if changes_per_second and wait(max(0.0, begin + count / changes_per_second - time.monotonic())):
            break
        stream.put_change(change)
        count += 1
    return count


def change_in(record: object, where: str) -> Change:
    """Return the change of one record, parsed. Raises ConfigurationError, which says where."""
    if not isinstance(record, dict) or not isinstance(record.get("dynamodb"), dict):
        raise ConfigurationError(f"{where}: not a stream record: it has no object 'dynamodb'")
    event_name, body = record.get("eventName"), record["dynamodb"]
    if event_name not in _EVENT_NAMES:
        raise ConfigurationError(f"{where}: eventName must be INSERT, MODIFY or REMOVE, not {event_name!r}")
    if not body.get("Keys"):
        raise ConfigurationError(f"{where}: the record has no Keys")
    keys, new_image, old_image = (_item(body, name, where) for name in ("Keys", "NewImage", "OldImage"))
    return Change(event_name, keys or {}, new_image, old_image, _identity(record.get("userIdentity"), where))


def _read(line: str, where: str) -> Change:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        raise ConfigurationError(f"{where}: not JSON: each line is one record, without line breaks") from None
    return change_in(record, where)


def _item(body: Mapping[str, Any], name: str, where: str) -> dict[str, Any] | None:
    item = body.get(name)
    if item is None:
        return None
    try:
        decode_item(item)
    except DecodeError as error:
        raise ConfigurationError(
            f"{where}: {name} is not an item in DynamoDB's JSON, such as {{'pk': {{'S': 'a'}}}}: {error}"
        ) from None
    checked: dict[str, Any] = item
    return checked


def _identity(identity: object, where: str) -> dict[str, str] | None:
    """Return it as GetRecords writes it; Lambda's events have its names in lower case."""
    if identity is None:
        return None
    if not isinstance(identity, dict) or not all(isinstance(value, str) for value in identity.values()):
        raise ConfigurationError(f"{where}: userIdentity must be an object with strings")
    return {name[:1].upper() + name[1:]: value for name, value in identity.items()}
