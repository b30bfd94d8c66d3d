"""Records that wait to be handed out: in order for each key, and none while its key is held. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable

from record_processor.pipeline.entry import Entry


class KeyQueue:
    """Each key's records in a queue of its own. A shard without parallelism has one key for all."""

    def __init__(self) -> None:
        """Begin empty."""
        self._queues: dict[Hashable, deque[Entry]] = {}
        self._free: deque[Hashable] = deque()  # keys that are not held, and have records
        self._held: set[Hashable] = set()
        self._count = 0

    def __len__(self) -> int:
        """How many records wait, those of held keys too."""
        return self._count

    @property
    def first(self) -> Entry | None:
        """The next record that can be taken."""
        return self._queues[self._free[0]][0] if self._free else None

    def add(self, entry: Entry) -> None:
        """Let a record wait behind those that are there."""
        queue = self._queues.get(entry.key)
        if queue is None:
            queue = self._queues[entry.key] = deque()
        if not queue and entry.key not in self._held:
            self._free.append(entry.key)
        queue.append(entry)
        self._count += 1

    def take(self, count: int) -> list[Entry]:
        """Remove up to so many records, key after key, and hold their keys."""
        taken: list[Entry] = []
        while self._free and len(taken) < count:
            key = self._free.popleft()
            self._held.add(key)
            queue = self._queues[key]
            while queue and len(taken) < count:
                taken.append(queue.popleft())
        self._count -= len(taken)
        return taken

    def release(self, keys: Iterable[Hashable]) -> None:
        """Hold these keys no longer."""
        for key in keys:
            self._held.remove(key)
            if self._queues[key]:
                self._free.append(key)
            else:
                del self._queues[key]
