"""A worker of ours by script, on standard input and output: what it does, the keys of its records say.

It notes in `heard.jsonl` of the folder that it is given how each process was begun, and in `handled.jsonl` the keys
of what it acknowledged.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from pathlib import Path
from typing import Any

from record_processor.testing import wait_until

FOLDER = Path(sys.argv[1])
DEATHS_ALONE = 2
"""How many processes `deadly` ends alone, before it is skipped."""


def say(action: str, **fields: object) -> None:
    """Say something to the daemon."""
    print(json.dumps({"action": action, **fields}), flush=True)


def note(file: str, **fields: object) -> None:
    """Tell the test."""
    with (FOLDER / file).open("a", encoding="utf-8") as notes:
        notes.write(json.dumps(fields) + "\n")


def key(record: dict[str, Any]) -> str:
    """Return a record's key."""
    text: str = json.loads(base64.b64decode(record["data"]))["dynamodb"]["Keys"]["pk"]["S"]
    return text


def process(records: list[dict[str, Any]], beginning: dict[str, Any]) -> None:
    """Handle a batch: acknowledge each record that is handled alone, and the batch at its end."""
    up_to = int(beginning["oneByOneUpTo"] or -1)
    handled = ""
    for record in records:
        number = record["sequenceNumber"]
        is_alone = int(number) <= up_to
        if key(record) == "deadly" and not (is_alone and beginning["attempts"] >= DEATHS_ALONE):
            os._exit(7)
        if key(record) == "fatal when told":
            wait_until((FOLDER / "told").exists)
        if key(record).startswith("fatal"):
            acknowledge(handled)
            say("fatal", reason=f"no such table in {beginning['tableName']}\nsays the handler")
            sys.exit(1)
        handled = number
        if is_alone:
            acknowledge(handled)
        note("handled.jsonl", key=key(record), sequenceNumber=number)
    acknowledge(handled)


def acknowledge(number: str) -> None:
    """Acknowledge what is handled, if anything is."""
    if number:
        say("acknowledge", sequenceNumber=number)


def main() -> None:
    """Speak for one shard."""
    beginning: dict[str, Any] = {}
    for line in sys.stdin:
        message = json.loads(line)
        if message["action"] == "initialize":
            beginning = message
            note("heard.jsonl", **message)
            say("status", responseFor="initialize")
        elif message["action"] == "processRecords":
            process(message["records"], beginning)
        elif message["action"] in ("shutdownRequested", "leaseLost", "shardEnded"):
            say("status", responseFor=message["action"])
            return


if __name__ == "__main__":
    main()
