"""The filter for users' tests says what the daemon would."""

from __future__ import annotations

from pathlib import Path

import pytest

from record_processor import ConfigurationError, Record
from record_processor.testing import RecordFilter

PAID = '{"Filters": [{"Pattern": {"dynamodb": {"NewImage": {"status": {"S": ["paid"]}}}}}]}'


def _modification(before: str, after: str, view_type: str = "NEW_AND_OLD_IMAGES") -> Record:
    return Record.from_dynamodb_json(
        {
            "eventName": "MODIFY",
            "dynamodb": {
                "SequenceNumber": "1",
                "Keys": {"pk": {"S": "a"}},
                "OldImage": {"status": {"S": before}},
                "NewImage": {"status": {"S": after}},
                "StreamViewType": view_type,
            },
        }
    )


def test_with_both_a_record_must_pass_both() -> None:
    """And without either, each does."""
    both = RecordFilter(PAID, "n, status")
    assert both.passes(_modification("open", "paid"))
    assert not both.passes(_modification("paid", "paid"))
    assert not both.passes(_modification("paid", "open"))
    assert RecordFilter(PAID).passes(_modification("paid", "paid"))
    assert RecordFilter(changed_attributes="status").passes(_modification("paid", "open"))
    assert RecordFilter().passes(_modification("open", "open"))


def test_a_stream_that_lacks_an_image_is_not_filtered() -> None:
    """As in the daemon: nothing is dropped unseen."""
    assert RecordFilter(PAID).passes(_modification("open", "open", "OLD_IMAGE"))
    assert not RecordFilter(PAID).passes(_modification("open", "open", "NEW_IMAGE"))
    assert RecordFilter(changed_attributes="status").passes(_modification("open", "open", "NEW_IMAGE"))


def test_it_can_be_taken_from_the_properties(tmp_path: Path) -> None:
    """With the JSON in a file beside them."""
    file = tmp_path / "orders.properties"
    file.write_text(
        "processor = a:B\nsourceTable = orders\napplicationName = app\nregionName = eu-west-1\n"
        "filterCriteria = @paid.json\nchangedAttributes = n, status\n",
        "utf-8",
    )
    (tmp_path / "paid.json").write_text(PAID.replace(" ", "\n"), "utf-8")
    for each in (file, tmp_path / "paid.json"):
        each.chmod(0o600)
    passing = RecordFilter.from_properties(file)
    assert passing.passes(_modification("open", "paid"))
    assert not passing.passes(_modification("paid", "paid"))


@pytest.mark.parametrize(
    ("criteria", "changed", "said"),
    [
        ('{"Filters": 1}', None, "filterCriteria: Filters is no list"),
        (None, "a..b", "changedAttributes: an attribute's path"),
        (None, "a,", "changedAttributes: an attribute's path"),
    ],
)
def test_what_the_daemon_refuses_is_refused(criteria: str | None, changed: str | None, said: str) -> None:
    """With the same reason."""
    with pytest.raises(ConfigurationError, match=said):
        RecordFilter(criteria, changed)
