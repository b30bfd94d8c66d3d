"""Scenarios: JSON lines, each something that happens at a virtual time; docs/simulator.md lists them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias

import msgspec

from record_processor.errors import ConfigurationError
from record_processor.testing.faults import Which
from record_processor.testing.simulator.generator import generate_changes
from record_processor.testing.simulator.recorded import feed, read_changes
from record_processor.testing.simulator.server import StreamSimulator
from record_processor.testing.simulator.shard import SimulatedShard
from record_processor.testing.simulator.stream import SimulatedStream

Wait: TypeAlias = Callable[[float], object]
"""Waits for seconds of real time; something true ends the script."""
Seconds: TypeAlias = Annotated[float, msgspec.Meta(ge=0)]
Count: TypeAlias = Annotated[int, msgspec.Meta(ge=1)]
ShardName: TypeAlias = int | str
"""A shard's id, or its index, oldest first."""

_POLL_SECONDS: Final = 0.05  # somebody else may move the clock
_SEE: Final = "docs/simulator.md lists the actions and their fields"


@dataclass(frozen=True, slots=True)
class Stage:
    """Where a script plays."""

    simulator: StreamSimulator
    table: str
    folder: Path
    """What the script's file names are relative to."""

    @property
    def stream(self) -> SimulatedStream:
        """The table's newest stream."""
        return self.simulator.stream(self.table)

    def open_shard(self, name: ShardName) -> SimulatedShard:
        """Return a shard by its id, or by its index among those that are open."""
        return self.stream.shard(name) if isinstance(name, str) else self.stream.open_shards[name]

    def shard(self, name: ShardName) -> SimulatedShard:
        """Return a shard by its id, or by its index among all that are listed."""
        return self.stream.shard(name) if isinstance(name, str) else self.stream.shards[name]


class Step(msgspec.Struct, tag_field="do", forbid_unknown_fields=True, kw_only=True):
    """One line of a script."""

    at_seconds: Seconds | None = None
    """When, in virtual seconds since the script's beginning; at the time of the line before if not given."""

    def play(self, stage: Stage) -> None:
        """Do it. Raises ValueError, TypeError or LookupError if that cannot be."""
        raise NotImplementedError


class Put(Step, kw_only=True, tag="put"):
    """Writes one change; the values are plain JSON."""

    keys: dict[str, Any]
    new_image: dict[str, Any] | None = None
    old_image: dict[str, Any] | None = None
    user_identity: dict[str, str] | None = None

    def play(self, stage: Stage) -> None:
        """Put it."""
        stage.stream.put(self.keys, self.new_image, self.old_image, user_identity=self.user_identity)


class Generate(Step, kw_only=True, tag="generate"):
    """Writes changes made up from a seed; no key may be one of an earlier line's."""

    count: Count
    prefix: str
    seed: int = 0
    keys: Count = 100
    payload_bytes: Annotated[int, msgspec.Meta(ge=0)] = 0

    def play(self, stage: Stage) -> None:
        """Write all at once."""
        sizes = (self.payload_bytes, self.payload_bytes)
        changes = generate_changes(
            self.count, seed=self.seed, keys=self.keys, prefix=self.prefix, payload_bytes=sizes
        )
        feed(stage.stream, changes)


class Records(Step, kw_only=True, tag="records"):
    """Writes the recorded changes of a file."""

    file: str

    def play(self, stage: Stage) -> None:
        """Write all at once."""
        feed(stage.stream, read_changes(stage.folder / self.file))


class Split(Step, kw_only=True, tag="split"):
    """Splits an open shard in two."""

    shard: ShardName

    def play(self, stage: Stage) -> None:
        """Split it."""
        stage.stream.split(stage.open_shard(self.shard))


class Roll(Step, kw_only=True, tag="roll"):
    """Rolls an open shard over to a child, or every open one."""

    shard: ShardName | None = None

    def play(self, stage: Stage) -> None:
        """Roll it over."""
        stage.stream.roll(None if self.shard is None else stage.open_shard(self.shard))


class Close(Step, kw_only=True, tag="close"):
    """Closes an open shard without a child."""

    shard: ShardName

    def play(self, stage: Stage) -> None:
        """Close it."""
        stage.stream.close(stage.open_shard(self.shard))


class Trim(Step, kw_only=True, tag="trim"):
    """Trims a shard's records, or all of every shard."""

    shard: ShardName | None = None
    through: str | None = None
    """The last sequence number to go; every record of the shard if not given."""

    def play(self, stage: Stage) -> None:
        """Trim them."""
        if self.shard is None:
            if self.through is not None:
                raise ValueError("'through' needs 'shard'")
            stage.stream.trim_all()
        elif self.through is None:
            stage.shard(self.shard).trim_all()
        else:
            stage.stream.trim(stage.shard(self.shard), self.through)


class Advance(Step, kw_only=True, tag="advance"):
    """Skips virtual time."""

    hours: Seconds = 0
    minutes: Seconds = 0
    seconds: Seconds = 0

    def play(self, stage: Stage) -> None:
        """Move the clock."""
        stage.simulator.clock.advance(hours=self.hours, minutes=self.minutes, seconds=self.seconds)


class Disable(Step, kw_only=True, tag="disable"):
    """Switches the stream off."""

    def play(self, stage: Stage) -> None:
        """Disable it."""
        stage.stream.disable()


class Recreate(Step, kw_only=True, tag="recreate"):
    """Gives the table a new stream; the old one is disabled."""

    def play(self, stage: Stage) -> None:
        """Recreate it."""
        stage.simulator.recreate_stream(stage.table)


class _Faulty(Step, kw_only=True):
    """Hits calls of an operation, until `clear`."""

    operation: str
    """As AWS names it; "*" is every one."""
    shard: ShardName | None = None
    """Only calls on this shard."""
    times: Count | None = None
    """At most so many calls."""

    def which(self, stage: Stage) -> Which:
        """Return which calls are hit."""
        return {"times": self.times, "shard": None if self.shard is None else stage.shard(self.shard).id}


class Fail(_Faulty, kw_only=True, tag="fail"):
    """Answers with an AWS error."""

    code: str = "ThrottlingException"

    def play(self, stage: Stage) -> None:
        """Fail from now on."""
        stage.simulator.fail(self.operation, self.code, **self.which(stage))


class Delay(_Faulty, kw_only=True, tag="delay"):
    """Lets calls wait."""

    seconds: Seconds

    def play(self, stage: Stage) -> None:
        """Delay from now on."""
        stage.simulator.delay(self.operation, self.seconds, **self.which(stage))


class Reset(_Faulty, kw_only=True, tag="reset"):
    """Resets connections instead of answering."""

    def play(self, stage: Stage) -> None:
        """Reset from now on."""
        stage.simulator.reset(self.operation, **self.which(stage))


class HalfAnswer(_Faulty, kw_only=True, tag="half_answer"):
    """Closes connections in the middle of answers."""

    def play(self, stage: Stage) -> None:
        """Halve from now on."""
        stage.simulator.half_answer(self.operation, **self.which(stage))


class Clear(Step, kw_only=True, tag="clear"):
    """Ends all faults."""

    def play(self, stage: Stage) -> None:
        """Clear them."""
        stage.simulator.clear()


AnyStep: TypeAlias = (
    Put
    | Generate
    | Records
    | Split
    | Roll
    | Close
    | Trim
    | Advance
    | Disable
    | Recreate
    | Fail
    | Delay
    | Reset
    | HalfAnswer
    | Clear
)
ACTIONS: Final = tuple(str(step.__struct_config__.tag) for step in AnyStep.__args__)
"""What a line may do."""

_DECODER: Final = msgspec.json.Decoder(AnyStep, float_hook=Decimal)
_NAMED: Final = msgspec.json.Decoder(dict[str, Any])


class Script:
    """A scenario, read from a file and found right."""

    def __init__(self, path: Path) -> None:
        """Read it. Raises ConfigurationError for the first mistake, with file and line."""
        self._path = path
        try:
            lines = path.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"{path}: cannot be read: {error}") from None
        self._steps = list(self._timed(lines))

    def play(
        self, simulator: StreamSimulator, table: str, *, waits: bool = True, wait: Wait = time.sleep
    ) -> None:
        """Play it on a simulated table, and return when the last line is done.

        Without `waits` the time between two lines is skipped on the simulator's clock. Raises
        ConfigurationError for a line that cannot be done, such as one that names a shard that is not there.
        """
        stage = Stage(simulator, table, self._path.parent)
        begin_seconds = simulator.clock.now_seconds()
        for where, at_seconds, step in self._steps:
            due_seconds = begin_seconds + at_seconds
            if not waits:
                simulator.clock.advance(seconds=max(0.0, due_seconds - simulator.clock.now_seconds()))
            while (left_seconds := due_seconds - simulator.clock.now_seconds()) > 0:
                if wait(min(left_seconds, _POLL_SECONDS)):
                    return
            self._play(step, stage, where)

    def _play(self, step: Step, stage: Stage, where: str) -> None:
        try:
            step.play(stage)
        except IndexError:
            raise ConfigurationError(f"{where}: there are not so many shards now") from None
        except KeyError as error:
            raise ConfigurationError(f"{where}: there is no shard or table {error} now") from None
        except (ValueError, TypeError) as error:
            raise ConfigurationError(f"{where}: {error}") from None

    def _timed(self, lines: list[str]) -> Iterator[tuple[str, float, Step]]:
        latest = 0.0
        for number, line in enumerate(lines, 1):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            where = f"{self._path}:{number}"
            step = _step(line, where)
            at_seconds = latest if step.at_seconds is None else step.at_seconds
            if at_seconds < latest:
                raise ConfigurationError(
                    f"{where}: at_seconds is {at_seconds:g}, after {latest:g}: put the lines in order"
                )
            latest = at_seconds
            yield where, at_seconds, step


def _step(line: str, where: str) -> Step:
    try:
        step: Step = _DECODER.decode(line)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"{where}: {_mistake(line) or error}; {_SEE}") from None
    return step


def _mistake(line: str) -> str:
    """Say what is wrong with a line in words better than msgspec's; "" if its own are good."""
    try:
        named = _NAMED.decode(line)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return 'not a JSON object such as {"at_seconds": 10, "do": "roll"}'
    action = named.get("do")
    if action in ACTIONS:
        return ""
    nearest = get_close_matches(str(action), ACTIONS, n=1)
    return f"'do' is {action!r}" + (f"; did you mean {nearest[0]!r}?" if nearest else "")
