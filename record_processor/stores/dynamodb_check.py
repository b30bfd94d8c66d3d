"""Whether a table for keys is there and as it must be: what is looked at before anything starts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from record_processor.aws import Aws
from record_processor.errors import ConfigurationError, StartError

_NOT_THERE: Final = {"id": {"S": "record_processor checks whether it may write"}}


def check(client: Any, table: str, aws: Aws, place: str) -> None:
    """Raise ConfigurationError if the table must be made or changed, StartError if it cannot be reached."""
    described = _ask(client.describe_table, table, aws, place)["Table"]
    _check_key(described, place)
    _check_time_to_live(client, table, aws, place)
    for write in (client.put_item, client.delete_item):
        _check_write(write, table, aws, place)


def _check_key(described: dict[str, Any], place: str) -> None:
    schema = [(key["AttributeName"], key["KeyType"]) for key in described["KeySchema"]]
    types = {each["AttributeName"]: each["AttributeType"] for each in described["AttributeDefinitions"]}
    if schema != [("id", "HASH")] or types["id"] != "S":
        raise ConfigurationError(
            f"{place}: its key is not the text id alone; name a table that is for this alone"
        )
    if described["TableStatus"] not in {"ACTIVE", "UPDATING"}:
        raise StartError(f"{place}: the table is {described['TableStatus']}; try again when it is ACTIVE")


def _check_time_to_live(client: Any, table: str, aws: Aws, place: str) -> None:
    answer = _ask(client.describe_time_to_live, table, aws, place)["TimeToLiveDescription"]
    is_on = answer["TimeToLiveStatus"] in {"ENABLED", "ENABLING"}
    if not is_on or answer.get("AttributeName") != "expiration":
        raise ConfigurationError(
            f"{place}: it has no time to live on expiration, and would grow for ever; run "
            f"{_update_time_to_live(table, aws)}"
        )


def _check_write(write: Callable[..., Any], table: str, aws: Aws, place: str) -> None:
    """Write on a condition that does not hold: IAM is asked first, and nothing is written."""
    is_put = write.__name__ == "put_item"
    _ask(
        write,
        table,
        aws,
        place,
        **{"Item" if is_put else "Key": _NOT_THERE},
        ConditionExpression="attribute_exists(id)",
    )


def _ask(call: Callable[..., Any], table: str, aws: Aws, place: str, **arguments: Any) -> Any:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return call(TableName=table, **arguments)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code == "ConditionalCheckFailedException":
            return None
        if code == "ResourceNotFoundException":
            raise ConfigurationError(
                f"{place}: there is no such table; run {' && '.join(commands(table, aws))}"
            ) from None
        if code == "AccessDeniedException":
            raise StartError(
                f"{place}: the credentials may not dynamodb:{error.operation_name} on it; allow that"
            ) from None
        raise StartError(f"{place}: {_line(error)}") from None
    except BotoCoreError as error:
        raise StartError(f"{place}: {_line(error)}") from None


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


def commands(table: str, aws: Aws) -> list[str]:
    """Return what makes the table, for a shell."""
    where = _where(table, aws)
    create = (
        f"aws dynamodb create-table {where} --attribute-definitions AttributeName=id,AttributeType=S "
        "--key-schema AttributeName=id,KeyType=HASH --billing-mode PAY_PER_REQUEST"
    )
    return [create, f"aws dynamodb wait table-exists {where}", _update_time_to_live(table, aws)]


def _update_time_to_live(table: str, aws: Aws) -> str:
    return (
        f"aws dynamodb update-time-to-live {_where(table, aws)} "
        "--time-to-live-specification Enabled=true,AttributeName=expiration"
    )


def _where(table: str, aws: Aws) -> str:
    endpoint = f" --endpoint-url {aws.dynamodb_endpoint}" if aws.dynamodb_endpoint else ""
    return f"--table-name {table} --region {aws.region}{endpoint}"
