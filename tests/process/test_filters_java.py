"""Python's filters against the daemon's, and those against ruler's own verdict on whole records, on random ones."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any, Final, TypeAlias

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from record_processor.filters import ChangedAttributes, FilterCriteria
from record_processor.launcher.java import daemon_command

SOURCES: Final = Path(__file__).parents[2] / "src" / "test" / "java"
EXAMPLES: Final = 200
PATTERNS: Final = 20  # for each record
BIN: Final = f"{os.environ['JAVA_HOME']}/bin/" if os.environ.get("JAVA_HOME") else ""

Leaf: TypeAlias = tuple[tuple[str, ...], Any]
"""The steps to a value, and the value."""

Tree: TypeAlias = list[tuple[str, Any]]
"""An object, in which a name may come twice."""


class Daemon:
    """The filters of the daemon, asked line by line."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, **question: object) -> dict[str, Any]:
        """Return `passes`, and `ruler` if there are patterns, or `refused`."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        assert isinstance(answer, dict)
        return answer


@contextmanager
def daemon(class_path: str, folder: Path, hosts: str = "") -> Iterator[Daemon]:
    """Start it with a file of hosts in the place of DNS."""
    names = folder / "hosts"
    names.write_text(hosts, encoding="ascii")
    process = subprocess.Popen(
        [f"{BIN}java", f"-Djdk.net.hosts.file={names}", "-cp", class_path, "recordprocessor.FilterVerdicts"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        encoding="utf-8",
    )
    try:
        yield Daemon(process)
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def class_path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Compile the program of the tests against the daemon's jars."""
    folder = tmp_path_factory.mktemp("classes")
    command = daemon_command("java")
    jars = command[command.index("-cp") + 1]
    program = SOURCES / "recordprocessor" / "FilterVerdicts.java"
    subprocess.run(
        [f"{BIN}javac", "-d", folder, "-sourcepath", SOURCES, "-cp", jars, program], check=True, timeout=120
    )
    return os.pathsep.join((str(folder), jars))


@pytest.fixture(scope="module")
def java(class_path: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """Start the filters."""
    with daemon(class_path, tmp_path_factory.mktemp("hosts")) as started:
        yield started


# --- Random records and patterns ---

NAMES: Final = ("a", "b", "a.b", "a.", "M", "S", "L", "a.M.b", "exists", "ż🐢")
STRINGS: Final = (
    *(
        "",
        "a",
        "ab",
        "aB",
        "AB",
        "abab",
        "aba",
        "é",
        "É",
        "🐢",
        "a🐢é",
        "ß",
        "SS",
        "ss",
        "\u017f",
        "\u212a",
        "k",
        "İ",
    ),
    *("*", "a*b", "a\\b", "\\", '"', 'a"', '"a', "?", "??", "N", "1", "1.0", "-1", "true", "null"),
    *("10.1.2.3", "010.1.2.3", "10.1.2.255", "11.0.0.0", "a01::", "::1", "0:0::1", "::ffff:a01:203"),
    *("10:30", "::", ":", "1.2.3"),
)
RANGES: Final = ("10.0.0.0/8", "10.1.2.0/24", "10.1.2.255/31", "::/1", "a00::/7", "0.0.0.0/0")
NUMBERS: Final = (0, 1, 2, 1.5, 1.0000001, 1678831218)
ODD_MATCHERS: Final[tuple[object, ...]] = (
    *(None, 1, True, [], {}, {"prefix": 1}, {"exists": 1}, {"cidr": "10.0.0.0"}, {"anything-but": []}),
    *({"wildcard": "a**"}, {"numeric": []}, {"numeric": [">", 2, "<", 1]}, {"anything-but": {"suffix": []}}),
    *({"anything-but": [1, "a"]}, {"prefix": {"suffix": "a"}}, {"x": 1}, {"exactly": "a", "prefix": "b"}),
)


class Chance(Random):
    """Makes records, and patterns, most of them about what the record has."""

    is_careless = False
    """Whether the patterns have mistakes that are refused."""

    def string(self) -> str:
        """Make a string."""
        if self.random() < 0.7:
            return self.choice(STRINGS)
        return "".join(self.choices('aAbBéÉß🐢"*\\?1.:/', k=self.randint(0, 6)))

    def value(self, depth: int) -> dict[str, Any]:
        """Make an attribute's value."""
        kind = self.choice(
            ["S", "S", "S", "N", "BOOL", "NULL", "B", "SS", "NS", *["M", "L", "lines"] * depth]
        )
        content: dict[str, Callable[[], object]] = {
            "S": self.string,
            "N": lambda: self.choice(["1", "1.0", "-1", "10", "1E+2"]),
            "BOOL": lambda: self.random() < 0.5,
            "NULL": lambda: True,
            "B": lambda: self.choice(["AA==", "AAE=", "/w=="]),
            "SS": lambda: list({self.string() for _ in range(self.randint(1, 3))}),
            "NS": lambda: self.sample(["1", "2.5", "-1"], self.randint(1, 3)),
            "M": lambda: self.image(depth - 1),
            "L": lambda: [self.value(depth - 1) for _ in range(self.randint(0, 3))],
            # Their elements have names in common, for what must hold in the same one.
            "lines": lambda: [{"M": self.line(depth - 1)} for _ in range(self.randint(0, 4))],
        }
        return {"L" if kind == "lines" else kind: content[kind]()}

    def line(self, depth: int) -> dict[str, Any]:
        """Make an element of a list that has some of few names."""
        names = self.sample("abc", self.randint(0, 3))
        return {
            name: {"S": self.choice("abc")} if self.random() < 0.7 else self.value(depth) for name in names
        }

    def image(self, depth: int = 2) -> dict[str, Any]:
        """Make an item."""
        return {self.choice(NAMES): self.value(depth) for _ in range(self.randint(0, 3))}

    def record(self) -> dict[str, Any]:
        """Make a record as Lambda delivers it."""
        stream: dict[str, Any] = {
            "ApproximateCreationDateTime": 1678831218,
            "Keys": {"a": {"S": self.string()}},
        }
        for image in self.sample(["NewImage", "OldImage"], self.randint(0, 2)):
            stream[image] = self.image()
        stream |= {"SequenceNumber": "111", "SizeBytes": self.randint(0, 3), "StreamViewType": "NEW_IMAGE"}
        name = self.choice(["INSERT", "MODIFY", "REMOVE"])
        return {"eventID": "1", "eventName": name, "eventSourceARN": "arn", "dynamodb": stream}

    def pattern(self, found: Sequence[Leaf], depth: int = 2) -> Tree:
        """Make an object of conditions and `$or`s."""
        tree: Tree = []
        near = found
        for _ in range(self.randint(1, 3)):
            if depth and self.random() < 0.25:
                branches = [self.pattern(near, depth - 1) for _ in range(self.randint(2, 3))]
                tree += self.choice([[("$or", branches)], _moved_in(branches)])
            else:
                leaf = self.choice(near if self.random() < 0.7 else found)
                near = [other for other in found if other[0][:3] == leaf[0][:3]]
                tree += self.condition(leaf)
        return tree

    def condition(self, leaf: Leaf) -> Tree:
        """Make a list of matchers, and the objects around it."""
        steps, value = self.misled(leaf[0]), leaf[1]
        if self.is_careless and self.random() < 0.2:
            return nested(steps, self.choices(ODD_MATCHERS, k=self.randint(0, 2)))
        return nested(steps, [self.matcher(value) for _ in range(self.choice([1, 1, 1, 2]))])

    def misled(self, steps: tuple[str, ...]) -> tuple[str, ...]:
        """Sometimes take another step, one of the item's names unless it is careless."""
        at = self.randrange(len(steps)) if self.is_careless else 2
        if at >= len(steps) - 1 or self.random() < 0.9:
            return steps
        return (*steps[:at], self.choice([*NAMES, "N", "s", "NewImages", "dynamodb"]), *steps[at + 1 :])

    def matcher(self, value: object) -> object:
        """Make what may match a value."""
        if self.random() < 0.2:
            return {"exists": self.random() < 0.5}
        if isinstance(value, bool):
            return self.random() < 0.7
        return self.string_matcher(value) if isinstance(value, str) else self.number_matcher()

    def number_matcher(self) -> object:
        """Make what may match a number."""
        number, other = self.choice(NUMBERS), self.choice(NUMBERS)
        operator = self.choice(["=", "<", "<=", ">", ">="])
        return self.choice(
            [
                number,
                5_000_000_001,
                {"anything-but": number},
                {"anything-but": [number, other]},
                {"numeric": [operator, number]},
                {"numeric": [">", self.choice([0, 1, 1.5]), "<=", self.choice([2, 2.5])]},
            ]
        )

    def string_matcher(self, value: str) -> object:
        """Make what may match a string."""
        text = self.choice([value, value.swapcase(), value.lower(), value.upper(), self.string()])
        if "🐢" in text and not self.is_careless:  # it cannot be compared ignoring case
            return self.choice([text, {"prefix": text[:1]}, {"suffix": text[1:]}, {"anything-but": [text]}])
        head, tail = text[: self.randint(0, len(text))], text[self.randint(0, len(text)) :]
        wildcard = self.choice([text, f"{head}*", f"*{tail}", f"{head}*{tail}", f"*{head}*{tail}*"])
        wildcard = wildcard if self.is_careless else re.sub(r"\*+|\\(?![*\\])", "*", wildcard)
        case = {"equals-ignore-case": text}
        return self.choice(
            [
                text,
                {"exactly": text},
                {"prefix": head},
                {"suffix": tail},
                case,
                {"prefix": {"equals-ignore-case": head}},
                {"suffix": {"equals-ignore-case": tail}},
                {"wildcard": wildcard},
                {"anything-but": text},
                {"anything-but": [text, self.string()]},
                {"anything-but": case},
                {"anything-but": {"prefix": [head or "a", self.string() or "b"]}},
                {"anything-but": {"suffix": tail or "a"}},
                {"anything-but": {"wildcard": wildcard}},
                {"cidr": self.choice(RANGES)},
            ]
        )


def leaves(node: object, steps: tuple[str, ...] = ()) -> Iterator[Leaf]:
    """Yield a record's values."""
    if isinstance(node, Mapping):
        for name, below in node.items():
            yield from leaves(below, (*steps, name))
    elif isinstance(node, list):
        for each in node:
            yield from leaves(each, steps)
    else:
        yield steps, node


def nested(steps: Sequence[str], matchers: list[Any]) -> Tree:
    """Make objects around a list."""
    for step in reversed(steps):
        matchers = [(step, matchers)]
    return matchers


def _moved_in(branches: Sequence[Tree]) -> Tree:
    """Put `$or` inside of a name that all branches begin with."""
    names = {branch[0][0] for branch in branches} if all(len(branch) == 1 for branch in branches) else set()
    inner = [branch[0][1] for branch in branches]
    if len(names) != 1 or "$or" in names or not all(below and isinstance(below[0], tuple) for below in inner):
        return [("$or", list(branches))]
    return [(names.pop(), _moved_in(inner))]


def written(tree: object) -> str:
    """Write a pattern."""
    if isinstance(tree, list) and tree and isinstance(tree[0], tuple):
        return "{" + ",".join(f"{json.dumps(name)}:{written(below)}" for name, below in tree) + "}"
    if isinstance(tree, list):
        return "[" + ",".join(map(written, tree)) + "]"
    return json.dumps(tree)


def check(java: Daemon, record: dict[str, Any], patterns: list[str]) -> str:
    """Compare Python, the daemon, and ruler on the whole record; return what they say."""
    criteria = json.dumps({"Filters": [{"Pattern": pattern} for pattern in patterns]})
    answer = java.ask(criteria=criteria, event=record, patterns=patterns)
    try:
        passes = FilterCriteria.parse(criteria).matches(record)
        expected: dict[str, object] = {"passes": passes, "ruler": passes}
    except ValueError as error:
        expected = {"refused": str(error)}
    assert answer == expected, (record, patterns)
    return str(expected.get("passes", "refused"))


@settings(max_examples=EXAMPLES)
@given(seed=st.integers(0, 2**64))
def test_filters_decide_alike(java: Daemon, seed: int) -> None:
    chance = Chance(seed)
    record = chance.record()
    found = list(leaves(record))
    for number in range(PATTERNS):
        chance.is_careless = number % 4 == 0
        event(check(java, record, [written(chance.pattern(found)) for _ in range(chance.randint(1, 2))]))


PATHS: Final = ("a", "b", "a.b", r"a\.b", "a[0]", "a[1].a", "a[0].b", "M.M", "S.L[0]", r"a\.", "a.M")


@settings(max_examples=EXAMPLES)
@given(seed=st.integers(0, 2**64))
def test_changes_are_told_alike(java: Daemon, seed: int) -> None:
    chance = Chance(seed)
    old = chance.image()
    new = {**old, **chance.image()} if chance.random() < 0.5 else chance.image()
    record = {"eventName": "MODIFY", "dynamodb": {"OldImage": old, "NewImage": new}}
    for path in PATHS:
        passes = ChangedAttributes.parse([path]).matches(record)
        assert java.ask(paths=[path], event=record) == {"passes": passes}, (record, path)


def test_a_value_is_not_asked_dns_for(class_path: str, tmp_path: Path) -> None:
    """Ruler alone takes what DNS says of a value that only looks like an address."""
    pattern = json.dumps({"dynamodb": {"NewImage": {"a": {"S": [{"cidr": "10.0.0.0/8"}]}}}})
    criteria = json.dumps({"Filters": [{"Pattern": pattern}]})
    record = {"dynamodb": {"NewImage": {"a": {"S": "256.1.1.1"}}}}
    with daemon(class_path, tmp_path, hosts="10.1.2.3 256.1.1.1\n") as java:
        answer = java.ask(criteria=criteria, event=record, patterns=[pattern])
    assert answer == {"passes": False, "ruler": True}
