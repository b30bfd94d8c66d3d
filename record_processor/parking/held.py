"""Messages of a queue that are out for reading: kept hidden from others, then given back."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from itertools import islice
from threading import Event, Lock, Thread
from typing import Any, Final

from record_processor.parking.clients import LazyClient

_log = logging.getLogger("record_processor")
_BATCH: Final = 10
"""SQS takes no more at once."""


class HeldMessages:
    """Hides messages for as long as they are held; if this process is killed, for `hide_seconds` at most."""

    def __init__(self, client: LazyClient, hide_seconds: int = 180) -> None:
        """Take how long SQS hides a message after we were last heard of."""
        self._client = client
        self._queue_url = ""
        self._lock = Lock()
        self._handles: dict[str, str] = {}
        self._is_over = Event()
        self._keeper: Thread | None = None
        self.hide_seconds = hide_seconds

    def hold(self, queue_url: str, message: dict[str, Any]) -> bool:
        """Hold a message that was received; return whether it was not held yet."""
        self._queue_url = queue_url
        with self._lock:
            is_new = message["MessageId"] not in self._handles
            self._handles[message["MessageId"]] = message["ReceiptHandle"]
            if self._keeper is None:
                self._is_over.clear()
                self._keeper = Thread(target=self._keep, name="held messages", daemon=True)
                self._keeper.start()
        return is_new

    def take(self, message_id: str) -> str:
        """Return the latest handle of a message, which from now on is not held."""
        with self._lock:
            return self._handles.pop(message_id)

    def give_back(self) -> None:
        """Let others see at once what is still held."""
        self._is_over.set()
        if self._keeper is not None:
            self._keeper.join()
            self._keeper = None
        with self._lock:
            handles, self._handles = self._handles, {}
        self._hide(handles, 0)

    def _keep(self) -> None:
        while not self._is_over.wait(self.hide_seconds / 3):
            with self._lock:
                handles = dict(self._handles)
            self._hide(handles, self.hide_seconds)

    def _hide(self, handles: dict[str, str], seconds: int) -> None:
        for batch in _batches(handles.values()):
            entries = [
                {"Id": str(number), "ReceiptHandle": handle, "VisibilityTimeout": seconds}
                for number, handle in enumerate(batch)
            ]
            try:
                self._client().change_message_visibility_batch(QueueUrl=self._queue_url, Entries=entries)
            except Exception as error:  # noqa: BLE001  # whatever it is, SQS goes on by itself
                _log.warning("messages of %s may be seen by others later: %s", self._queue_url, error)


def _batches(handles: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(handles)
    while batch := list(islice(rest, _BATCH)):
        yield batch
