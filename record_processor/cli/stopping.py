"""Ctrl-C between two steps: the first lets the step that runs end, the second ends the command at once."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Final

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """Hears SIGINT and SIGTERM while the block runs. Main thread only."""

    is_made: bool = False
    """Whether one has come: begin no further step."""

    def __enter__(self) -> StopRequest:
        """Take the signals over."""
        self._previous = {number: signal.signal(number, self._hear) for number in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the signals back."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _hear(self, _number: int, _frame: FrameType | None) -> None:
        self.is_made = True
        for number in _SIGNALS:
            signal.signal(number, signal.default_int_handler)
        with suppress(OSError):  # by the descriptor: a stream may be in use just now
            os.write(2, b"stopping after this record; a second signal ends it at once\n")
