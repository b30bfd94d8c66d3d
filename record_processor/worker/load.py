"""Finds the user's class by `module:Class`; every mistake is one line. Used by the worker's main."""

from __future__ import annotations

import difflib
import importlib
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, ForwardRef, TypeVar, get_args, get_origin

from record_processor.errors import ConfigurationError
from record_processor.models import Item, converter
from record_processor.pipeline.call import HANDLERS
from record_processor.processor import RecordProcessor

_METHODS: Final = ("setup", "teardown", *HANDLERS)


def add_paths(paths: Sequence[str]) -> None:
    """Look modules up in these folders first, in this order."""
    sys.path[:] = [*paths, *(path for path in sys.path if path not in paths)]


def load(name: str) -> type[RecordProcessor]:
    """Import a subclass of RecordProcessor, given as `module:Class`, and check that it can be used as one.

    Raises ConfigurationError; if the module's own code raised, that is its `__cause__`.
    """
    module, _, path = name.partition(":")
    found: object = _import(module)
    parent = module
    for part in path.split("."):
        if not hasattr(found, part):
            raise ConfigurationError(f"{parent} has no {part}{_hint(part, found)}")
        found = getattr(found, part)
        parent = f"{parent}.{part}"
    return check_class(name, found)


def _import(module: str) -> object:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name and f"{module}.".startswith(f"{error.name}."):
            looked_in = ", ".join(path or "." for path in sys.path)
            raise ConfigurationError(f"there is no module {error.name}; looked in {looked_in}") from None
        raise _not_importable(module, error) from error
    except (Exception, SystemExit) as error:
        raise _not_importable(module, error) from error


def _not_importable(module: str, error: BaseException) -> ConfigurationError:
    reason = " ".join(str(error).split())
    return ConfigurationError(f"{module} cannot be imported: {type(error).__name__}: {reason}")


def _hint(name: str, found: object) -> str:
    nearest = difflib.get_close_matches(
        name, [known for known in dir(found) if not known.startswith("_")], n=1
    )
    return f"; did you mean {nearest[0]}?" if nearest else ""


def check_class(name: str, found: object) -> type[RecordProcessor]:
    """Return what was found if it can be used as a record processor. Raises ConfigurationError."""
    if not (isinstance(found, type) and issubclass(found, RecordProcessor)):
        raise ConfigurationError(f"{name} is not a subclass of record_processor.RecordProcessor")
    if not any(_overridden(found, method) for method in HANDLERS):
        raise ConfigurationError(f"{name} handles nothing; override one of {', '.join(HANDLERS)}")
    if abstract := sorted(getattr(found, "__abstractmethods__", ())):
        raise ConfigurationError(f"{name} is abstract; it lacks {', '.join(abstract)}")
    if not _accepts(found, 0):
        raise ConfigurationError(
            f"{name} cannot be made without arguments; move what it needs to setup(context)"
        )
    _check_kinds(name, found)
    for method in _METHODS:
        if overridden := _overridden(found, method):
            is_given_self = inspect.isfunction(inspect.getattr_static(found, method))
            _check_method(f"{name}.{method}", overridden, 2 if is_given_self else 1)
    _check_model(name, found)
    return found


def _overridden(processor: type[RecordProcessor], method: str) -> Callable[..., object] | None:
    own: Callable[..., object] = getattr(processor, method)
    return None if own is getattr(RecordProcessor, method) else own


def _check_method(name: str, method: Callable[..., object], arguments: int) -> None:
    """Refuse what would be called and yet never run, or could never be called."""
    if inspect.isgeneratorfunction(method) or inspect.isasyncgenfunction(method):
        raise ConfigurationError(f"{name} would never run: it must be a method without yield")
    if not _accepts(method, arguments):
        raise ConfigurationError(f"{name} must take exactly one argument besides self")


def _check_kinds(name: str, processor: type[RecordProcessor]) -> None:
    """Refuse a mixture, whose plain methods would hold up the event loop."""
    own = {method: _overridden(processor, method) for method in _METHODS}
    is_async = {method: inspect.iscoroutinefunction(found) for method, found in own.items() if found}
    handlers = {method: kind for method, kind in is_async.items() if method in HANDLERS}
    if len(set(handlers.values())) > 1:
        plain = next(method for method, kind in handlers.items() if not kind)
        lazy = next(method for method, kind in handlers.items() if kind)
        raise ConfigurationError(f"{name}.{lazy} is async, and {plain} is not; make all handlers the same")
    if any(handlers.values()):
        if processor.cpu_bound:
            raise ConfigurationError(
                f"{name} is cpu_bound, so its handlers cannot be async; remove one of the two"
            )
    elif setting := next((method for method, kind in is_async.items() if kind), None):
        raise ConfigurationError(
            f"{name}.{setting} is async, and its handlers are not; make it a plain method"
        )


def _check_model(name: str, processor: type[RecordProcessor]) -> None:
    model, parameter = processor.model, _parameter(processor)
    if isinstance(parameter, ForwardRef):
        parameter = getattr(sys.modules[processor.__module__], parameter.__forward_arg__, Any)
    if model is not None:
        try:
            converter(model)
        except ConfigurationError as error:
            raise ConfigurationError(f"{name}.model cannot be used: {error}") from None
    if not _is_of(parameter, model):
        shown = getattr(parameter, "__name__", parameter)
        mistake = f"{name} is a RecordProcessor[{shown}]"
        if model is None:
            raise ConfigurationError(f"{mistake} without a model; add model = {shown}")
        raise ConfigurationError(f"{mistake} with the model {model.__name__}; make the two the same")


def _is_of(parameter: object, model: type | None) -> bool:
    """Whether the model is of the type that handlers say they take."""
    kind = get_origin(parameter) or parameter
    if kind is Any or isinstance(kind, TypeVar):
        return True
    if isinstance(kind, type) and issubclass(kind, Mapping):
        return model is None
    return isinstance(kind, type) and model is not None and issubclass(model, kind)


def _parameter(processor: type[RecordProcessor[Any]]) -> object:
    """Return what a class says for RecordProcessor's type variable; a variable if it says nothing."""
    if processor is RecordProcessor:
        return Item
    for base in vars(processor).get("__orig_bases__", processor.__bases__):
        origin = get_origin(base) or base
        if issubclass(origin, RecordProcessor):
            inherited = _parameter(origin)
            said = dict(zip(origin.__parameters__, get_args(base), strict=False))
            return said.get(inherited, inherited)
    return Item


def _accepts(function: Callable[..., object], count: int) -> bool:
    try:
        inspect.signature(function).bind(*range(count))
    except TypeError:
        return False
    except ValueError:  # written in C, without a signature: only calling it will tell
        return True
    return True
