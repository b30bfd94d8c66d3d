"""Two hosts of one application: the first has the shard, the other is ready; changes come all the time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeAlias

from benchmarks.sources import Folders, Write, writing
from benchmarks.system import Ours, Source, Stock, wait_for_records_after

Table: TypeAlias = tuple[Source, Write]

READY_SECONDS: Final = {Ours: 15, Stock: 60}
"""How long the other host has to get ready."""


@contextmanager
def two_hosts(
    where: Folders, table: Table, system: type[Ours | Stock]
) -> Iterator[tuple[Path, Ours | Stock]]:
    """Give the folder and the first host, once the other one is ready."""
    source, write = table
    folder, application = where.new("hosts")
    write()
    with (
        system(folder, source, application, "host-1") as first,
        system(folder, source, application, "host-2") as second,
        writing(write),
    ):
        began = time.monotonic()
        first.start()
        wait_for_records_after(folder, began)
        second.start()
        time.sleep(READY_SECONDS[system])
        yield folder, first
