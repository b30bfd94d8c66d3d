"""Puts a shard's pipeline together, as the settings say. Used by loop, and by redrive."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Any, Final, NamedTuple

from record_processor.models import Converter, converter
from record_processor.parking import Destination, open_destination
from record_processor.pipeline.call import is_async, takes_batches
from record_processor.pipeline.event_loop import EventLoopRunner
from record_processor.pipeline.idempotency import Idempotency
from record_processor.pipeline.park import Parking
from record_processor.pipeline.pipeline import Batching, Pipeline
from record_processor.pipeline.policy import Policy
from record_processor.pipeline.retry import Backoff
from record_processor.pipeline.runner import InlineRunner, Means, Runner
from record_processor.pipeline.threads import ThreadRunner
from record_processor.processor import RecordProcessor
from record_processor.record import Record, RecordSource
from record_processor.settings import Settings
from record_processor.stores import idempotency_key, open_store
from record_processor.values import IMAGE_DECODERS, ImageDecoder
from record_processor.worker.children import ChildRunner
from record_processor.worker.messages import Initialize

_SERIES: Final = 32
"""Few enough that what was decoded of them stays in the processor's cache."""


def source_of(shard: Initialize, processor: type[RecordProcessor[Any]], settings: Settings) -> RecordSource:
    """Return what all records of the shard have in common."""
    return RecordSource(shard.stream_arn, shard.table_name, shard.shard_id, *reading_of(processor, settings))


def reading_of(
    processor: type[RecordProcessor[Any]], settings: Settings
) -> tuple[ImageDecoder, Converter | None]:
    """Return what numbers become, and what makes objects of the class's model."""
    model = processor.model  # the class's, which was checked; handlers may call anything model
    return IMAGE_DECODERS[str(settings["numbers"])], converter(model) if model else None


def runner_of(
    shard: Initialize,
    processor: type[RecordProcessor[Any]],
    settings: Settings,
    source: RecordSource,
    open_destination: Callable[[Settings], Destination | None] = open_destination,
) -> Runner:
    """Choose where handlers run, by what they are."""
    factor = _integer(settings, "parallelizationFactor")
    destination = open_destination(settings)
    park = Parking(destination, str(settings["applicationName"]), shard.worker_id) if destination else None
    if factor == 1:
        return single_runner(processor, settings, park)
    means = _means(settings, park)
    if is_async(processor):
        return EventLoopRunner(factor, means)
    return ChildRunner(factor, means, source) if processor.cpu_bound else ThreadRunner(factor, means)


def single_runner(
    processor: type[RecordProcessor[Any]], settings: Settings, park: Parking | None = None
) -> Runner:
    """Return one that runs one work at a time."""
    means = _means(settings, park)
    return EventLoopRunner(1, means) if is_async(processor) else InlineRunner(means)


def _means(settings: Settings, park: Parking | None) -> Means:
    timeout = settings["timeoutInSeconds"]
    return Means(park, _idempotency(settings), None if timeout is None else float(str(timeout)))


def _idempotency(settings: Settings) -> Idempotency | None:
    if settings["idempotency"] is None:
        return None
    paths = settings["idempotencyKey"] or ()
    assert isinstance(paths, tuple)  # so says the schema
    key_of = partial(idempotency_key, paths=paths, application_name=str(settings["applicationName"]))
    can_park = settings["onFailureDestination"] is not None
    return Idempotency(open_store(settings), key_of, can_park=can_park)


def pipeline_of(
    processor: type[RecordProcessor[Any]],
    settings: Settings,
    runner: Runner,
    is_stored: Callable[[Record], bool],
    make: Callable[..., Pipeline] = Pipeline,
) -> Pipeline:
    """Return an empty pipeline for a runner; `is_stored` tells what was checkpointed by hand."""
    policy = Policy(
        Backoff(
            _integer(settings, "retryBackoffMillis") / 1000,
            _integer(settings, "maximumRetryBackoffMillis") / 1000,
        ),
        _integer(settings, "maximumRetryAttempts"),
        _integer(settings, "maximumRecordAgeInSeconds"),
        bisect_batch=bool(settings["bisectBatchOnFunctionError"]),
        can_park=settings["onFailureDestination"] is not None,
    )
    factor = _integer(settings, "parallelizationFactor")
    return make(policy, _batching(processor, settings, runner), factor, is_stored=is_stored)


def _batching(processor: type[RecordProcessor[Any]], settings: Settings, runner: Runner) -> Batching:
    if not takes_batches(processor):
        return Batching(series=_SERIES if isinstance(runner, InlineRunner) else 1)
    window_seconds = _integer(settings, "maximumBatchingWindowInSeconds")
    # The daemon reads no more of a shard when its limit is near: a window must not wait for what cannot come.
    full_bytes = _integer(settings, "maximumUnacknowledgedBytesPerShard") // 2 if window_seconds else 0
    return Batching(_integer(settings, "batchSize"), window_seconds, full_bytes)


def _integer(settings: Settings, name: str) -> int:
    value = settings[name]
    assert isinstance(value, int)  # so says the schema
    return value


class Parts(NamedTuple):
    """What a shard is put together from; a test takes others."""

    runner_of: Callable[..., Runner] = runner_of
    pipeline_of: Callable[..., Pipeline] = pipeline_of
    clock: Callable[[], float] = monotonic
    """By which acknowledgements are spaced, in seconds."""
