"""Keeps the balance of each account from a table of bookings, in DynamoDB: right, whenever it is killed.

A booking has the attributes `account` and `amount`. The balances are in a table `balances` whose key is
`account`, what was done is remembered in a table `handled`: docs/idempotency.md says how to make that.
"""

import boto3

from record_processor import Record, RecordProcessor, ShardContext
from record_processor.stores import is_repeat, once_in_dynamodb


class Balances(RecordProcessor):
    """The key of a booking and what it does to the balance are in one transaction."""

    def setup(self, context: ShardContext) -> None:
        """Connect, as the environment says."""
        self.dynamodb = boto3.client("dynamodb")

    def on_insert(self, record: Record) -> None:
        """Add a booking, unless that was done before."""
        booking = {
            "TableName": "balances",
            "Key": {"account": {"S": record.item["account"]}},
            "UpdateExpression": "ADD balance :amount",
            "ExpressionAttributeValues": {":amount": {"N": str(record.item["amount"])}},
        }
        try:
            self.dynamodb.transact_write_items(
                TransactItems=[once_in_dynamodb("handled", record.event_id), {"Update": booking}]
            )
        except self.dynamodb.exceptions.TransactionCanceledException as error:
            if not is_repeat(error):
                raise
