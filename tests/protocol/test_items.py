"""What handlers are given of an item, as the options of the worker and their class say, on both wires."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.protocol.scripted_daemon import ScriptedDaemon, record, wait_until

PRINTS = """
class Processor(RecordProcessor):
    def on_modify(self, record):
        print(record.keys, record.item, record.changes(), flush=True)
"""


@pytest.mark.parametrize(
    ("options", "printed"),
    [
        ([], "{'pk': 1} {'n': [2, {3}]} {'n[0]': (1, 2)}"),
        (
            ["--settings", '{"numbers": "decimal"}'],
            (
                "{'pk': Decimal('1')} {'n': [Decimal('2'), {Decimal('3')}]} "
                "{'n[0]': (Decimal('1'), Decimal('2'))}"
            ),
        ),
    ],
    ids=["int", "decimal"],
)
def test_numbers(start: Callable[..., ScriptedDaemon], options: list[str], printed: str) -> None:
    """Whole numbers are int unless they are asked for as Decimal."""
    images = {"OldImage": _numbers("1"), "NewImage": _numbers("2")}
    with start(PRINTS, *options) as daemon:
        daemon.initialize()
        daemon.send_batch(record(1, "MODIFY", Keys={"pk": {"N": "1"}}, **images))
        daemon.expect_acknowledge(1)
        daemon.send({"action": "shardEnded"})
        daemon.expect_status("shardEnded")
        daemon.expect_exit(0)
        assert daemon.printed() == [printed]


def _numbers(number: str) -> dict[str, object]:
    return {"n": {"L": [{"N": number}, {"NS": ["3"]}]}}


MODEL = """
import dataclasses
from typing import Any
@dataclasses.dataclass
class Order:
    total: int
    anything: Any = None
class Processor(RecordProcessor[Order]):
    model = Order
    def setup(self, context):
        self.model = "what a handler calls so"
    def on_modify(self, record):
        print(record.old_image, record.item, [record.get("total")], flush=True)
"""


def test_a_model(start: Callable[..., ScriptedDaemon]) -> None:
    """Items are objects; one that does not fit is its record's error, and nothing of it is logged."""
    old, new = {"total": {"N": "1"}, "anything": {"N": "2"}}, {"total": {"N": "3"}}
    with start(MODEL, "--settings", '{"numbers": "decimal"}') as daemon:
        daemon.initialize()
        daemon.send_batch(
            record(1, "MODIFY", OldImage=old, NewImage=new),
            record(2, "MODIFY", OldImage=old, NewImage={"total": {"S": "canary"}}),
            record(3, "MODIFY", OldImage=old, NewImage=new),
        )
        daemon.expect_acknowledge(1)
        wait_until(lambda: "attempt 1 failed" in daemon.stderr())
        daemon.send({"action": "shutdownRequested"})
        daemon.expect_status("shutdownRequested")
        daemon.expect_exit(0)
        assert daemon.printed() == ["Order(total=1, anything=2) Order(total=3, anything=None) [Decimal('3')]"]
        assert (
            "record 2: record_processor.errors.ModelError: record 2: its NewImage does not fit the model "
            "app.Order: Expected `int`, got `str` - at `$.total`; attempt 1 failed"
        ) in daemon.stderr()
        assert "canary" not in daemon.stderr()
