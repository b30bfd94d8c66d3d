"""Clients for an endpoint on this machine, with credentials that open nothing else."""

from __future__ import annotations

from typing import Any, Final

DUMMY_CREDENTIALS: Final = {
    "AWS_ACCESS_KEY_ID": "recordprocessor",
    "AWS_SECRET_ACCESS_KEY": "recordprocessor",
}
"""As environment variables. DynamoDB Local wants some, of letters and digits, and never looks further."""


def local_client(service: str, endpoint: str, region: str, max_attempts: int = 5) -> Any:
    """Return a boto3 client of `service` ("dynamodb" or "dynamodbstreams") for `endpoint`; it is thread-safe.

    `max_attempts` is how often a call is tried in all; 1 shows each fault as it is. Needs boto3.
    """
    import boto3.session  # only those who ask for a client need it
    from botocore.config import Config

    session: Any = boto3.session.Session(
        aws_access_key_id=DUMMY_CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=DUMMY_CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        region_name=region,
    )
    config = Config(
        retries={"total_max_attempts": max_attempts, "mode": "standard"},
        max_pool_connections=32,
        proxies={},  # what is on this machine is not reached through a company's proxy
    )
    return session.client(service, endpoint_url=endpoint, config=config)
