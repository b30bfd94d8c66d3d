"""`record-processor simulate`."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, TypeAlias

import click

from record_processor.errors import ConfigurationError, ExitCode, RecordProcessorError, StartError

if TYPE_CHECKING:
    from typing_extensions import Self

    from record_processor.launcher.signals import Signals
    from record_processor.testing.dynamodb_local import DynamoDBLocal
    from record_processor.testing.simulator import Change, Script, SimulatedStream, StreamSimulator

Wait: TypeAlias = Callable[[float], object]
"""Waits for seconds; true once the command is to end."""

_DEFAULT_PORT: Final = 8001
_VIEW_TYPES: Final = ("NEW_AND_OLD_IMAGES", "NEW_IMAGE", "OLD_IMAGE", "KEYS_ONLY")


@dataclass(frozen=True)
class _Wish:
    """What the command line asks for."""

    script: Path | None
    table: str
    shards: int
    view_type: str
    port: int
    dynamodb_endpoint: str | None
    region: str
    roll_every_hours: float | None
    records: Path | None
    generate: int
    keys: int
    payload_bytes: int
    seed: int
    rate: float | None


@click.command(short_help="Run a simulator of DynamoDB Streams until interrupted.")
@click.argument("script", required=False, type=click.Path(path_type=Path))
@click.option("--table", default="orders", show_default=True, help="The simulated table's name.")
@click.option("--shards", type=click.IntRange(1), default=1, show_default=True, metavar="N", help="How many.")
@click.option("--view-type", type=click.Choice(_VIEW_TYPES), default=_VIEW_TYPES[0], show_default=True)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=_DEFAULT_PORT,
    show_default=True,
    metavar="N",
    help="Where it listens; 0 takes any free port.",
)
@click.option(
    "--dynamodb-endpoint",
    metavar="URL",
    help="A DynamoDB Local that runs already, for the leases; without it, one is started.",
)
@click.option("--region", default="eu-west-1", show_default=True, help="The region in ARNs.")
@click.option(
    "--roll-every-hours",
    type=float,
    metavar="H",
    help="Let shards roll over by themselves; DynamoDB's do after about 4.",
)
@click.option(
    "--records", type=click.Path(path_type=Path), help="A file of recorded changes to write at the beginning."
)
@click.option("--generate", type=click.IntRange(0), default=0, metavar="N", help="Make up so many changes.")
@click.option(
    "--keys", type=click.IntRange(1), default=100, show_default=True, metavar="N", help="To so many keys."
)
@click.option(
    "--payload-bytes", type=click.IntRange(0), default=0, metavar="N", help="Of a further attribute of each."
)
@click.option("--seed", type=int, default=0, metavar="N", help="The same seed makes up the same changes.")
@click.option(
    "--rate",
    type=click.FloatRange(0, min_open=True),
    metavar="N",
    help="Write so many changes a second; without it, all at once.",
)
def simulate(**wish: object) -> int:
    """Run a simulator of DynamoDB Streams until Ctrl-C or SIGTERM ends it.

    For development and tests: its shards split, roll over, are trimmed and fail as SCRIPT says, a file of
    JSON lines; docs/simulator.md has the actions. Leases go to a DynamoDB Local, which needs Java.

    \b
    Example:
        record-processor simulate --table orders --shards 4 --generate 1000 --rate 50
        record-processor simulate a-bad-day.jsonl --dynamodb-endpoint http://127.0.0.1:8000
    \b
    It prints the lines to put into a properties file.
    """  # noqa: D301  # click keeps the lines of what follows a backspace
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return _run(_Wish(**wish))  # type: ignore[arg-type]  # click made each of its type
    except KeyboardInterrupt:
        return ExitCode.DRAINED


def _run(wish: _Wish) -> int:
    try:
        from record_processor.testing.simulator import StreamSimulator
    except ModuleNotFoundError as error:
        raise StartError(
            f"record-processor simulate needs {error.name}: "
            "pip install 'dynamodb-streams-record-processor[testing]'"
        ) from None
    from record_processor.launcher.signals import Signals

    task = _task(wish)
    with ExitStack() as stack:
        endpoint = wish.dynamodb_endpoint or stack.enter_context(_dynamodb_local()).endpoint
        try:
            simulator = StreamSimulator(endpoint, wish.region, port=wish.port)
            stream = simulator.create_stream(
                wish.table,
                wish.shards,
                wish.view_type,
                task.key_schema,
                roll_every_hours=wish.roll_every_hours,
            )
        except ValueError as error:
            raise ConfigurationError(str(error)) from None
        signals = stack.enter_context(Signals())
        stack.enter_context(_listening(simulator, wish.port))
        click.echo(_ready(simulator, wish.table))
        player = stack.enter_context(_Player(partial(task.play, simulator, stream), signals))
        while not signals.received:
            signals.wait()
            player.raise_failure()
    return ExitCode.DRAINED


@dataclass(frozen=True)
class _Task:
    """What is written to the stream, and done to it."""

    changes: Iterable[Change]
    key_schema: Mapping[str, str] | None
    changes_per_second: float | None
    script: Script | None

    def play(self, simulator: StreamSimulator, stream: SimulatedStream, wait: Wait) -> None:
        """Write the changes, then play the script."""
        from record_processor.testing.simulator import feed

        try:
            feed(stream, self.changes, changes_per_second=self.changes_per_second, wait=wait)
        except ValueError as error:
            raise ConfigurationError(str(error)) from None
        if self.script is not None:
            self.script.play(simulator, stream.table, wait=wait)


def _task(wish: _Wish) -> _Task:
    """Read the files. Raises ConfigurationError for a mistake in one."""
    from record_processor.testing.simulator import Script, generate_changes, read_changes

    script = Script(wish.script) if wish.script is not None else None
    if wish.records is None:
        sizes = (wish.payload_bytes, wish.payload_bytes)
        changes = generate_changes(wish.generate, seed=wish.seed, keys=wish.keys, payload_bytes=sizes)
        return _Task(changes, None, wish.rate, script)
    if wish.generate:
        raise click.UsageError("--records and --generate exclude each other.")
    recorded = list(read_changes(wish.records))
    key_schema = {name: next(iter(value)) for name, value in recorded[0].keys.items()} if recorded else None
    return _Task(recorded, key_schema, wish.rate, script)


class _Player:
    """Does the task in a thread; the end of the block ends it."""

    def __init__(self, play: Callable[[Wait], None], signals: Signals) -> None:
        self._play = play
        self._signals = signals
        self._ends = threading.Event()
        self._failure: RecordProcessorError | None = None
        self._thread = threading.Thread(target=self._run, name="simulate")

    def raise_failure(self) -> None:
        """Raise what ended the task, if it was a mistake."""
        if self._failure is not None:
            raise self._failure

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ends.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            self._play(self._ends.wait)
        except RecordProcessorError as error:
            self._failure = error
            self._signals.wake()


def _dynamodb_local() -> DynamoDBLocal:
    from record_processor.testing.dynamodb_local import DynamoDBLocal

    click.echo("Starting DynamoDB Local, for the leases; the first time it is downloaded.", err=True)
    return DynamoDBLocal()


@contextmanager
def _listening(simulator: StreamSimulator, port: int) -> Iterator[None]:
    try:
        simulator.start()
    except OSError as error:
        raise StartError(f"port {port} is taken: choose another with --port ({error.strerror})") from None
    try:
        yield
    finally:
        simulator.stop()


def _ready(simulator: StreamSimulator, table: str) -> str:
    return (
        "The stream simulator is ready, until Ctrl-C. In a properties file:\n"
        f"sourceTable = {table}\n"
        f"regionName = {simulator.region}\n"
        f"dynamoDBEndpoint = {simulator.endpoint}"
    )
