"""What a queue and a topic are sent alike: a document, with a few attributes to filter by."""

from __future__ import annotations

from typing import Any

from record_processor.parking.parked import Parked


def attributes_of(parked: Parked) -> dict[str, Any]:
    """Return the message's attributes, as both SQS and SNS take them."""
    values = {
        "applicationName": parked.application_name,
        "condition": parked.condition,
        "tableName": parked.table_name,
    }
    return {name: {"DataType": "String", "StringValue": value} for name, value in values.items() if value}


def size_bytes(text: str, attributes: dict[str, Any]) -> int:
    """Return a message's size as AWS counts it: its body, and its attributes' names, types and values."""
    return len(text.encode()) + sum(
        len(name.encode()) + len(attribute["DataType"]) + len(attribute["StringValue"].encode())
        for name, attribute in attributes.items()
    )
