"""Runs an example that keeps balances, in processes that are killed at a chosen step. A program of its own.

python bookings.py EXAMPLE STEPS: prints how many runs there were; each has an account of its own, its number.
STEPS says what the steps are: `sqlite`, statements of its database, or `boto3`, what happens to its requests.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
from collections.abc import Callable
from itertools import count
from typing import Any, Final

from record_processor import Record

AMOUNTS: Final = (5, 70, 900)


def records() -> list[Record]:
    """Return the bookings."""
    return [
        Record.from_dynamodb_json(
            {
                "eventID": f"{os.environ['RUN']}-{number}",
                "eventName": "INSERT",
                "dynamodb": {
                    "SequenceNumber": str(number),
                    "NewImage": {"account": {"S": os.environ["RUN"]}, "amount": {"N": str(amount)}},
                },
            }
        )
        for number, amount in enumerate(AMOUNTS)
    ]


def handle(make: Callable[[], Any], steps: str, kill_at: int | None) -> None:
    """Handle all bookings; be killed at a step, from 1."""
    numbers = count(1)

    def step(*_: Any, **__: Any) -> None:
        if next(numbers) == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    processor = make()
    processor.setup(None)
    if steps == "sqlite":
        processor.database.set_trace_callback(step)
    else:
        for event in ("before-send", "response-received", "after-call"):
            processor.dynamodb.meta.events.register(f"{event}.dynamodb.TransactWriteItems", step)
    for record in records():
        processor.process_record(record)
        step()  # the effect is there, the acknowledgement is not


def in_child(work: Callable[[], None]) -> bool:
    """Do it in a process of its own; whether that came to its end and was not killed."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        except BaseException:  # noqa: BLE001 # this process must not go on as its parent
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, status
    return not os.WIFSIGNALED(status)


def main(example: str, steps: str) -> None:
    """Kill each run at its next step, and then repeat it whole; the last one is not killed."""
    make = runpy.run_path(example)["Balances"]
    for kill_at in count(1):
        os.environ["RUN"] = str(kill_at)
        ended = in_child(lambda step=kill_at: handle(make, steps, step))  # type: ignore[misc]
        in_child(lambda: handle(make, steps, None))
        if ended:
            print(kill_at)
            break


if __name__ == "__main__":
    main(*sys.argv[1:])
