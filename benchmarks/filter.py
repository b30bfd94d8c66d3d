"""Python's CPU time for each record that was written, of which one in twenty is wanted.

The whole system runs, on DynamoDB Local; counted is the worker, from its set-up to the last record. Ours
filters in the daemon. Stock has no filter, so its program looks at each record; in the second case a handler
of ours does so.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from benchmarks.frame import Case
from benchmarks.paid import LAST, REPORT
from benchmarks.sources import insert
from record_processor.testing import DynamoDBLocal, create_stream_table, wait_until
from tests.local.application import Application

RECORDS: Final = 50_000
WANTED: Final = 20
"""One of so many."""

CRITERIA: Final = json.dumps(
    {"Filters": [{"Pattern": json.dumps({"dynamodb": {"NewImage": {"status": {"S": ["paid"]}}}})}]}
)
HANDLER: Final = {"processor": "benchmarks.paid:Paid"}
PROGRAM: Final = {"executableName": f'"{sys.executable}" -m benchmarks.paid'}


def cases() -> Iterator[Case]:
    """Give the cases over one table, which is written once."""
    with DynamoDBLocal() as dynamodb, TemporaryDirectory() as folder:
        table = create_stream_table(dynamodb.client(), "orders").name
        _write(dynamodb.client(), table)
        numbers = count()

        def measure(**properties: str) -> Callable[[], float]:
            return lambda: _microseconds(
                Path(folder) / str(next(numbers)), dynamodb.endpoint, {"sourceTable": table, **properties}
            )

        ours = measure(**HANDLER, filterCriteria=CRITERIA)
        for name, other in {"95-percent": PROGRAM, "95-percent-in-handler": HANDLER}.items():
            yield Case(name, "µs/record", more_is_better=False, ours=ours, stock=measure(**other))


def _write(client: Any, table: str) -> None:
    """Insert the orders; the last one is wanted, and alone in its call."""
    print(f"bench: writing {RECORDS} records", file=sys.stderr, flush=True)
    insert(client, table, [_order(number) for number in range(RECORDS - 1)])
    client.put_item(TableName=table, Item={**_order(0), "pk": {"S": LAST}, "orderId": {"S": LAST}})


def _order(number: int) -> dict[str, Any]:
    return {
        "pk": {"S": f"customer-{number:06}"},
        "orderId": {"S": f"2026-11-23T23:45:06.970Z#{number:06}"},
        "status": {"S": "paid" if number % WANTED == 0 else "open"},
        "total": {"N": f"{number % 977}.95"},
        "pieces": {"N": str(number % 19 + 1)},
        "isGift": {"BOOL": number % 5 == 0},
    }


def _microseconds(folder: Path, endpoint: str, properties: dict[str, Any]) -> float:
    """Run an application until it has seen the last record; return the CPU time of its worker."""
    folder.mkdir()
    with Application(folder, endpoint, applicationName=f"filter-{folder.name}", **properties) as app:
        app.environment = {"BENCHMARK_FOLDER": str(folder), "PYTHONPATH": str(Path.cwd())}
        app.start()
        report = folder / REPORT
        wait_until(report.exists, 120, "the last record")
        if app.drain() != 0:
            raise RuntimeError(app.output())
    return float(report.read_text("ascii")) * 1e6 / RECORDS
