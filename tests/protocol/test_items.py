"""What handlers are given of an item, as the options of the worker and their class say, on both wires."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.protocol.scripted_daemon import ScriptedDaemon, record

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
            ["--numbers", "decimal"],
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
