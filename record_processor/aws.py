"""Clients for what AWS keeps for us: parked records, idempotency keys. The stream itself is the daemon's.

Credentials and endpoints are the AWS SDK's: its default chain, `AWS_ENDPOINT_URL_SQS` and the like.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

_CONNECT_SECONDS: Final = 5
_READ_SECONDS: Final = 20
_ATTEMPTS: Final = 3


class Aws(NamedTuple):
    """How AWS is reached, as the properties file says."""

    region: str
    dynamodb_endpoint: str | None = None
    """The property dynamoDBEndpoint."""

    def client(self, service: str, region: str = "") -> Any:
        """Return a boto3 client, which threads may share; a fork may not. A call ends within a minute or so.

        What fails for longer than that is for the caller to try again.
        """
        import boto3.session  # 0.2 seconds, only for those who need it
        from botocore.config import Config

        config = Config(
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=_READ_SECONDS,
            retries={"total_max_attempts": _ATTEMPTS, "mode": "standard"},
        )
        session: Any = boto3.session.Session(region_name=region or self.region)
        endpoint = self.dynamodb_endpoint if service == "dynamodb" else None
        return session.client(service, endpoint_url=endpoint, config=config)
