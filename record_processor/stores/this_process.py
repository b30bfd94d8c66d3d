"""What this process is called in stores. A worker says which shard it handles; other processes need not."""

from __future__ import annotations

import os
import secrets
import socket
from dataclasses import dataclass, field
from typing import Final

from record_processor.stores.claim import Claim
from record_processor.stores.per_process import PerProcess


@dataclass(slots=True)
class _Names:
    process: str = field(default_factory=lambda: secrets.token_hex(8))
    owner: str = ""

    def __post_init__(self) -> None:
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{self.process}"


_names: Final = PerProcess(_Names)
"""A process that was forked off has names of its own: it is not the worker, who may be alive."""


def name_this_process(owner: str) -> None:
    """Say that this process is the only one that is `<workerId>/<shardId>`.

    What a predecessor of that name had claimed is then taken over at once, for it is dead; also one that was
    in this process, in a test.
    """
    names = _names.get()
    names.owner, names.process = owner, secrets.token_hex(8)


def unname_this_process() -> None:
    """Take back that it is a worker: from here on it has a name that nobody ever had."""
    _names.take()


def claim_of_this_process(fencing_token: int = 0) -> Claim:
    """Return this process's claim, with the lease's counter, `record.fencing_token`, if there is one."""
    names = _names.get()
    return Claim(names.owner, names.process, fencing_token)
