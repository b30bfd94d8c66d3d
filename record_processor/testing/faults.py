"""Faults: which calls they hit, and what happens to those."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias, TypedDict

from record_processor.testing.aws_errors import AwsError, encode_json, error_answer, error_in, json_answer
from record_processor.testing.http_wire import Message, WireError
from record_processor.testing.request import Request

Match: TypeAlias = Callable[[dict[str, Any]], bool]
Forward: TypeAlias = Callable[..., dict[str, Any]]
Hook: TypeAlias = Callable[[dict[str, Any], Forward], dict[str, Any]]


class ConnectionEndsError(Exception):
    """The answer is that the connection ends: after these bytes, properly or by a reset."""

    def __init__(self, sent: bytes = b"", *, reset: bool) -> None:
        """Take what is still sent, and whether the connection is then reset (RST) or closed (FIN)."""
        super().__init__("the connection ends")
        self.sent = sent
        self.reset = reset


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request at the proxy, and the way to the real answer."""

    message: Message
    request: Request
    region: str
    forward: Callable[[Message], Message]


Action: TypeAlias = Callable[[Exchange, threading.Event], "Message | None"]
"""What a fault does: return the answer, or None to let the call go on. The event says that it is removed."""


class Which(TypedDict, total=False):
    """Which calls of its operation a fault hits; without any of these, all."""

    times: int | None
    """At most so many, then no more."""
    after: int
    """Not the first so many."""
    table: str | None
    """Only those on this table; for streams, on the stream of this table."""
    shard: str | None
    """Only those on this shard, by its id."""
    match: Match | None
    """Only those for whose request, as parsed JSON, this function returns true."""


class Fault:
    """One fault in force, until it is removed. May be used from any thread."""

    def __init__(self, operation: str, which: Which, action: Action, forget: Callable[[Fault], None]) -> None:
        """Made by the proxy's methods."""
        self._operation = operation
        self._which = which
        self._action = action
        self._forget = forget
        self._removed = threading.Event()
        self._lock = threading.Lock()
        self._fitting = 0
        self._hits = 0

    @property
    def hits(self) -> int:
        """How many calls it has hit so far."""
        return self._hits

    def remove(self) -> None:
        """End it, and with it every delay and hang that it causes just now."""
        self._forget(self)
        self._removed.set()

    def apply(self, exchange: Exchange) -> Message | None:
        """Return the answer if it hits this call and makes one; None lets the call go on."""
        return self._action(exchange, self._removed) if self._takes(exchange.request) else None

    def _takes(self, request: Request) -> bool:
        if not self._fits(request):
            return False
        with self._lock:
            self._fitting += 1
            times = self._which.get("times")
            is_spared = self._fitting <= self._which.get("after", 0)
            is_worn_out = times is not None and self._hits >= times
            if self._removed.is_set() or is_spared or is_worn_out:
                return False
            self._hits += 1
            return True

    def _fits(self, request: Request) -> bool:
        table, match = self._which.get("table"), self._which.get("match")
        return (
            self._operation in {"*", request.operation}
            and (table is None or table in request.tables)
            and self._which.get("shard") in {None, request.shard}
            and (match is None or match(request.content))
        )


def failing(error: AwsError) -> Action:
    """Answer with the error, without asking DynamoDB."""
    return lambda exchange, _: error_answer(error, exchange.request, exchange.region)


def delaying(seconds: float) -> Action:
    """Wait, then go on."""

    def delay(_: Exchange, removed: threading.Event) -> None:
        removed.wait(seconds)

    return delay


def resetting(forwarded: bool) -> Action:
    """Reset the connection."""

    def reset(exchange: Exchange, _: threading.Event) -> Message:
        if forwarded:
            exchange.forward(exchange.message)
        raise ConnectionEndsError(reset=True)

    return reset


def hanging(seconds: float | None, forwarded: bool) -> Action:
    """Keep still until removed, then reset the connection."""

    def hang(exchange: Exchange, removed: threading.Event) -> Message:
        if forwarded:
            exchange.forward(exchange.message)
        removed.wait(seconds)
        raise ConnectionEndsError(reset=True)

    return hang


def halving(exchange: Exchange, _: threading.Event) -> Message:
    """Send the head and half of the body of the real answer, then close."""
    answer = exchange.forward(exchange.message)
    whole = answer.encode()
    raise ConnectionEndsError(whole[: len(whole) - (len(answer.body) + 1) // 2], reset=False)


def responding(hook: Hook) -> Action:
    """Let a function make the answer."""

    def respond(exchange: Exchange, _: threading.Event) -> Message:
        request = exchange.request
        try:
            return json_answer(hook(request.content, _forwarder(exchange)))
        except AwsError as error:
            return error_answer(error, request, exchange.region)
        except (ConnectionEndsError, OSError, WireError):
            raise
        except Exception as error:  # noqa: BLE001 the client must hear of a broken hook, or the test would wait
            failure = AwsError("InternalFailure", f"the hook for {request.operation} raised {error!r}")
            return error_answer(failure, request, exchange.region)

    return respond


def _forwarder(exchange: Exchange) -> Forward:
    def forward(content: dict[str, Any] | None = None) -> dict[str, Any]:
        asked = exchange.request.content if content is None else content
        answer = exchange.forward(exchange.message.with_body(encode_json(asked)))
        if answer.status != 200:
            raise error_in(answer)
        parsed: dict[str, Any] = json.loads(answer.body)
        return parsed

    return forward
