"""`@idempotent`: a function that is not called again for what it has done."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec, Protocol, TypeVar, overload

from record_processor.record import Record
from record_processor.stores.claim import Begun, Claim
from record_processor.stores.keys import hashed, idempotency_key
from record_processor.stores.store import Store
from record_processor.stores.this_process import claim_of_this_process

P = ParamSpec("P")
T = TypeVar("T")

_log = logging.getLogger("record_processor")


class _Decorator(Protocol):
    @overload
    def __call__(
        self, function: Callable[P, Coroutine[Any, Any, T]], /
    ) -> Callable[P, Coroutine[Any, Any, T | None]]: ...
    @overload
    def __call__(self, function: Callable[P, T], /) -> Callable[P, T | None]: ...


def idempotent(store: Store, key: Callable[..., str] | None = None) -> _Decorator:
    """Decorate a function, or an `async def`, so that a repeat returns None without calling it.

    `key` is given the arguments and says what makes a repeat; without it, the first argument that is a Record
    does, by its event id. Keys are each function's own, by its module and name. The fencing token is that of
    the Record, if there is one.

    An exception in the function gives the key back, and so does its cancellation. The call raises
    InProgressError while another one is under way with the same key, FencedError if it lost the key to
    another host while it ran, TypeError if there is neither key nor Record, and what the store raises. If
    that is after the function returned, call it again: then it is only written down that it was done.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(f"{function.__qualname__} is a generator: it has done nothing when it returns")
        plan = _Plan(store, function, key)
        return _asynchronous(plan) if inspect.iscoroutinefunction(function) else _plain(plan)

    return decorate


class _Plan:
    """A decorated function: what it is called with decides the key."""

    def __init__(self, store: Store, function: Callable[..., Any], key: Callable[..., str] | None) -> None:
        self.store = store
        self.function = function
        self._key = key
        self._name = f"{function.__module__}.{function.__qualname__}"

    def key_and_claim(self, arguments: tuple[Any, ...], named: dict[str, Any]) -> tuple[str, Claim]:
        record = next((each for each in (*arguments, *named.values()) if isinstance(each, Record)), None)
        claim = claim_of_this_process(record.fencing_token if record else 0)
        if self._key is None:
            if record is None:
                raise TypeError(f"{self._name} got no Record; give idempotent() a key")
            return idempotency_key(record, (), self._name), claim
        text = self._key(*arguments, **named)
        if not isinstance(text, str):
            raise TypeError(f"the key of {self._name} must be a str, not {type(text).__name__}")
        return hashed([self._name, "key", text]), claim

    def finished(self, result: Any) -> Any:
        """Return what a plain function returned. Raises TypeError if that is still to be awaited."""
        if inspect.isawaitable(result):
            raise TypeError(f"{self._name} returns an awaitable; make it an async def")
        return result

    def release(self, key: str, claim: Claim) -> None:
        """Give a key back after an exception, which is what the caller hears of, whatever the store does."""
        try:
            self.store.release(key, claim)
        except Exception as error:  # noqa: BLE001 # this process does not need the release, others wait
            _log.warning("%s: a key was not given back: %s", self.store.place, type(error).__name__)


def _plain(plan: _Plan) -> Callable[..., Any]:
    @wraps(plan.function)
    def call(*arguments: Any, **named: Any) -> Any:
        key, claim = plan.key_and_claim(arguments, named)
        if plan.store.begin(key, claim) is Begun.DONE:
            return None
        try:
            result = plan.finished(plan.function(*arguments, **named))
        except BaseException:
            plan.release(key, claim)
            raise
        plan.store.complete(key, claim)
        return result

    return call


def _asynchronous(plan: _Plan) -> Callable[..., Any]:
    @wraps(plan.function)
    async def call(*arguments: Any, **named: Any) -> Any:
        key, claim = plan.key_and_claim(arguments, named)
        if await _begin(plan, key, claim) is Begun.DONE:
            return None
        try:
            result = await plan.function(*arguments, **named)
        except BaseException:
            await asyncio.shield(_in_thread(plan.release, key, claim))
            raise
        await asyncio.shield(_in_thread(plan.store.complete, key, claim))
        return result

    return call


async def _begin(plan: _Plan, key: str, claim: Claim) -> Begun:
    """Begin, and if the call is cancelled meanwhile, give back what was claimed all the same."""
    begun = _in_thread(plan.store.begin, key, claim)
    try:
        return await asyncio.shield(begun)
    except asyncio.CancelledError:
        await asyncio.wait([begun])
        if begun.exception() is None and begun.result() is Begun.CLAIMED:
            await asyncio.shield(_in_thread(plan.release, key, claim))
        raise


def _in_thread(call: Callable[[str, Claim], T], key: str, claim: Claim) -> asyncio.Future[T]:
    """Call what waits for the store elsewhere than on the event loop. A thread goes on if it is cancelled."""
    return asyncio.get_running_loop().run_in_executor(None, call, key, claim)
