"""RecordProcessor's defaults, and how a user's class is found and checked."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from record_processor import ConfigurationError, Record, RecordProcessor, ShardContext, TeardownReason
from record_processor.worker.load import add_paths, load
from record_processor.worker.tracebacks import has_user_frames, user_traceback

IMPORT = "from record_processor import RecordProcessor\n"
_numbers = itertools.count()


def _record(event_name: str) -> Record:
    return Record.from_dynamodb_json({"eventName": event_name, "dynamodb": {"SequenceNumber": "1"}})


class Names(RecordProcessor):
    """Notes which method was called."""

    def __init__(self) -> None:
        self.called: list[str] = []

    def on_insert(self, record: Record) -> None:
        self.called.append("insert")

    def on_modify(self, record: Record) -> None:
        self.called.append("modify")

    def on_remove(self, record: Record) -> None:
        self.called.append("remove")


def test_a_batch_is_dispatched_by_event_name() -> None:
    """Unless overridden, process_batch calls process_record, and that the method of the event name."""
    processor = Names()
    processor.process_batch([_record(name) for name in ("MODIFY", "INSERT", "REMOVE")])
    assert processor.called == ["modify", "insert", "remove"]


def test_an_unknown_event_name_is_not_passed_over() -> None:
    """An event name that nobody handles is an error, not silence."""
    with pytest.raises(ValueError, match="record 1 is neither INSERT, MODIFY nor REMOVE"):
        Names().process_record(_record("TRUNCATE"))


def test_the_rest_does_nothing(tmp_path: Path) -> None:
    """Methods that are not overridden accept everything."""
    processor = RecordProcessor()
    processor.teardown(TeardownReason.LEASE_LOST)
    for name in ("INSERT", "MODIFY", "REMOVE"):
        processor.process_record(_record(name))


def test_teardown_reasons_are_kcls_words() -> None:
    """A reason's value is the message that it comes from."""
    assert [reason.value for reason in TeardownReason] == ["leaseLost", "shardEnded", "shutdownRequested"]


# --- Finding the class ---


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder that modules are found in, and whose modules are forgotten afterwards."""
    paths, modules = list(sys.path), set(sys.modules)
    add_paths([str(tmp_path)])
    yield tmp_path
    sys.path[:] = paths
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def _module(folder: Path, source: str) -> str:
    """Write a module under a name that was never used, and return that."""
    name = f"app{next(_numbers)}"
    (folder / f"{name}.py").write_text(IMPORT + source, encoding="utf-8")
    return name


def _mistake(name: str) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        load(name)
    assert "\n" not in str(caught.value)
    return caught.value


HANDLER = "    def on_insert(self, record): pass\n"


def test_a_class_is_found(folder: Path) -> None:
    """module:Class, and also a class within another."""
    module = _module(folder, f"class Outer:\n  class Inner(RecordProcessor):\n{HANDLER}")
    assert load(f"{module}:Outer.Inner").__name__ == "Inner"


def test_the_first_folder_wins(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Folders are looked at in the order they are given."""
    module = _module(folder, f"class P(RecordProcessor):\n{HANDLER}")
    other = tmp_path_factory.mktemp("other")
    (other / f"{module}.py").write_text("", encoding="utf-8")
    add_paths([str(folder), str(other)])
    assert load(f"{module}:P")
    assert sys.path[:2] == [str(folder), str(other)]


@pytest.mark.parametrize(
    ("source", "mistake"),
    [
        ("P = 1", "{0}:P is not a subclass of record_processor.RecordProcessor"),
        ("class P: pass", "{0}:P is not a subclass of record_processor.RecordProcessor"),
        (
            "class P(RecordProcessor):\n    def setup(self, context): pass",
            (
                "{0}:P handles nothing; override one of on_insert, on_modify, on_remove, process_record, "
                "process_batch"
            ),
        ),
        ("P = RecordProcessor", "{0}:P handles nothing"),
        (
            (
                f"import abc\nclass P(RecordProcessor, abc.ABC):\n{HANDLER}"
                "    @abc.abstractmethod\n    def index(self): ..."
            ),
            "{0}:P is abstract; it lacks index",
        ),
        (
            f"class P(RecordProcessor):\n{HANDLER}    def __init__(self, client): pass",
            "{0}:P cannot be made without arguments; move what it needs to setup(context)",
        ),
        (
            "class P(RecordProcessor):\n    def process_batch(self, records):\n        yield",
            "{0}:P.process_batch would never run: it must be a method without yield",
        ),
        (
            "class P(RecordProcessor):\n    async def process_batch(self, records):\n        yield",
            "{0}:P.process_batch would never run: it must be a method without yield",
        ),
        (
            f"class P(RecordProcessor):\n{HANDLER}    async def on_modify(self, record): pass",
            "{0}:P.on_modify is async, and on_insert is not; make all handlers the same",
        ),
        (
            f"class B(RecordProcessor):\n{HANDLER}class P(B):\n    async def process_batch(self, records): pass",
            "{0}:P.process_batch is async, and on_insert is not; make all handlers the same",
        ),
        (
            f"class P(RecordProcessor):\n{HANDLER}    async def setup(self, context): pass",
            "{0}:P.setup is async, and its handlers are not; make it a plain method",
        ),
        (
            f"class P(RecordProcessor):\n{HANDLER}    async def teardown(self, reason): pass",
            "{0}:P.teardown is async, and its handlers are not; make it a plain method",
        ),
        (
            "class P(RecordProcessor):\n    cpu_bound = True\n    async def on_insert(self, record): pass",
            "{0}:P is cpu_bound, so its handlers cannot be async; remove one of the two",
        ),
        (
            "class P(RecordProcessor):\n    async def on_insert(self): pass",
            "{0}:P.on_insert must take exactly one argument besides self",
        ),
        (
            "class P(RecordProcessor):\n    def on_insert(self): pass",
            "{0}:P.on_insert must take exactly one argument besides self",
        ),
        (
            f"class P(RecordProcessor):\n{HANDLER}    def teardown(self): pass",
            "{0}:P.teardown must take exactly one argument besides self",
        ),
    ],
)
def test_classes_that_cannot_be_used(folder: Path, source: str, mistake: str) -> None:
    """Each mistake is found before the first record, and named."""
    module = _module(folder, source)
    assert str(_mistake(f"{module}:P")).startswith(mistake.format(module))


MODELS = """
from dataclasses import dataclass
from collections.abc import Mapping
from typing import Any, Generic, TypedDict, TypeVar
import msgspec
T = TypeVar("T")
U = TypeVar("U")
@dataclass
class Order:
    pk: str
@dataclass
class BigOrder(Order):
    pass
class Invoice(msgspec.Struct):
    pk: str
class Image(TypedDict):
    pk: str
class Base(RecordProcessor[T]):
    def on_insert(self, record): pass
class Swapped(Base[U], Generic[T, U]):
    pass
"""


@pytest.mark.parametrize(
    ("source", "mistake"),
    [
        (
            "class P(Base[Order]):\n    model = str",
            (
                "{0}:P.model cannot be used: it is neither a dataclass, a msgspec.Struct, a pydantic 2 model nor "
                "a pydantic dataclass"
            ),
        ),
        (
            "class P(Base):\n    @property\n    def model(self): return Order",
            "{0}:P.model cannot be used: it is neither a dataclass",
        ),
        (
            "@dataclass\nclass Odd:\n    a: str | bytes\nclass P(Base[Odd]):\n    model = Odd",
            "{0}:P.model cannot be used: TypeError: Type unions may not contain more than one str-like type",
        ),
        (
            "class P(Base[Order]): pass",
            "{0}:P is a RecordProcessor[Order] without a model; add model = Order",
        ),
        (
            "class P(Base['Order']): pass",
            "{0}:P is a RecordProcessor[Order] without a model; add model = Order",
        ),
        (
            "class P(Swapped[Invoice, Order]): pass",
            "{0}:P is a RecordProcessor[Order] without a model; add model = Order",
        ),
        (
            "class P(Base[Order]):\n    model = Invoice",
            "{0}:P is a RecordProcessor[Order] with the model Invoice; make the two the same",
        ),
        (
            "class P(Base[BigOrder]):\n    model = Order",
            "{0}:P is a RecordProcessor[BigOrder] with the model Order; make the two the same",
        ),
        (
            "class P(Base[dict[str, Any]]):\n    model = Order",
            "{0}:P is a RecordProcessor[dict] with the model Order; make the two the same",
        ),
        (
            "class P(Base[Order | Invoice]):\n    model = Order",
            "{0}:P is a RecordProcessor[{0}.Order | {0}.Invoice] with the model Order; make the two the same",
        ),
    ],
)
def test_models_that_cannot_be_used(folder: Path, source: str, mistake: str) -> None:
    """Each mistake is found before the first record, and named."""
    module = _module(folder, MODELS + source)
    assert str(_mistake(f"{module}:P")).startswith(mistake.format(module))


@pytest.mark.parametrize(
    "source",
    [
        "class P(Base): pass",
        "class P(Base):\n    model = Order",
        "class P(Base[Order]):\n    model = Order",
        "class P(Base['Order']):\n    model = Order",
        "class P(Base[Order]):\n    model = BigOrder",
        "class P(Swapped[Invoice, Order]):\n    model = Order",
        "class Q(Base[Order]):\n    model = Order\nclass P(Q): pass",
        "class P(Base[Any]):\n    model = Order",
        "class P(Base[Any]): pass",
        "class P(Base[T]): pass",
        "class P(Base[dict[str, Any]]): pass",
        "class P(Base[Mapping[str, Any]]): pass",
        "class P(Base[Image]): pass",
    ],
)
def test_models_that_can_be_used(folder: Path, source: str) -> None:
    """Items are dicts, or of the type that the handlers say."""
    module = _module(folder, MODELS + source)
    assert load(f"{module}:P")


@pytest.mark.parametrize(
    "handler",
    [
        "    @staticmethod\n    def on_insert(record): pass\n",
        "    @classmethod\n    def on_insert(cls, record): pass\n",
        "    def on_insert(self, *records): pass\n",
        "    def on_insert(self, record, more=1): pass\n",
        "    on_insert = print\n",
        "    on_insert = dict.fromkeys\n",
        "    async def on_insert(self, record): pass\n",
        "    async def on_insert(self, record): pass\n    def setup(self, context): pass\n",
        (
            "    async def on_insert(self, record): pass\n    async def setup(self, context): pass\n"
            "    async def teardown(self, reason): pass\n"
        ),
        "    async def process_batch(self, records): pass\n",
        "    cpu_bound = True\n    def on_insert(self, record): pass\n",
    ],
)
def test_unusual_handlers_that_work(folder: Path, handler: str) -> None:
    """Whatever can be called with one record is accepted."""
    module = _module(folder, f"class P(RecordProcessor):\n{handler}")
    assert load(f"{module}:P")


def test_a_name_that_is_nearly_right(folder: Path) -> None:
    """The nearest name of the module is offered."""
    module = _module(folder, f"class Orders(RecordProcessor):\n{HANDLER}")
    assert str(_mistake(f"{module}:Order")) == f"{module} has no Order; did you mean Orders?"
    assert str(_mistake(f"{module}:Xyz")) == f"{module} has no Xyz"


def test_a_module_that_is_not_there(folder: Path) -> None:
    """It is said where it was looked for; there is no traceback, nobody's code ran."""
    mistake = _mistake("no_such_module.orders:P")
    assert str(mistake).startswith(f"there is no module no_such_module; looked in {folder}, ")
    assert mistake.__cause__ is None


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import no_such_dependency", "ModuleNotFoundError: No module named 'no_such_dependency'"),
        ("def f():\n    raise KeyError('two\\nlines')\nf()", "KeyError: 'two\\nlines'"),
        ("raise SystemExit(3)", "SystemExit: 3"),
    ],
)
def test_a_module_that_raises(folder: Path, source: str, reason: str) -> None:
    """The traceback is the user's own: neither our frames nor those of the import system."""
    module = _module(folder, source)
    mistake = _mistake(f"{module}:P")
    assert str(mistake) == f"{module} cannot be imported: {reason}"
    assert mistake.__cause__ is not None
    assert has_user_frames(mistake.__cause__)
    shown = user_traceback(mistake.__cause__)
    assert f'{module}.py", line' in shown
    assert "importlib" not in shown
    assert "record_processor/" not in shown


def test_a_module_with_a_syntax_error(folder: Path) -> None:
    """The place is the user's file and line."""
    module = _module(folder, "class P(:")
    cause = _mistake(f"{module}:P").__cause__
    assert cause is not None
    assert has_user_frames(cause)
    shown = user_traceback(cause)
    assert f'{module}.py", line 2' in shown
    assert "importlib" not in shown


def test_causes_are_stripped_too(folder: Path) -> None:
    """An exception that was caused by another shows both, and both without our frames."""
    module = _module(
        folder, "try:\n    import no_such_dependency\nexcept ImportError as e:\n    raise ValueError from e"
    )
    shown = user_traceback(_mistake(f"{module}:P").__cause__ or ValueError())
    assert shown.count(f"{module}.py") == 2
    assert "importlib" not in shown


def test_our_own_mistakes_keep_their_frames() -> None:
    """If nothing of the user's took part, all frames are shown."""
    with pytest.raises(AttributeError) as caught:
        load(None)  # type: ignore[arg-type]
    error = caught.value
    error.__traceback__ = error.__traceback__ and error.__traceback__.tb_next
    assert not has_user_frames(error)
    assert "load.py" in user_traceback(error)


def test_a_shard_context_is_what_it_was_given() -> None:
    """The context is plain data."""

    class Nothing:
        def checkpoint(self, record: Record | None = None) -> None:
            pass

    context = ShardContext("arn", "orders", "shardId-1", "host-1", Nothing())
    assert (context.table_name, context.worker_id) == ("orders", "host-1")
