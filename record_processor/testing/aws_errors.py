"""DynamoDB's errors, as they look on the wire."""

from __future__ import annotations

import json
import uuid
import zlib
from typing import Any, Final

from record_processor.testing.http_wire import Message
from record_processor.testing.request import Request

_USER: Final = "arn:aws:iam::000000000000:user/recordprocessor"
_MODELLED: Final = "com.amazonaws.dynamodb.v20120810"
# What the front of the service refuses before DynamoDB itself sees the call.
_NAMESPACES: Final = {
    "AccessDeniedException": "com.amazon.coral.service",
    "ExpiredTokenException": "com.amazon.coral.service",
    "IncompleteSignatureException": "com.amazon.coral.service",
    "InternalFailure": "com.amazon.coral.service",
    "InvalidSignatureException": "com.amazon.coral.service",
    "MissingAuthenticationTokenException": "com.amazon.coral.service",
    "SerializationException": "com.amazon.coral.service",
    "ServiceUnavailable": "com.amazon.coral.service",
    "UnknownOperationException": "com.amazon.coral.service",
    "UnrecognizedClientException": "com.amazon.coral.service",
    "ValidationException": "com.amazon.coral.validate",
}
_STATUSES: Final = {"InternalFailure": 500, "InternalServerError": 500, "ServiceUnavailable": 503}
_REASONS: Final = {
    400: "Bad Request",
    403: "Forbidden",
    500: "Internal Server Error",
    503: "Service Unavailable",
}
_MESSAGES: Final = {
    "ConditionalCheckFailedException": "The conditional request failed",
    "ExpiredIteratorException": "Iterator expired. The iterator was created more than 15 minutes ago.",
    "ExpiredTokenException": "The security token included in the request is expired",
    "InternalServerError": "The request processing has failed because of an unknown error.",
    "LimitExceededException": "Subscriber limit exceeded: there are too many readers of this shard.",
    "ProvisionedThroughputExceededException": (
        "The level of configured provisioned throughput for the table was exceeded. "
        "Consider increasing your provisioning level with the UpdateTable API."
    ),
    "ResourceNotFoundException": "Requested resource not found",
    "ServiceUnavailable": "The service is temporarily unavailable.",
    "ThrottlingException": "Rate of requests exceeds the allowed throughput.",
    "TrimmedDataAccessException": "The operation attempted to read past the oldest stream record in a shard.",
    "UnrecognizedClientException": "The security token included in the request is invalid.",
}


class AwsError(Exception):
    """An error of AWS's, raised by `forward` in a hook of `FaultProxy.respond`, or by the hook itself."""

    def __init__(self, code: str, message: str | None = None, http_status: int | None = None) -> None:
        """Take AWS's name of the error; the message and the status are AWS's own if they are not given."""
        super().__init__(message or code)
        self.code = code
        self.message = message
        self.http_status = http_status or _STATUSES.get(code, 400)


def error_answer(error: AwsError, request: Request, region: str) -> Message:
    """Return the answer that says so to the request."""
    denied = error.code == "AccessDeniedException"
    message = error.message or (_denied(request, region) if denied else _MESSAGES.get(error.code, error.code))
    kind = f"{_NAMESPACES.get(error.code, _MODELLED)}#{error.code}"
    return json_answer({"__type": kind, "Message" if denied else "message": message}, error.http_status)


def json_answer(content: dict[str, Any], status: int = 200) -> Message:
    """Return an answer with such a body, and with the headers that AWS sends."""
    return encoded_answer(encode_json(content), status)


def encoded_answer(body: bytes, status: int = 200) -> Message:
    """Return an answer with a body of JSON, and with the headers that AWS sends."""
    headers = [
        ("x-amzn-RequestId", str(uuid.uuid4())),
        ("Content-Type", "application/x-amz-json-1.0"),
        ("x-amz-crc32", str(zlib.crc32(body))),
    ]
    return Message(f"HTTP/1.1 {status} {_REASONS.get(status, 'OK')}", headers, b"").with_body(body)


def encode_json(content: dict[str, Any]) -> bytes:
    """Return a body; characters beyond ASCII are escaped, so that lone surrogates pass unharmed."""
    return json.dumps(content, separators=(",", ":")).encode("ascii")


def error_in(answer: Message) -> AwsError:
    """Return the error that an answer which is not 200 carries."""
    try:
        content = json.loads(answer.body)
        code = str(content["__type"]).rpartition("#")[2]
        message = content.get("message") or content.get("Message")
    except (ValueError, KeyError, TypeError, AttributeError):
        return AwsError("InternalFailure", answer.body[:200].decode("utf-8", "replace"), answer.status)
    return AwsError(code, message, answer.status)


def _denied(request: Request, region: str) -> str:
    action = f"dynamodb:{request.operation}"
    table = request.tables[0] if request.tables else "*"
    resource = request.stream_arn or f"arn:aws:dynamodb:{region}:000000000000:table/{table}"
    return (
        f"User: {_USER} is not authorized to perform: {action} on resource: {resource} "
        f"because no identity-based policy allows the {action} action"
    )
