"""Items as objects of the user's own type: what fits, what does not, and that a misfit says nothing of the item."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import traceback
import uuid
from datetime import datetime, timezone
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal

import msgspec
import pydantic
import pytest
from pydantic.dataclasses import dataclass as pydantic_dataclass

from record_processor import ConfigurationError, ModelError, Record
from record_processor.models import converter
from record_processor.record import RecordSource
from record_processor.values import IMAGE_DECODERS
from tests.items import typed

CANARY = "canary"


class Status(Enum):
    """An enumeration of text."""

    OPEN = "open"
    PAID = "paid"


@dataclasses.dataclass
class Line:
    """What is nested, in each kind."""

    sku: str
    price: Decimal


class StructLine(msgspec.Struct):
    """The same."""

    sku: str
    price: Decimal


class PydanticLine(pydantic.BaseModel):
    """The same."""

    sku: str
    price: Decimal


@pydantic_dataclass
class PydanticDataclassLine:
    """The same."""

    sku: str
    price: Decimal


@dataclasses.dataclass
class Order:
    """Each type that DynamoDB has, and those that it has as text."""

    id: uuid.UUID
    count: int
    total: Decimal
    weight: float
    status: Status
    at: datetime
    blob: bytes
    tags: set[str]
    sizes: list[Decimal]
    lines: list[Line]
    counts: dict[str, int]
    anything: Any
    is_gift: bool | None = None
    note: str = "none"


class StructOrder(msgspec.Struct):
    """The same."""

    id: uuid.UUID
    count: int
    total: Decimal
    weight: float
    status: Status
    at: datetime
    blob: bytes
    tags: set[str]
    sizes: list[Decimal]
    lines: list[StructLine]
    counts: dict[str, int]
    anything: Any
    is_gift: bool | None = None
    note: str = "none"


class PydanticOrder(pydantic.BaseModel):
    """The same."""

    id: uuid.UUID
    count: int
    total: Decimal
    weight: float
    status: Status
    at: datetime
    blob: bytes
    tags: set[str]
    sizes: list[Decimal]
    lines: list[PydanticLine]
    counts: dict[str, int]
    anything: Any
    is_gift: bool | None = None
    note: str = "none"


@pydantic_dataclass
class PydanticDataclassOrder:
    """The same."""

    id: uuid.UUID
    count: int
    total: Decimal
    weight: float
    status: Status
    at: datetime
    blob: bytes
    tags: set[str]
    sizes: list[Decimal]
    lines: list[PydanticDataclassLine]
    counts: dict[str, int]
    anything: Any
    is_gift: bool | None = None
    note: str = "none"


LINES: dict[type[Any], type[Any]] = {
    Order: Line,
    StructOrder: StructLine,
    PydanticOrder: PydanticLine,
    PydanticDataclassOrder: PydanticDataclassLine,
}
MODELS = list(LINES)
ITEM: dict[str, Any] = {
    "id": {"S": "6f1d0c6e-8f3c-4c5b-9c7a-0a5d1f6d2b11"},
    "count": {"N": "7"},
    "total": {"N": "129"},
    "weight": {"N": "0.1"},
    "status": {"S": "paid"},
    "at": {"S": "2026-11-23T23:45:06Z"},
    "blob": {"B": "AAEC/w=="},
    "tags": {"SS": ["a", "b"]},
    "sizes": {"NS": ["1.5"]},
    "lines": {"L": [{"M": {"sku": {"S": "x"}, "price": {"N": "9.99"}}}]},
    "counts": {"M": {CANARY: {"N": "1"}}},
    "anything": {"L": [{"N": "1"}, {"M": {"a": {"NULL": True}}}]},
    "note": {"S": CANARY},
    "colour": {"S": "no field"},
}
each_model = pytest.mark.parametrize("model", MODELS)


def _record(model: type[Any], numbers: str = "int", **change: Any) -> Record[Any]:
    event = {"eventName": "MODIFY", "dynamodb": {"SequenceNumber": "100", "NewImage": ITEM, **change}}
    plain = Record.from_dynamodb_json(event)
    source = RecordSource("arn", "orders", "s", IMAGE_DECODERS[numbers], converter(model))
    return Record(plain._change, source, 7)


# --- What fits ---


@each_model
@pytest.mark.parametrize("numbers", ["int", "decimal"])
def test_every_field_is_of_its_type(model: type[Any], numbers: str) -> None:
    """The model says what a number is, whatever `numbers` says; what it has no field for is ignored."""
    item = _record(model, numbers).item
    assert type(item) is model
    fields = {name: getattr(item, name) for name in ITEM if name != "colour"}
    assert type(fields["lines"][0]) is LINES[model]
    assert (fields["lines"][0].sku, fields["lines"][0].price) == ("x", Decimal("9.99"))
    del fields["lines"]
    assert typed(fields) == typed(
        {
            "id": uuid.UUID("6f1d0c6e-8f3c-4c5b-9c7a-0a5d1f6d2b11"),
            "count": 7,
            "total": Decimal(129),
            "weight": 0.1,
            "status": Status.PAID,
            "at": fields["at"],
            "blob": b"\x00\x01\x02\xff",
            "tags": {"a", "b"},
            "sizes": [Decimal("1.5")],
            "counts": {CANARY: 1},
            "anything": [1, {"a": None}],
            "note": CANARY,
        }
    )
    assert fields["at"] == datetime(2026, 11, 23, 23, 45, 6, tzinfo=timezone.utc)
    assert item.is_gift is None


@each_model
@pytest.mark.parametrize(
    ("text", "number"),
    [("0.1", 0.1), ("9007199254740993", 9007199254740992.0), ("1E-130", 1e-130), ("9.99E+125", 9.99e125)],
)
def test_a_float_is_the_nearest_one(model: type[Any], text: str, number: float) -> None:
    """Who asks for a float gets one, though few numbers of DynamoDB's have an exact one."""
    assert _record(model, NewImage={**ITEM, "weight": {"N": text}}).item.weight == number


@each_model
def test_an_image_is_made_once(model: type[Any]) -> None:
    """At its first touch; a record that is handed out again has it made anew."""
    record = _record(model, OldImage=ITEM)
    assert record.item is record.new_image is record.item
    assert record.old_image is record.old_image
    again = record.undecoded()
    assert again.item is not record.item
    assert again.item == record.item


@each_model
def test_what_is_not_the_model_s(model: type[Any]) -> None:
    """Keys, changes, get and the event are plain, and nothing that is done to the object is seen in them."""
    record = _record(model, Keys={"pk": {"S": "a"}}, OldImage={**ITEM, "count": {"N": "6"}})
    record.item.anything.append(2)
    record.item.anything[1]["a"] = 3
    assert record.keys == {"pk": "a"}
    assert record.changes() == {"count": (6, 7)}
    assert record.changed("count")
    assert record.get("anything[1]") == {"a": None}
    assert record.to_dynamodb_json()["dynamodb"]["NewImage"] == ITEM


@each_model
def test_there_may_be_no_image(model: type[Any]) -> None:
    """Then there is no object either."""
    assert _record(model).old_image is None


def test_a_record_made_by_hand() -> None:
    """For tests of a processor."""
    event = {"eventName": "INSERT", "dynamodb": {"SequenceNumber": "1", "NewImage": {"sku": {"S": "x"}}}}
    record = Record.from_dynamodb_json(event, model=Sku)
    assert record.item == Sku("x")
    with pytest.raises(ConfigurationError, match="it is neither a dataclass, a msgspec"):
        Record.from_dynamodb_json(event, model=str)


@dataclasses.dataclass
class Sku:
    """Small."""

    sku: str


# --- What does not ---


def _misfit(record: Record[Any]) -> str:
    """Return what is said, which must be one line, without a trace of the item."""
    with pytest.raises(ModelError) as caught:
        _ = record.item
    error = caught.value
    assert (error.__cause__, error.__context__) == (None, None)
    shown = "".join(traceback.format_exception(error)) + repr(error)
    assert CANARY not in shown
    line = str(error)
    assert "\n" not in line
    return line


@each_model
@pytest.mark.parametrize(
    ("field", "value", "place"),
    [
        ("count", {"S": CANARY}, "$.count"),
        ("count", {"N": "1.5"}, "$.count"),
        ("count", {"NULL": True}, "$.count"),
        ("total", {"BOOL": True}, "$.total"),
        ("total", {"S": CANARY}, "$.total"),
        ("weight", {"S": CANARY}, "$.weight"),
        ("note", {"N": "1"}, "$.note"),
        ("note", {"BOOL": True}, "$.note"),
        ("is_gift", {"S": CANARY}, "$.is_gift"),
        ("id", {"S": CANARY}, "$.id"),
        ("status", {"S": CANARY}, "$.status"),
        ("status", {"S": f"x - at `$.{CANARY}`"}, "$.status"),
        ("status", {"S": f"{CANARY}\n"}, "$.status"),
        ("at", {"S": CANARY}, "$.at"),
        ("tags", {"S": CANARY}, "$.tags"),
        ("sizes", {"L": [{"N": "1"}, {"S": CANARY}]}, "$.sizes[1]"),
        ("lines", {"L": [{"M": {"sku": {"S": "x"}, "price": {"S": CANARY}}}]}, "$.lines[0].price"),
        ("counts", {"M": {CANARY: {"S": CANARY}}}, "$.counts[...]"),
    ],
)
def test_a_misfit(model: type[Any], field: str, value: dict[str, Any], place: str) -> None:
    """It names the record, the model and the place."""
    line = _misfit(_record(model, NewImage={**ITEM, field: value}))
    start = f"record 100: its NewImage does not fit the model {model.__module__}.{model.__qualname__}: "
    assert line.startswith(start)
    assert line.endswith(f" - at `{place}`")
    assert len(line) > len(start) + len(f" - at `{place}`")


@each_model
def test_the_kind_of_a_misfit(model: type[Any]) -> None:
    """In the library's words; pydantic's are the types of its errors."""
    is_pydantic = model in {PydanticOrder, PydanticDataclassOrder}
    lines = [
        _misfit(_record(model, NewImage={**ITEM, "lines": {"L": [{"S": "x"}]}})),
        _misfit(_record(model, NewImage={name: ITEM[name] for name in ITEM if name != "count"})),
        _misfit(_record(model, NewImage={"pk": {"S": CANARY}})),
    ]
    if is_pydantic:
        assert lines[0].partition(": its NewImage does not fit ")[2].endswith("_type - at `$.lines[0]`")
        assert lines[1].endswith(": missing - at `$.count`")
        assert lines[2].endswith(": missing - at `$.id`, and 11 more")
    else:
        assert lines[0].endswith(": Expected `object`, got `str` - at `$.lines[0]`")
        assert lines[1].endswith(": Object missing required field `count`")
        assert lines[2].endswith(": Object missing required field `id`")


@dataclasses.dataclass
class Checked:
    """Checks itself, and says what it found."""

    name: str

    def __post_init__(self) -> None:
        if self.name == CANARY:
            raise ValueError(f"no {self.name} - at `$.{self.name}`")


class CheckedStruct(msgspec.Struct):
    """The same."""

    name: str

    def __post_init__(self) -> None:
        if self.name == CANARY:
            raise ValueError(self.name)


class CheckedPydantic(pydantic.BaseModel):
    """The same."""

    name: str

    @pydantic.field_validator("name")
    @classmethod
    def check(cls, name: str) -> str:
        if name == CANARY:
            raise ValueError(f"no {name}")
        return name


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (Checked, "ValueError in the model itself"),
        (CheckedStruct, "ValueError in the model itself"),
        (CheckedPydantic, "value_error - at `$.name`"),
    ],
)
def test_a_model_s_own_check(model: type[Any], said: str) -> None:
    """Its message may hold the item, and is not shown."""
    assert _misfit(_record(model, NewImage={"name": {"S": CANARY}})).endswith(f": {said}")
    assert _record(model, NewImage={"name": {"S": "x"}}).item.name == "x"


class Cat(msgspec.Struct, tag=True):
    """One of two."""

    lives: int


class Dog(msgspec.Struct, tag=True):
    """The other."""


class Strict(msgspec.Struct, forbid_unknown_fields=True):
    """Allows nothing that it does not know, and nests such a one."""

    inner: Strict | None = None
    pet: Cat | Dog | None = None
    size: Literal["S", "M"] | None = None
    code: Annotated[str, msgspec.Meta(pattern="^[A-Z]+$")] | None = None
    checked: CheckedStruct | None = None


class PydanticCat(pydantic.BaseModel):
    """One of two."""

    type: Literal["Cat"]
    lives: int


class PydanticDog(pydantic.BaseModel):
    """The other."""

    type: Literal["Dog"]


class PydanticStrict(pydantic.BaseModel):
    """The same."""

    model_config = pydantic.ConfigDict(extra="forbid")
    inner: PydanticStrict | None = None
    pet: Annotated[PydanticCat | PydanticDog, pydantic.Field(discriminator="type")] | None = None
    size: Literal["S", "M"] | None = None
    code: Annotated[str, pydantic.Field(pattern="^[A-Z]+$")] | None = None
    checked: CheckedPydantic | None = None


@pytest.mark.parametrize(
    ("item", "by_msgspec", "by_pydantic"),
    [
        ({CANARY: {"S": CANARY}}, "Object contains unknown field", "extra_forbidden - at `$[...]`"),
        (
            {"inner": {"M": {CANARY: {"S": CANARY}}}},
            "Object contains unknown field - at `$.inner`",
            "extra_forbidden - at `$.inner[...]`",
        ),
        (
            {"pet": {"M": {"type": {"S": CANARY}}}},
            "Invalid value - at `$.pet.type`",
            "union_tag_invalid - at `$.pet`",
        ),
        ({"size": {"S": CANARY}}, "Invalid enum value - at `$.size`", "literal_error - at `$.size`"),
        (
            {"code": {"S": CANARY}},
            "Expected `str` matching regex '^[A-Z]+$' - at `$.code`",
            "string_pattern_mismatch - at `$.code`",
        ),
        (
            {"inner": {"M": {"checked": {"M": {"name": {"S": CANARY}}}}}},
            "ValueError in the model itself - at `$.inner.checked`",
            "value_error - at `$.inner.checked.name`",
        ),
    ],
)
def test_reasons_that_would_quote(item: dict[str, Any], by_msgspec: str, by_pydantic: str) -> None:
    """The item is cut out of them, names in it that the model does not have included."""
    assert _misfit(_record(Strict, NewImage=item)).endswith(f".Strict: {by_msgspec}")
    assert _misfit(_record(PydanticStrict, NewImage=item)).endswith(f".PydanticStrict: {by_pydantic}")


@pytest.mark.parametrize("model", [Order, StructOrder])
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("count", {"S": "5"}),
        ("count", {"BOOL": True}),
        ("weight", {"S": "1.5"}),
        ("is_gift", {"N": "1"}),
        ("note", {"B": "eA=="}),
        ("blob", {"S": "eA=="}),
        ("at", {"N": "1764000000"}),
    ],
)
def test_msgspec_is_strict(model: type[Any], field: str, value: dict[str, Any]) -> None:
    """A text is no number, a number no truth or time, bytes are no text."""
    assert f" - at `$.{field}`" in _misfit(_record(model, NewImage={**ITEM, field: value}))


class PydanticCount(pydantic.BaseModel):
    """Lax, unless a field says otherwise."""

    lax: int = 0
    strict: pydantic.StrictInt = 0


def test_pydantic_is_as_strict_as_the_model_says() -> None:
    """Whoever brings a pydantic model brings its rules."""
    assert _record(PydanticCount, NewImage={"lax": {"S": "5"}}).item.lax == 5
    line = _misfit(_record(PydanticCount, NewImage={"strict": {"S": "5"}}))
    assert line.endswith(": int_type - at `$.strict`")


def test_a_removed_item_that_does_not_fit() -> None:
    """The old image is named as such."""
    record = _record(Order, NewImage=None, OldImage={"id": {"S": CANARY}})
    with pytest.raises(ModelError, match=r"^record 100: its OldImage does not fit the model .*\.Order: "):
        _ = record.old_image


# --- Models that cannot be used ---


@dataclasses.dataclass
class Ambiguous:
    """msgspec cannot tell its alternatives apart."""

    at: str | datetime


@dataclasses.dataclass
class Nowhere:
    """Names a type that is not there."""

    at: NotThere  # type: ignore[name-defined]  # noqa: F821


class PydanticNowhere(pydantic.BaseModel):
    """The same."""

    at: NotThere  # type: ignore[name-defined]  # noqa: F821


class PydanticOdd(pydantic.BaseModel):
    """Has a type that pydantic does not know."""

    model_config = pydantic.ConfigDict(defer_build=True)
    at: traceback.FrameSummary


@pytest.mark.parametrize(
    ("model", "mistake"),
    [
        (str, "it is neither a dataclass, a msgspec.Struct, a pydantic 2 model nor a pydantic dataclass"),
        (dict, "it is neither a dataclass"),
        (1, "it is neither a dataclass"),
        ([], "it is neither a dataclass"),
        (Sku("x"), "it is neither a dataclass"),
        (Ambiguous, "TypeError: Type unions may not contain more than one str-like type"),
        (Nowhere, "NameError: name 'NotThere' is not defined"),
        (
            PydanticNowhere,
            "PydanticUserError: `TypeAdapter[<class 'tests.unit.test_models.PydanticNowhere'>]` is not",
        ),
        (PydanticOdd, "PydanticSchemaGenerationError: Unable to generate pydantic-core schema"),
    ],
)
def test_a_model_that_cannot_be_used(model: object, mistake: str) -> None:
    """It is found before the first record, in one line."""
    with pytest.raises(ConfigurationError) as caught:
        converter(model)
    assert str(caught.value).startswith(mistake)
    assert "\n" not in str(caught.value)


def test_pydantic_is_only_imported_for_its_models() -> None:
    """It is no dependency, nor is what has type variables with defaults."""
    program = (
        "import dataclasses, sys\n"
        "sys.modules['pydantic'] = sys.modules['typing_extensions'] = None\n"
        "import record_processor.worker.__main__\n"
        "from record_processor.models import converter\n"
        "@dataclasses.dataclass\n"
        "class Order:\n    pk: str\n"
        "print(converter(Order)({'pk': 'a'}))"
    )
    said = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert said.stdout == "Order(pk='a')\n"
