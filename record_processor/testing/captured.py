"""Records in a file: captured where they came from, and replayed in a test.

A line is a record as AWS's event shows it. What `aws dynamodbstreams get-records` prints, and an event that
Lambda hands to a function, can be read as they are.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from record_processor.errors import ConfigurationError, DecodeError
from record_processor.record import Record
from record_processor.testing.records import SHARD_ID


def read_records(path: Path | str, shard_id: str = SHARD_ID) -> list[Record[Any]]:
    """Return a file's records, in its order, as of one shard, for neither AWS nor Lambda names it.

    The file is in UTF-8: a record, or an object with `Records`, on each line; or one such object over several
    lines. Raises ConfigurationError, one line with the file and the line in it, that quotes no item.
    """
    file = Path(path)
    return [_record(event, shard_id, where) for event, where in _events(file)]


def write_records(path: Path | str, records: Iterable[Record[Any]]) -> None:
    """Append records to a file, one on each line, for `read_records`. A new file is only this user's.

    Items lie in it as they are. Raises DecodeError for a malformed image, OSError if it cannot be written.
    """
    lines = "".join(f"{json.dumps(record.to_dynamodb_json())}\n" for record in records)
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(lines)


def _events(file: Path) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Yield each event, and where it stands."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigurationError(f"{file}: there is no such file") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{file}: this is not UTF-8") from None
    except OSError as error:
        raise ConfigurationError(f"{file}: the file cannot be read: {error.strerror}") from None
    try:
        documents = [(1, json.loads(text))]  # one object, perhaps over several lines
    except (ValueError, RecursionError) as error:
        documents = _lines(file, text, getattr(error, "lineno", 1))
    for line, document in documents:
        for event in _events_in(document):
            if not isinstance(event, dict):
                raise ConfigurationError(f"{file}:{line}: this is no stream record: it is not an object")
            yield event, f"{file}:{line}"


def _lines(file: Path, text: str, broken_line: int) -> list[tuple[int, Any]]:
    """Read each line; `broken_line` is where the text as a whole stops being JSON."""
    documents: list[tuple[int, Any]] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            documents.append((number, json.loads(line)))
        except (ValueError, RecursionError):
            where = number if documents else broken_line
            raise ConfigurationError(f"{file}:{where}: this is not JSON; put one record on a line") from None
    return documents


def _events_in(document: Any) -> list[Any]:
    if isinstance(document, dict) and isinstance(document.get("Records"), list):
        found: list[Any] = document["Records"]
        return found
    return document if isinstance(document, list) else [document]


def _record(event: Mapping[str, Any], shard_id: str, where: str) -> Record[Any]:
    try:
        return Record.from_dynamodb_json(_as_lambda_has_it(event), shard_id)
    except DecodeError as error:
        raise ConfigurationError(f"{where}: {error}") from None


def _as_lambda_has_it(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return the event with what the API and the AWS CLI write in another way: the identity, the time."""
    identity, change = event.get("userIdentity"), event.get("dynamodb")
    changed = dict(event)
    if isinstance(identity, dict) and "PrincipalId" in identity:
        changed["userIdentity"] = {
            "type": identity.get("Type"),
            "principalId": identity["PrincipalId"],
        }
    if isinstance(change, dict) and isinstance(change.get("ApproximateCreationDateTime"), str):
        seconds = _seconds(change["ApproximateCreationDateTime"])
        changed["dynamodb"] = {**change, "ApproximateCreationDateTime": seconds}
    return changed


def _seconds(time: str) -> float:
    try:
        return datetime.fromisoformat(time.replace("Z", "+00:00")).timestamp()
    except ValueError:
        raise DecodeError(
            "this event cannot be decoded: its ApproximateCreationDateTime is no time"
        ) from None
