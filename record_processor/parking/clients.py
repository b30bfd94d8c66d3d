"""AWS's clients for the destinations, made when they are first used, and its errors as ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Final

from record_processor.aws import Aws
from record_processor.errors import ConfigurationError, StartError

_DENIED: Final = (
    "AccessDenied",
    "AccessDeniedException",
    "AuthorizationError",
    "AuthorizationErrorException",
    "403",
)
_BAD_CREDENTIALS: Final = (
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidSecurity",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
)


@dataclass(slots=True)
class LazyClient:
    """A boto3 client that is made at its first use: after a fork, if a worker is forked."""

    aws: Aws
    service: str
    region: str = ""
    """Empty for the one of the properties file."""
    _client: Any = None
    _lock: Any = field(default_factory=Lock)

    def __call__(self) -> Any:
        """Return the client, the same for all threads."""
        with self._lock:
            if self._client is None:
                self._client = self.aws.client(self.service, self.region)
            return self._client

    @property
    def region_name(self) -> str:
        """Where it calls."""
        return self.region or self.aws.region


def error_code(error: Exception) -> str:
    """Return AWS's name of an error, such as `NoSuchKey`; empty for one that is not an answer of AWS."""
    response: Mapping[str, Any] = getattr(error, "response", {})
    return str(response.get("Error", {}).get("Code", ""))


@contextmanager
def told(name: str, missing: Mapping[str, str] | None = None) -> Iterator[None]:
    """Turn what boto3 raises in the block into one line: StartError, or ConfigurationError.

    `name` is what was asked for, such as `queue orders`; `missing` says for codes of AWS what to create.
    """
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

    try:
        yield
    except ClientError as error:
        code = error_code(error)
        if missing and code in missing:
            raise ConfigurationError(missing[code]) from None
        raise StartError(f"{name}: {_reason(error, code)}") from None
    except NoCredentialsError:
        raise StartError(
            f"{name}: there are no AWS credentials; give this host a role, or set them up"
        ) from None
    except BotoCoreError as error:
        raise StartError(f"{name}: AWS does not answer: {error}") from None


def _reason(error: Any, code: str) -> str:
    if code in _DENIED:
        return f"AWS denies {error.operation_name}; allow it, as docs/parking.md lists"
    if code in _BAD_CREDENTIALS:
        return f"AWS refuses the credentials ({code}); renew them"
    message = error.response.get("Error", {}).get("Message", "")
    return f"{error.operation_name} failed with {code}: {message}"
