"""Makes a table `orders` with a stream in DynamoDB Local, and changes an order every half second.

Run it beside `record-processor local`: python examples/make_orders.py [URL, else http://localhost:8000]
"""

from __future__ import annotations

import sys
import time
from itertools import count

import boto3

URL = sys.argv[1] if len(sys.argv) > 1 else "http://localhost:8000"
STATES = ("open", "paid", "sent")

client = boto3.client(
    "dynamodb",
    endpoint_url=URL,
    region_name="us-east-1",
    aws_access_key_id="local",
    aws_secret_access_key="local",  # DynamoDB Local takes any
)

if "orders" not in client.list_tables()["TableNames"]:
    client.create_table(
        TableName="orders",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )

print(f"Changing orders at {URL}, until Ctrl-C.")
try:
    for number in count(1):
        for state in STATES:
            client.put_item(TableName="orders", Item={"id": {"S": str(number)}, "status": {"S": state}})
            time.sleep(0.5)
        client.delete_item(TableName="orders", Key={"id": {"S": str(number)}})
except KeyboardInterrupt:
    pass
