"""Records to measure with: orders of three sizes that were modified, with both images, in DynamoDB's JSON.

They are the same every time. None has a binary: boto3's deserialiser takes those as bytes only, and a stock
program would have to find and decode them first.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final, TypeAlias

from boto3.dynamodb.types import TypeSerializer

Item: TypeAlias = dict[str, Any]

_KEYS: Final = ("customerId", "orderId")
_WORDS: Final = ("amber", "birch", "copper", "delta", "fabric", "garden", "harbour", "island", "lantern")
_CREATED_MILLIS: Final = 1764000000000
_FIRST_SEQUENCE_NUMBER: Final = 4421584500000000017450439091


def small(chance: random.Random, number: int) -> Item:
    """Return an item of 6 attributes, some 150 bytes."""
    return {
        "customerId": str(uuid.UUID(int=chance.getrandbits(128))),
        "orderId": f"2026-11-23T23:45:06.970Z#{number:06}",
        "status": chance.choice(["open", "paid", "packed"]),
        "total": _price(chance),
        "pieces": chance.randrange(1, 20),
        "isGift": chance.random() < 0.2,
    }


def medium(chance: random.Random, number: int) -> Item:
    """Return an item of 30 attributes, some of them nested, some 2 KB."""
    address = {
        "name": _text(chance, 2),
        "street": _text(chance, 3),
        "city": _text(chance, 1),
        "postCode": f"{chance.randrange(10**5):05}",
        "country": "DE",
    }
    return {
        **small(chance, number),
        "version": chance.randrange(1, 50),
        "createdAt": "2026-11-23T23:45:06.970Z",
        "updatedAt": "2026-11-24T08:12:44.101Z",
        "customer": {
            "email": f"{_text(chance, 1)}@example.org",
            "name": _text(chance, 2),
            "locale": "de-DE",
            "orders": chance.randrange(1, 400),
            "isVip": chance.random() < 0.1,
        },
        "shipTo": address,
        "billTo": dict(address),
        "lines": [_line(chance) for _ in range(4)],
        "tags": set(chance.sample(_WORDS, 3)),
        "payment": {"method": "card", "digits": "4242", "isAuthorised": True, "id": _hex(chance, 24)},
        "coupon": None,
        "note": _text(chance, 30),
        "currency": "EUR",
        "taxRate": Decimal("0.19"),
        "shippingCents": 499,
        "discountCents": 0,
        "channel": "web",
        "source": "shop-4.12.1",
        "warehouse": "MUC-3",
        "carrier": "parcel-express",
        "tracking": f"{chance.randrange(10**18):018}",
        "weightGrams": chance.randrange(100, 20_000),
        "isPaid": True,
        "isShipped": False,
        "expires": 1796000000,
    }


def large(chance: random.Random, number: int) -> Item:
    """Return the same with many more lines, and messages: some 50 KB, half of it nested, half text."""
    return {
        **medium(chance, number),
        "lines": [_line(chance) for _ in range(130)],
        "messages": [_text(chance, 160) for _ in range(20)],
    }


SIZES: Final[Mapping[str, tuple[Callable[[random.Random, int], Item], int]]] = {
    "small": (small, 1000),
    "medium": (medium, 250),
    "large": (large, 10),
}
"""By name: what makes an item, and how many records make a batch: GetRecords gives 1000, or 1 MB of items."""


def batches(size: str, count: int) -> list[list[dict[str, Any]]]:
    """Return so many batches of MODIFY records."""
    chance = random.Random(size)
    make, batch_records = SIZES[size]
    return [
        [_record(chance, make, first + offset) for offset in range(batch_records)]
        for first in range(0, count * batch_records, batch_records)
    ]


def _record(chance: random.Random, make: Callable[[random.Random, int], Item], number: int) -> dict[str, Any]:
    old = make(chance, number)
    new = {**old, "status": "shipped", "pieces": old["pieces"] + 1}
    return {
        "eventID": _hex(chance, 32),
        "eventName": "MODIFY",
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "eu-west-1",
        "dynamodb": {
            "ApproximateCreationDateTime": _CREATED_MILLIS + number,
            "Keys": _wire({name: old[name] for name in _KEYS}),
            "NewImage": _wire(new),
            "OldImage": _wire(old),
            "SequenceNumber": str(_FIRST_SEQUENCE_NUMBER + number),
            "SizeBytes": len(repr(old)) + len(repr(new)),
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
    }


def _line(chance: random.Random) -> Item:
    return {
        "sku": f"sku-{chance.randrange(10**8):08}",
        "title": _text(chance, 5),
        "pieces": chance.randrange(1, 9),
        "price": _price(chance),
        "weightGrams": chance.randrange(50, 5000),
        "isBackordered": chance.random() < 0.1,
    }


def _price(chance: random.Random) -> Decimal:
    return Decimal(chance.randrange(100, 99_999)) / 100


def _text(chance: random.Random, words: int) -> str:
    return " ".join(chance.choices(_WORDS, k=words))


def _hex(chance: random.Random, digits: int) -> str:
    return f"{chance.getrandbits(4 * digits):0{digits}x}"


def _wire(item: Item) -> dict[str, Any]:
    """Write an item in DynamoDB's JSON; a set has its members in order, the same in every process."""
    wire = dict(TypeSerializer().serialize(item)["M"])
    for attribute in wire.values():
        if "SS" in attribute:
            attribute["SS"].sort()
    return wire
