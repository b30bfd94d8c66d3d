"""Finds the destination that a properties file names. No client is made: a fork may follow."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from record_processor import locations
from record_processor.aws import Aws
from record_processor.errors import ConfigurationError
from record_processor.locations import Location
from record_processor.parking.clients import LazyClient
from record_processor.parking.destination import Destination
from record_processor.parking.discard import Discard
from record_processor.parking.dynamodb import DynamoDBDestination
from record_processor.parking.files import FileDestination
from record_processor.parking.overflow import Overflow
from record_processor.parking.s3 import Bucket, S3Destination
from record_processor.parking.sns import SnsDestination
from record_processor.parking.sqs import SqsDestination
from record_processor.settings import Settings


def open_destination(settings: Settings) -> Destination | None:
    """Return where the records of a properties file go that are given up; None if it does not say."""
    url, overflow, endpoint = (
        _text(settings, name) for name in ("onFailureDestination", "onFailureOverflow", "dynamoDBEndpoint")
    )
    return destination_at(url, overflow, Aws(str(settings["regionName"]), endpoint)) if url else None


def destination_at(url: str, overflow: str | None, aws: Aws) -> Destination:
    """Return the destination of the properties onFailureDestination and onFailureOverflow.

    Raises ValueError for a URL of another kind, and ConfigurationError if an overflow is needed.
    """
    location = locations.parse(url, (*_WHOLE, *_LIMITED))
    if location.scheme in _WHOLE:
        return _WHOLE[location.scheme](location, aws)
    if not overflow:
        raise ConfigurationError(f"onFailureDestination = {url} needs onFailureOverflow")
    return _LIMITED[location.scheme](location, aws, Overflow(_bucket(locations.parse(overflow, ["s3"]), aws)))


def _discard(_location: Location, _aws: Aws) -> Destination:
    return Discard()


def _files(location: Location, _aws: Aws) -> Destination:
    return FileDestination(Path(location.name))


def _s3(location: Location, aws: Aws) -> Destination:
    return S3Destination(_bucket(location, aws))


def _dynamodb(location: Location, aws: Aws, overflow: Overflow) -> Destination:
    return DynamoDBDestination(location.name, LazyClient(aws, "dynamodb"), overflow)


def _sqs(location: Location, aws: Aws, overflow: Overflow) -> Destination:
    return SqsDestination(location.name, LazyClient(aws, "sqs", _region_of(location.name)), overflow)


def _sns(location: Location, aws: Aws, overflow: Overflow) -> Destination:
    return SnsDestination(location.name, LazyClient(aws, "sns", _region_of(location.name)), overflow)


_WHOLE: Final[dict[str, Callable[[Location, Aws], Destination]]] = {
    "file": _files,
    "s3": _s3,
    "discard": _discard,
}
"""Those that take every record whole."""
_LIMITED: Final[dict[str, Callable[[Location, Aws, Overflow], Destination]]] = {
    "sqs": _sqs,
    "sns": _sns,
    "dynamodb": _dynamodb,
}
"""Those for which some are too large."""


def _bucket(location: Location, aws: Aws) -> Bucket:
    return Bucket(location, LazyClient(aws, "s3"))


def _region_of(name: str) -> str:
    """Return the region of an ARN; empty for a mere name."""
    return name.split(":")[3] if name.startswith("arn:") else ""


def _text(settings: Settings, name: str) -> str | None:
    value = settings[name]
    return value if isinstance(value, str) else None
