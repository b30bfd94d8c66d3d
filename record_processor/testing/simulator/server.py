"""The simulator as a server: a fault proxy that answers stream calls itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from record_processor.testing.aws_errors import AwsError, error_answer
from record_processor.testing.fault_proxy import FaultProxy
from record_processor.testing.http_wire import Message
from record_processor.testing.request import understand
from record_processor.testing.simulator.clock import VirtualClock
from record_processor.testing.simulator.service import StreamService
from record_processor.testing.simulator.stream import SimulatedStream
from record_processor.testing.upstream import Upstream

_NOBODY: Final = "http://127.0.0.1:9"


class StreamSimulator(FaultProxy):
    """DynamoDB Streams on 127.0.0.1, with a clock and shards that do as they are told.

    All that a `FaultProxy` can do to a call it can do to these, too. What is not a stream call goes on to
    DynamoDB Local: leases and other tables are real. Of a simulated table only DescribeTable is answered.
    """

    def __init__(
        self,
        upstream: str | None = None,
        region: str = "eu-west-1",
        *,
        port: int = 0,
        clock: VirtualClock | None = None,
    ) -> None:
        """Take the URL of DynamoDB Local.

        Without one there are only streams: enough for a client of theirs, not for the daemon. `port` 0 is any
        that is free.
        """
        super().__init__(upstream or _NOBODY, region, port=port)
        self.clock = clock or VirtualClock()
        """The time of all its streams."""
        self._stands_alone = upstream is None
        self._service = StreamService(region, self.clock)

    def create_stream(
        self,
        table: str,
        shards: int = 1,
        view_type: str = "NEW_AND_OLD_IMAGES",
        key_schema: Mapping[str, str] | None = None,
        *,
        roll_every_hours: float | None = None,
        empty_pages: int = 0,
    ) -> SimulatedStream:
        """Make a simulated table with a stream of so many open shards.

        `key_schema` has the keys' names and types, the partition key first; without it, it is `pk`, a string.
        With `roll_every_hours` each shard rolls over by itself (DynamoDB's do after about 4); `empty_pages`
        is how many empty answers precede each one with records. Raises ValueError if the table exists.
        """
        if self._service.has_table(table):
            raise ValueError(f"table {table} exists already; recreate_stream makes its stream anew")
        stream = SimulatedStream(
            table,
            region=self.region,
            clock=self.clock,
            shards=shards,
            view_type=view_type,
            key_schema=key_schema,
            roll_every_hours=roll_every_hours,
            empty_pages=empty_pages,
        )
        self._service.add(stream)
        return stream

    def stream(self, table: str) -> SimulatedStream:
        """Return the newest stream of a simulated table. Raises KeyError."""
        return self._service.stream_of(table)

    def recreate_stream(self, table: str) -> SimulatedStream:
        """Disable a table's stream, and give the table another with as many open shards as it had at first.

        The old one remains readable for 24 hours. So it is, too, when a table is deleted and made anew.
        Raises KeyError without such a table.
        """
        renewed = self._end(table).renewed()
        self._service.add(renewed)
        return renewed

    def delete_table(self, table: str) -> None:
        """Delete a simulated table; its stream remains readable for 24 hours. Raises KeyError without it."""
        self._end(table)
        self._service.forget_table(table)

    def _end(self, table: str) -> SimulatedStream:
        stream = self.stream(table)
        stream.disable()
        self.clock.advance(seconds=0.001)  # so that the table's next stream has another ARN
        return stream

    def _forward(self, message: Message, upstream: Upstream) -> Message:
        request = understand(message, self._iterators)
        try:
            answer = self._service.answer(request)
        except AwsError as error:
            return error_answer(error, request, self.region)
        if answer is None and self._stands_alone:
            unknown = AwsError(
                "UnknownOperationException", f"no DynamoDB is here to ask: {request.operation}"
            )
            return error_answer(unknown, request, self.region)
        return answer or super()._forward(message, upstream)
