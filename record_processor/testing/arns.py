"""Exchanges the region in ARNs: DynamoDB Local puts `ddblocal` there, which KCL's adapter refuses.

Only the API's own fields are changed. Items cannot be hit: an attribute's value is an object such as
{"S": "…"}, never a bare string, and a quote inside a string is escaped.
"""

from __future__ import annotations

import re
from typing import Final

_LOCAL: Final = b"ddblocal"
# Iterators are ARNs too; a table may be named by its ARN.
_FIELDS: Final = rb'"(?:(?:LatestStream|Stream|Table|Index|Resource)Arn|(?:Next)?ShardIterator|TableName)"'
_ARN: Final = rb'\s*:\s*"arn:aws:dynamodb:'


class Arns:
    """Turns ARNs with `region` into DynamoDB Local's, and back."""

    def __init__(self, region: str) -> None:
        """Take the region that clients see."""
        theirs = region.encode("ascii")
        self._to_local = re.compile(b"(" + _FIELDS + _ARN + b")" + re.escape(theirs) + b"(?=:)")
        self._to_region = re.compile(
            b"(" + _FIELDS + _ARN + rb'|"awsRegion"\s*:\s*")' + _LOCAL + b'(?=[:"])',
        )
        self._local, self._theirs = rb"\g<1>" + _LOCAL, rb"\g<1>" + theirs

    def to_local(self, body: bytes) -> bytes:
        """Return a request's body as DynamoDB Local wants it."""
        return self._to_local.sub(self._local, body)

    def to_region(self, body: bytes) -> bytes:
        """Return an answer's body as a client in the region expects it."""
        return self._to_region.sub(self._theirs, body)
