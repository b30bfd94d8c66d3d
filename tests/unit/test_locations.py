"""Where something is kept, as a URL: what is understood, and what is said about the rest."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from record_processor.locations import Location, parse

ALL = ("sqs", "sns", "s3", "file", "dynamodb", "sqlite", "discard", "memory")
QUEUE_ARN = "arn:aws:sqs:eu-west-1:123456789012:orders-failed"
TOPIC_ARN = "arn:aws-cn:sns:cn-north-1:123456789012:orders"


@pytest.mark.parametrize(
    ("text", "location"),
    [
        ("sqs://orders-failed", Location("sqs", "orders-failed")),
        ("sqs://orders_failed.fifo", Location("sqs", "orders_failed.fifo")),
        (f"sqs://{QUEUE_ARN}", Location("sqs", QUEUE_ARN)),
        (f"sns://{TOPIC_ARN}", Location("sns", TOPIC_ARN)),
        ("s3://bucket", Location("s3", "bucket")),
        ("s3://bucket/", Location("s3", "bucket")),
        ("s3://my.bucket/parked/orders/", Location("s3", "my.bucket", "parked/orders")),
        ("s3://bucket/zażółć 🐢", Location("s3", "bucket", "zażółć 🐢")),
        ("file:///var/lib/parked", Location("file", "/var/lib/parked")),
        ("file:///var/my%20files/parked", Location("file", "/var/my files/parked")),
        ("dynamodb://orders.failed_1", Location("dynamodb", "orders.failed_1")),
        ("sqlite:///var/lib/keys.db", Location("sqlite", "/var/lib/keys.db")),
        ("discard", Location("discard")),
        ("memory", Location("memory")),
    ],
)
def test_understood(text: str, location: Location) -> None:
    """The scheme, the name, and in a bucket the prefix."""
    assert parse(text, ALL) == location


@pytest.mark.parametrize(
    ("text", "must_be"),
    [
        ("sqs://", "sqs://<queue> or sqs://<ARN>"),
        ("sqs://a/b", "sqs://<queue> or sqs://<ARN>"),
        (f"sqs://{'x' * 76}", "sqs://<queue> or sqs://<ARN>"),
        (f"sqs://{TOPIC_ARN}", "sqs://<queue> or sqs://<ARN>"),
        (f"sqs://{QUEUE_ARN.replace('123456789012', '1')}", "sqs://<queue> or sqs://<ARN>"),
        ("https://sqs.eu-west-1.amazonaws.com/123456789012/orders-failed", "sqs://"),
        ("sns://orders", "sns://<ARN of a topic>"),
        (f"sns://{QUEUE_ARN}", "sns://<ARN of a topic>"),
        ("s3://", "s3://<bucket>/<prefix>"),
        ("s3://My-Bucket", "s3://<bucket>/<prefix>"),
        ("s3://bucket//prefix", "s3://<bucket>/<prefix>"),
        ("s3://bucket/a\nb", "s3://<bucket>/<prefix>"),
        ("file://parked", "file:///<folder>"),
        ("file://host/parked", "file:///<folder>"),
        ("file:///var/%00", "file:///<folder>"),
        ("sqlite:///var/a%0Ab", "sqlite:///<file>"),
        ("file:/parked", "sqs://<queue>"),
        ("/var/lib/parked", "sqs://<queue>"),
        ("dynamodb://ab", "dynamodb://<table>"),
        ("dynamodb://a/b", "dynamodb://<table>"),
        ("sqlite://keys.db", "sqlite:///<file>"),
        ("sqlite:///folder/", "sqlite:///<file>"),
        ("discard://", "sqs://<queue>"),
        ("memory://x", "sqs://<queue>"),
        ("Discard", "sqs://<queue>"),
        ("", "sqs://<queue>"),
        ("sqs", "sqs://<queue> or sqs://<ARN>"),
    ],
)
def test_not_understood(text: str, must_be: str) -> None:
    """It is said how one of that scheme looks; of all, if the scheme is none of them."""
    with pytest.raises(ValueError, match=re.escape(must_be)) as caught:
        parse(text, ALL)
    assert str(caught.value).startswith(must_be)


def test_only_what_is_allowed_there() -> None:
    """A store of keys is no destination."""
    with pytest.raises(ValueError, match=r"^s3://<bucket>/<prefix> or discard$"):
        parse("memory", ("s3", "discard"))
    with pytest.raises(ValueError, match=r"^s3://<bucket>/<prefix>$"):
        parse("sqs://orders-failed", ("s3",))


@pytest.mark.parametrize(
    "text", ["sqs://orders-failed", "s3://bucket/a/b", "s3://bucket", "file:///var/parked", "discard"]
)
def test_shown_to_people(text: str) -> None:
    """As it was written."""
    assert str(parse(text, ALL)) == text


@given(st.one_of(st.text(), st.builds("{}://{}".format, st.sampled_from(ALL), st.text())))
def test_any_text(text: str) -> None:
    """It is a location without control characters, or a ValueError."""
    try:
        location = parse(text, ALL)
    except ValueError:
        return
    assert location.scheme in ALL
    assert not any(ord(character) < 32 for character in str(location))
