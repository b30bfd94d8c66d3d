"""A proxy in front of DynamoDB Local: it fails on demand, counts calls, and makes ARNs look like AWS's."""

from __future__ import annotations

import socket
import struct
import threading
import zlib
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from record_processor.testing.arns import Arns
from record_processor.testing.aws import DUMMY_CREDENTIALS, local_client
from record_processor.testing.aws_errors import AwsError
from record_processor.testing.calls import Call, Calls
from record_processor.testing.faults import (
    Action,
    ConnectionEndsError,
    Exchange,
    Fault,
    Hook,
    Which,
    delaying,
    failing,
    halving,
    hanging,
    resetting,
    responding,
)
from record_processor.testing.http_wire import Message, WireError, read_message
from record_processor.testing.request import Iterators, understand
from record_processor.testing.upstream import Upstream

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

# The proxy keeps its own connections, and must be able to read what comes back.
_HOP_HEADERS: Final = frozenset({"accept-encoding", "connection", "expect", "host", "keep-alive"})
_JOIN_SECONDS: Final = 5.0


class FaultProxy:
    """An HTTP proxy on 127.0.0.1 for any AWS SDK that talks to DynamoDB and its streams.

    It is started by `with` or `start`. Each fault says which calls it hits: an operation as AWS names it
    ("GetRecords"; "*" is every one), and of its calls perhaps only some, see `Which`. Faults are tried in the
    order in which they were made; a delay lets the next ones act too. Each returns a handle with `hits` and
    `remove()`.
    """

    def __init__(
        self, upstream: str, region: str = "eu-west-1", rewrite_arns: bool = True, port: int = 0
    ) -> None:
        """Take the URL of DynamoDB Local, the region for clients, and where to listen: 0 is any free port.

        Stream ARNs and records show that region instead of DynamoDB Local's `ddblocal`, unless told not to.
        """
        address = urlsplit(upstream)
        if address.scheme != "http" or address.hostname is None or address.port is None:
            raise ValueError(f"{upstream!r} is not a URL like http://127.0.0.1:8000")
        self.region = region
        """The region for clients."""
        self.calls = Calls()
        """What was called: `proxy.calls["GetRecords"]`, `.count(…)`, `.log()`, `.wait_for(…)`."""
        self._upstream_address = (address.hostname, address.port)
        self._wanted_port = port
        self._arns = Arns(region) if rewrite_arns else None
        self._iterators = Iterators()
        self._lock = threading.Lock()
        self._faults: tuple[Fault, ...] = ()
        self._server: _Server | None = None

    # Faults

    def fail(
        self,
        operation: str,
        code: str = "ThrottlingException",
        message: str | None = None,
        http_status: int | None = None,
        **which: Unpack[Which],
    ) -> Fault:
        """Answer with an AWS error; its message and HTTP status are AWS's own unless they are given."""
        return self._add(operation, which, failing(AwsError(code, message, http_status)))

    def delay(self, operation: str, seconds: float, **which: Unpack[Which]) -> Fault:
        """Let the call go on only after `seconds`."""
        return self._add(operation, which, delaying(seconds))

    def reset(self, operation: str, *, forwarded: bool = False, **which: Unpack[Which]) -> Fault:
        """Reset the connection (TCP RST) instead of answering; `forwarded`: after the call took effect."""
        return self._add(operation, which, resetting(forwarded))

    def hang(
        self,
        operation: str,
        seconds: float | None = None,
        *,
        forwarded: bool = False,
        **which: Unpack[Which],
    ) -> Fault:
        """Answer nothing for `seconds`, or until removed, then reset; `forwarded`: the call takes effect."""
        return self._add(operation, which, hanging(seconds, forwarded))

    def half_answer(self, operation: str, **which: Unpack[Which]) -> Fault:
        """Send the head and half of the body of the real answer, then close the connection."""
        return self._add(operation, which, halving)

    def respond(self, operation: str, function: Hook, **which: Unpack[Which]) -> Fault:
        """Answer with what `function(request, forward)` returns: a dict, the JSON of the body.

        `request` is the JSON of the request. `forward()` asks DynamoDB Local and returns its answer's JSON;
        `forward(changed)` asks another question. It raises AwsError if that fails, which the function may
        catch, pass on, or raise itself.
        """
        return self._add(operation, which, responding(function))

    def clear(self) -> None:
        """Remove all faults."""
        for fault in self._faults:
            fault.remove()

    # Life

    def start(self) -> None:
        """Begin to listen; nothing if it does. Raises OSError if the wanted port is taken."""
        if self._server is None:
            self._server = _Server(self._answer, Upstream(*self._upstream_address), self._wanted_port)

    def stop(self) -> None:
        """Remove all faults and close every connection; nothing if it does not run."""
        self.clear()
        if self._server is not None:
            self._server.close()
            self._server = None

    def __enter__(self) -> Self:
        """Start it."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it."""
        self.stop()

    @property
    def port(self) -> int:
        """The TCP port that it listens on."""
        if self._server is None:
            raise RuntimeError("the fault proxy does not run: call start(), or use it in a with statement")
        return self._server.port

    @property
    def endpoint(self) -> str:
        """Its URL, as for the property `dynamoDBEndpoint`."""
        return f"http://127.0.0.1:{self.port}"

    def client(self, service: str = "dynamodb", max_attempts: int = 5) -> Any:
        """Return a boto3 client of "dynamodb" or "dynamodbstreams"; it tries a call `max_attempts` times."""
        return local_client(service, self.endpoint, self.region, max_attempts)

    def environment(self) -> dict[str, str]:
        """Return the environment variables with which any AWS SDK talks to it."""
        return {**DUMMY_CREDENTIALS, "AWS_REGION": self.region, "AWS_ENDPOINT_URL": self.endpoint}

    # The way of a call

    def _add(self, operation: str, which: Which, action: Action) -> Fault:
        fault = Fault(operation, which, action, self._forget)
        with self._lock:
            self._faults = (*self._faults, fault)
        return fault

    def _forget(self, gone: Fault) -> None:
        with self._lock:
            self._faults = tuple(fault for fault in self._faults if fault is not gone)

    def _answer(self, message: Message, upstream: Upstream) -> tuple[Message, Call]:
        """Return the answer. Raises ConnectionEndsError, OSError and WireError: then there is none."""
        request = understand(message, self._iterators)
        call = self.calls.add(request)
        exchange = Exchange(message, request, self.region, lambda changed: self._forward(changed, upstream))
        answers = (fault.apply(exchange) for fault in self._faults)
        answer = next((answer for answer in answers if answer is not None), None)
        if answer is None:
            answer = exchange.forward(message)
        self._iterators.learn(request, answer)
        return answer, call

    def _forward(self, message: Message, upstream: Upstream) -> Message:
        """Return the real answer, whatever faults there are. `StreamSimulator` gives its own instead."""
        body = self._arns.to_local(message.body) if self._arns else message.body
        request = message.with_body(body, drop=_HOP_HEADERS)
        request.headers.append(("Host", "{}:{}".format(*self._upstream_address)))
        answer = upstream.call(request)
        body = self._arns.to_region(answer.body) if self._arns else answer.body
        return _with_checksum(answer.with_body(body, drop=frozenset({"x-amz-crc32", "connection"})))


def _with_checksum(answer: Message) -> Message:
    answer.headers.append(("x-amz-crc32", str(zlib.crc32(answer.body))))
    return answer


class _Server:
    """Listens on 127.0.0.1, with one thread per connection."""

    def __init__(
        self, answer: Callable[[Message, Upstream], tuple[Message, Call]], upstream: Upstream, port: int
    ) -> None:
        self._answer = answer
        self._upstream = upstream
        self._listener = socket.create_server(("127.0.0.1", port), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._is_closing = False
        self._connections: dict[socket.socket, threading.Thread] = {}
        self._acceptor = threading.Thread(target=self._accept, name="fault-proxy", daemon=True)
        self._acceptor.start()

    def close(self) -> None:
        """End every connection and thread."""
        self._is_closing = True
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port)).close()  # wakes the acceptor
        self._acceptor.join(_JOIN_SECONDS)
        self._listener.close()
        self._upstream.close()
        # First only what is still to be read ends, so that each thread ends its connection in its own way.
        for how in (socket.SHUT_RD, socket.SHUT_RDWR):
            for thread in self._shut(how):
                thread.join(_JOIN_SECONDS)

    def _shut(self, how: int) -> list[threading.Thread]:
        """Shut the connections that are left, and return their threads."""
        with self._lock:
            for connection in self._connections:
                with suppress(OSError):
                    connection.shutdown(how)
            return list(self._connections.values())

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            if self._is_closing:
                connection.close()
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            thread = threading.Thread(target=self._serve, args=(connection,), name="fault-proxy", daemon=True)
            with self._lock:
                self._connections[connection] = thread
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        ending = ConnectionEndsError(reset=True)
        try:
            with connection.makefile("rb") as reader:
                while (message := read_message(reader, connection.sendall)) is not None:
                    answer, call = self._answer(message, self._upstream)
                    call.status = answer.status  # before it is sent: who has the answer may look at once
                    connection.sendall(answer.encode())
                    if message.header("Connection").lower() == "close":
                        break
            ending = ConnectionEndsError(reset=False)
        except ConnectionEndsError as broken:
            ending = broken
        except (OSError, WireError):  # the client went away, or DynamoDB Local did: then so do we
            pass
        finally:
            with self._lock:  # out of reach of a later shutdown before its number is free for another socket
                del self._connections[connection]
            _end(connection, ending)


def _end(connection: socket.socket, ending: ConnectionEndsError) -> None:
    with connection, suppress(OSError):
        connection.sendall(ending.sent)
        if ending.reset:
            # Closing with a linger time of zero sends RST instead of FIN.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
