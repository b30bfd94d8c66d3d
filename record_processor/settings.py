"""Every property: name, type, default and one line of help; and reading a .properties file by that schema.

The launcher calls `load` before it starts anything, and hands `Settings.values` to the daemon as they are.
What is generated from the schema comes from `record_processor.settings_reference`.
"""

from __future__ import annotations

import difflib
import ipaddress
import json
import os
import re
import shlex
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from record_processor import locations, paths, properties_file
from record_processor.errors import ConfigurationError
from record_processor.filters import FilterCriteria
from record_processor.kcl_names import reason_refused
from record_processor.properties_file import Entry

Setting: TypeAlias = "str | int | bool | tuple[str, ...]"
"""The type of a property's value."""

UNLIMITED: Final = -1
"""The value of maximumRetryAttempts and maximumRecordAgeInSeconds that sets no limit."""

_MAXIMUM: Final = 2**31 - 1
_DEFAULT_REGION: Final = "us-east-1"
_TABLE_NAME: Final = re.compile(r"[a-zA-Z0-9_.-]{3,255}")
_APPLICATION_NAME: Final = re.compile(r"[a-zA-Z0-9_.-]{3,200}")
_REGION: Final = re.compile(r"[a-z]{2,}(-[a-z]+)+-[0-9]+")
_STREAM_ARN: Final = re.compile(
    r"arn:aws[a-z-]*:dynamodb:(?P<region>[a-z0-9-]+):[0-9]{12}:table/[a-zA-Z0-9_.-]{3,255}/stream/[0-9T:.-]+"
)
_PROCESSOR: Final = re.compile(r"\w+(\.\w+)*:[^\W\d]\w*(\.[^\W\d]\w*)*")
_CREDENTIALS_PROVIDER: Final = re.compile(r"awsCredentialsProvider(DynamoDB|CloudWatch)?", re.IGNORECASE)
_ACCESS_KEY: Final = re.compile(r"access.?key|secret|session.?token|password", re.IGNORECASE)
_SECRET: Final = re.compile(r"key|secret|token|password|credential|endpoint|executable", re.IGNORECASE)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Property:
    """One property of the schema."""

    name: str
    topic: str
    type: str
    """The type's name, for people."""
    parse: Callable[[str], Setting]
    """Turns text into the value; raises ValueError whose message completes "<name> must be …"."""
    default: Setting | None
    """None: unset unless given."""
    help: str
    is_kcl: bool = False
    """Whether KCL's MultiLangDaemon knows it, too."""
    is_json: bool = False
    """Whether the value is JSON: as it stands in the file, or in a file beside it that `@` names."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a properties file says, checked and with the defaults filled in."""

    path: Path
    """The file, as it was named."""
    values: Mapping[str, Setting]
    """Each property that has a value, as the daemon gets it. `regionName` always has one."""

    def __getitem__(self, name: str) -> Setting | None:
        """Return a property's value, None if it has none. Raises KeyError if there is no such property."""
        if name not in _BY_NAME:
            raise KeyError(name)
        return self.values.get(name)


# --- Types of values ---


def _text(text: str) -> str:
    return text


def _integer(minimum: int = 0, maximum: int = _MAXIMUM) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if re.fullmatch(r"[0-9]{1,10}", text) and minimum <= int(text) <= maximum:
            return int(text)
        limits = f"of {minimum} or more" if maximum == _MAXIMUM else f"from {minimum} to {maximum}"
        raise ValueError(f"a whole number {limits}")

    return parse


def _integer_or_unlimited(minimum: int, maximum: int) -> Callable[[str], int]:
    parse_limit = _integer(minimum, maximum)

    def parse(text: str) -> int:
        if text == "-1":
            return UNLIMITED
        try:
            return parse_limit(text)
        except ValueError as must_be:
            raise ValueError(f"{must_be}, or -1 for no limit") from None

    return parse


def _boolean(text: str) -> bool:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    raise ValueError("true or false")


def _choice(*allowed: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        for word in allowed:
            if text.lower() == word.lower():
                return word
        raise ValueError(" or ".join((", ".join(allowed[:-1]), allowed[-1])))

    return parse


def _matching(pattern: re.Pattern[str], what: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if pattern.fullmatch(text):
            return text
        raise ValueError(what)

    return parse


def _list_of(parse_one: Callable[[str], str]) -> Callable[[str], tuple[str, ...]]:
    def parse(text: str) -> tuple[str, ...]:
        values = tuple(parse_one(part.strip()) for part in text.split(","))
        if len(set(values)) < len(values):
            raise ValueError("a list that names nothing twice")
        return values

    return parse


def _command_line(text: str) -> str:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ValueError(f"a command line ({error})") from None
    if not words:
        raise ValueError("a command line")
    return text


def _endpoint(text: str) -> str:
    """Accept https, and http to this host: items and signatures must not cross a network in the clear."""
    what = "a URL without user, path or query: https://…, or http://localhost:<port>"
    try:
        url = urlsplit(text)
        is_bare = url.username is None and url.path in ("", "/") and not url.query and not url.fragment
        url.port  # noqa: B018  # raises ValueError when it is not a port
    except ValueError:
        raise ValueError(what) from None
    is_safe = url.scheme == "https" or (url.scheme == "http" and _is_loopback(url.hostname or ""))
    if not (url.hostname and is_bare and is_safe):
        raise ValueError(what)
    return text.rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _location(*schemes: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        locations.parse(text, schemes)
        return text

    return parse


def _filter_criteria(text: str) -> str:
    try:
        FilterCriteria.parse(text)
    except ValueError as reason:
        raise ConfigurationError(f"filterCriteria: {reason}") from None
    return text


def _path(text: str) -> str:
    try:
        paths.parse(text)
    except ValueError:
        raise ValueError("a list of attributes' paths, such as status, address.city") from None
    return text


_TABLE = _matching(_TABLE_NAME, "a table name: 3 to 255 of the characters a-z A-Z 0-9 _ . -")
_ARN = _matching(
    _STREAM_ARN,
    "a stream's ARN: arn:aws:dynamodb:<region>:<account>:table/<table>/stream/<label>, from LatestStreamArn",
)

# --- The schema ---

_RUN, _READ, _STORE = "What to run", "What to read", "Application and leases"
_HAND_OUT, _CHECKPOINT, _FAIL = "Handing out", "Checkpoints and shutdown", "Failures"
_REPEAT, _TUNE, _METRICS = "Repeats", "Reading", "CloudWatch metrics"

SCHEMA: Final[tuple[Property, ...]] = (
    Property(
        "processor",
        _RUN,
        "module:Class",
        _matching(_PROCESSOR, "module:Class, such as myapp.orders:Orders"),
        None,
        "Your subclass of RecordProcessor, found in the current folder, this file's folder or PYTHONPATH.",
    ),
    Property(
        "executableName",
        _RUN,
        "command line",
        _command_line,
        None,
        "Instead of processor: any program that speaks the MultiLang protocol, started once for each shard.",
        is_kcl=True,
    ),
    Property(
        "workerStartMethod",
        _RUN,
        "fork or spawn",
        _choice("fork", "spawn"),
        None,
        "fork: workers are forked from a process that has imported your code; spawn: each is a new Python. "
        "Unset: fork, on Linux, if your code can be forked.",
    ),
    Property(
        "workerTransport",
        _RUN,
        "socket or stdio",
        _choice("socket", "stdio"),
        "socket",
        "What carries records to a worker: a Unix socket, or, slower, the stock wire of executableName.",
    ),
    Property(
        "sourceTable",
        _READ,
        "list of table names",
        _list_of(_TABLE),
        None,
        "The tables to follow, comma-separated; their streams are found, also after a table was recreated.",
    ),
    Property(
        "streamArn",
        _READ,
        "list of ARNs",
        _list_of(_ARN),
        None,
        "Instead of sourceTable: the streams to read, comma-separated.",
        is_kcl=True,
    ),
    Property(
        "regionName",
        _READ,
        "region",
        _matching(_REGION, "an AWS region, such as eu-west-1"),
        None,
        "The region; else that of streamArn, AWS_REGION or AWS_DEFAULT_REGION.",
        is_kcl=True,
    ),
    Property(
        "dynamoDBEndpoint",
        _READ,
        "URL",
        _endpoint,
        None,
        "Where DynamoDB is, for stream, table and leases: https, or http on this host (DynamoDB Local).",
        is_kcl=True,
    ),
    Property(
        "initialPositionInStream",
        _READ,
        "TRIM_HORIZON or LATEST",
        _choice("TRIM_HORIZON", "LATEST"),
        "TRIM_HORIZON",
        "Where the application's very first start begins: the oldest record (up to 24 hours back), or now. "
        "Later starts go on from there, also before the first checkpoint.",
        is_kcl=True,
    ),
    Property(
        "onTrimmedData",
        _READ,
        "fail or skip",
        _choice("fail", "skip"),
        "fail",
        "What to do when DynamoDB has deleted records, after 24 hours, that were not read yet: fail = stop "
        "the shard, skip = go on behind the gap, with a warning.",
    ),
    Property(
        "numbers",
        _READ,
        "int or decimal",
        _choice("int", "decimal"),
        "int",
        "What whole numbers are in your code: int, or Decimal as in boto3. Others are always Decimal.",
    ),
    Property(
        "filterCriteria",
        _READ,
        "JSON",
        _filter_criteria,
        None,
        "Only records that match one of these filters are handled: Lambda's FilterCriteria, as JSON or as "
        "@<file>, which is beside this one. See docs/filtering.md.",
        is_json=True,
    ),
    Property(
        "changedAttributes",
        _READ,
        "list of paths",
        _list_of(_path),
        None,
        "Of modifications, only those of one of these are handled: status, address.city, lines[0].price.",
    ),
    Property(
        "streamCheckIntervalMillis",
        _READ,
        "milliseconds",
        _integer(1000),
        10_000,
        "How often sourceTable is asked for its current stream.",
    ),
    Property(
        "applicationName",
        _STORE,
        "name",
        _matching(
            _APPLICATION_NAME, "a name for DynamoDB tables: 3 to 200 of the characters a-z A-Z 0-9 _ . -"
        ),
        None,
        "Required. Hosts with the same name share the shards; it names the lease table.",
        is_kcl=True,
    ),
    Property(
        "workerId",
        _STORE,
        "name",
        _text,
        None,
        "This process among the application's: unique, the same after a restart. Else <host>-<number>.",
        is_kcl=True,
    ),
    Property(
        "tableName",
        _STORE,
        "table name",
        _TABLE,
        None,
        "The lease table's name, if not applicationName. (The table to follow is sourceTable.)",
        is_kcl=True,
    ),
    Property(
        "coordinatorStateTableName",
        _STORE,
        "table name",
        _TABLE,
        None,
        "The name of the table for the application's own state, if not <applicationName>-CoordinatorState.",
        is_kcl=True,
    ),
    Property(
        "failoverTimeMillis",
        _STORE,
        "milliseconds",
        _integer(1000),
        10_000,
        "A worker that did not renew a lease for this long has lost it.",
        is_kcl=True,
    ),
    Property(
        "maxLeasesForWorker",
        _STORE,
        "integer",
        _integer(1),
        None,
        "At most so many shards on this host.",
        is_kcl=True,
    ),
    Property(
        "maxLeasesToStealAtOneTime",
        _STORE,
        "integer",
        _integer(1),
        None,
        "At most so many leases are taken from a busier host at once.",
        is_kcl=True,
    ),
    Property(
        "maxLeaseRenewalThreads",
        _STORE,
        "integer",
        _integer(1),
        None,
        "Threads that renew leases.",
        is_kcl=True,
    ),
    Property(
        "cleanupLeasesUponShardCompletion",
        _STORE,
        "boolean",
        _boolean,
        None,
        "Whether the lease of a finished shard is deleted once its children are being read.",
        is_kcl=True,
    ),
    Property(
        "billingMode",
        _STORE,
        "PAY_PER_REQUEST or PROVISIONED",
        _choice("PAY_PER_REQUEST", "PROVISIONED"),
        None,
        "The lease table's billing mode, when it is created.",
    ),
    Property(
        "initialLeaseTableReadCapacity",
        _STORE,
        "integer",
        _integer(1),
        None,
        "The lease table's read capacity, when it is created PROVISIONED.",
        is_kcl=True,
    ),
    Property(
        "initialLeaseTableWriteCapacity",
        _STORE,
        "integer",
        _integer(1),
        None,
        "The lease table's write capacity, when it is created PROVISIONED.",
        is_kcl=True,
    ),
    Property(
        "leaseTableDeletionProtectionEnabled",
        _STORE,
        "boolean",
        _boolean,
        None,
        "Whether the lease table is created with deletion protection.",
        is_kcl=True,
    ),
    Property(
        "leaseTablePitrEnabled",
        _STORE,
        "boolean",
        _boolean,
        None,
        "Whether the lease table is created with point-in-time recovery.",
        is_kcl=True,
    ),
    Property(
        "schedulerInitializationBackoffTimeMillis",
        _STORE,
        "milliseconds",
        _integer(0),
        None,
        "The pause before a failed initialization of KCL's scheduler is repeated.",
        is_kcl=True,
    ),
    Property(
        "batchSize",
        _HAND_OUT,
        "integer",
        _integer(1, 10_000),
        100,
        "At most so many records are given to process_batch at once. Other handlers get one each.",
    ),
    Property(
        "maximumBatchingWindowInSeconds",
        _HAND_OUT,
        "seconds",
        _integer(0, 300),
        0,
        "So long it is waited for batchSize records; 0: what is there is handed out at once.",
    ),
    Property(
        "parallelizationFactor",
        _HAND_OUT,
        "integer",
        _integer(1, 1000),
        1,
        "So many handler calls run at once for each shard, never two for one key.",
    ),
    Property(
        "checkpointIntervalMillis",
        _CHECKPOINT,
        "milliseconds",
        _integer(0),
        5000,
        "A shard is checkpointed at most this often; 0: after every batch. A crash repeats so much.",
    ),
    Property(
        "shutdownGraceMillis",
        _CHECKPOINT,
        "milliseconds",
        _integer(1000),
        20_000,
        "How long a drain waits for handlers to return and for the last checkpoints.",
        is_kcl=True,
    ),
    Property(
        "timeoutInSeconds",
        _FAIL,
        "seconds",
        _integer(1),
        None,
        "A handler call that takes longer is cancelled if it is async, else its worker is replaced. With "
        "executableName, a batch. Unset: no limit.",
        is_kcl=True,
    ),
    Property(
        "retryBackoffMillis",
        _FAIL,
        "milliseconds",
        _integer(1),
        100,
        "The pause before a record whose handler raised is handed out again.",
    ),
    Property(
        "maximumRetryBackoffMillis",
        _FAIL,
        "milliseconds",
        _integer(1),
        30_000,
        "That pause doubles with every attempt, up to this; it is varied at random.",
    ),
    Property(
        "maximumRetryAttempts",
        _FAIL,
        "integer or -1",
        _integer_or_unlimited(0, 10_000),
        UNLIMITED,
        "After so many retries a record goes to onFailureDestination; -1: it is tried until it is handled.",
    ),
    Property(
        "maximumRecordAgeInSeconds",
        _FAIL,
        "seconds or -1",
        _integer_or_unlimited(60, 604_800),
        UNLIMITED,
        "A record that is older goes to onFailureDestination, tried or not; -1: at any age it is tried.",
    ),
    Property(
        "bisectBatchOnFunctionError",
        _FAIL,
        "boolean",
        _boolean,
        False,
        "Whether a batch that failed is split in two, again and again, until the bad record is alone.",
    ),
    Property(
        "onFailureDestination",
        _FAIL,
        "URL or discard",
        _location("sqs", "sns", "s3", "file", "dynamodb", "discard"),
        None,
        "Where records go that are given up, whole: sqs://<queue>, sns://<ARN>, s3://<bucket>/<prefix>, "
        "file:///<folder>, dynamodb://<table>; or discard.",
    ),
    Property(
        "onFailureOverflow",
        _FAIL,
        "URL",
        _location("s3"),
        None,
        "Where a record goes that is too large for a queue, topic or table: s3://<bucket>/<prefix>.",
    ),
    Property(
        "idempotency",
        _REPEAT,
        "URL or memory",
        _location("dynamodb", "sqlite", "memory"),
        None,
        "Where it is remembered what was handled, so that a repeat is not handled again: dynamodb://<table>, "
        "sqlite:///<file>, or memory.",
    ),
    Property(
        "idempotencyKey",
        _REPEAT,
        "list of paths",
        _list_of(_path),
        None,
        "The item's attributes by which a repeat is recognized, such as orderId; unset: the event id.",
    ),
    Property(
        "idempotencyLockSeconds",
        _REPEAT,
        "seconds",
        _integer(1, 86_400),
        60,
        "So long nobody else handles what a crashed host has begun. Longer than a handler ever takes.",
    ),
    Property(
        "idempotencyTtlSeconds",
        _REPEAT,
        "seconds",
        _integer(60),
        172_800,
        "So long a repeat is recognized. The stream keeps a record for 86400 seconds.",
    ),
    Property(
        "taskBackoffTimeMillis",
        _FAIL,
        "milliseconds",
        _integer(0),
        None,
        "The pause before KCL repeats a task of its own that failed.",
        is_kcl=True,
    ),
    Property(
        "logWarningForTaskAfterMillis",
        _FAIL,
        "milliseconds",
        _integer(1),
        None,
        "KCL warns of a task that takes longer.",
        is_kcl=True,
    ),
    Property(
        "maxRecords",
        _TUNE,
        "integer",
        _integer(1, 1000),
        1000,
        "At most so many records are read at once; DynamoDB Streams allows 1000.",
        is_kcl=True,
    ),
    Property(
        "minimumPollIntervalMillis",
        _TUNE,
        "milliseconds",
        _integer(10),
        250,
        "How often a shard is read while it has few records; one that has many is read without a pause.",
    ),
    Property(
        "maximumPollIntervalMillis",
        _TUNE,
        "milliseconds",
        _integer(10),
        7000,
        "How seldom an idle shard is read: in between, the pause is an eightieth of the time since its last "
        "record.",
    ),
    Property(
        "idleTimeBetweenReadsInMillis",
        _TUNE,
        "milliseconds",
        _integer(10),
        None,
        "Instead of these two: one pause between two reads of a shard that has no more records for now.",
        is_kcl=True,
    ),
    Property(
        "maximumUnacknowledgedBytesPerShard",
        _TUNE,
        "bytes",
        _integer(1),
        4 * 1024 * 1024,
        "No more of a shard is read while so much of it is not handled yet; one batch always may be.",
    ),
    Property(
        "maximumUnacknowledgedRecordsPerShard",
        _TUNE,
        "integer",
        _integer(1),
        20_000,
        "The same in records. It bounds how far other keys run ahead of a record that fails.",
    ),
    Property(
        "maximumUnacknowledgedBytes",
        _TUNE,
        "bytes",
        _integer(1),
        64 * 1024 * 1024,
        "The same for all shards of this host together.",
    ),
    Property(
        "parentShardPollIntervalMillis",
        _TUNE,
        "milliseconds",
        _integer(1),
        1000,
        "How often a shard looks whether its parent is finished.",
        is_kcl=True,
    ),
    Property(
        "metricsLevel",
        _METRICS,
        "NONE, SUMMARY or DETAILED",
        _choice("NONE", "SUMMARY", "DETAILED"),
        "NONE",
        "What KCL reports to CloudWatch, which costs money for each shard.",
        is_kcl=True,
    ),
    Property(
        "metricsBufferTimeMillis",
        _METRICS,
        "milliseconds",
        _integer(1),
        None,
        "Metrics are sent at least this often.",
        is_kcl=True,
    ),
    Property(
        "metricsMaxQueueSize",
        _METRICS,
        "integer",
        _integer(1),
        None,
        "At most so many metrics wait.",
        is_kcl=True,
    ),
    Property(
        "metricsEnabledDimensions",
        _METRICS,
        "list of names",
        _list_of(
            _matching(re.compile(r"\w+"), "a comma-separated list of dimensions, such as Operation, ShardId")
        ),
        None,
        "The dimensions that metrics have.",
        is_kcl=True,
    ),
)
"""Every property that has an effect, in the order of the reference."""

IGNORED: Final[dict[str, str]] = {
    "processingLanguage": "stock files have it, and it only changes the user agent.",
    "awsCredentialsProvider": "stock files have it; only DefaultCredentialsProvider is allowed.",
    "awsCredentialsProviderDynamoDB": "as awsCredentialsProvider.",
    "awsCredentialsProviderCloudWatch": "as awsCredentialsProvider.",
}
"""Names that are accepted without effect."""

_DEFAULT_CHAINS: Final = ("DefaultCredentialsProvider", "DefaultAWSCredentialsProviderChain")
_BY_NAME: Final = {property_.name: property_ for property_ in SCHEMA}
DEFAULTS: Final[dict[str, Setting]] = {
    known.name: known.default for known in SCHEMA if known.default is not None
}
"""The value of each property that has one although the file does not say."""

# --- Reading a file ---


def load(path: Path | str, environ: Mapping[str, str] = os.environ) -> Settings:
    """Read, check and complete a properties file.

    Raises ConfigurationError: one line that says where and what is wrong and how to mend it. It quotes no
    value that may be a secret.
    """
    where = Path(path)
    values: dict[str, Setting] = {}
    lines: dict[str, int] = {}
    for entry in properties_file.parse(_read(where)):
        try:
            _check_name(entry.name, lines)
            lines[entry.name] = entry.line
            if entry.name in _BY_NAME:
                values[entry.name] = _parse(_BY_NAME[entry.name], _text_of(entry, where))
            else:
                _check_ignored(entry.name, entry.value)
        except ConfigurationError as error:  # noqa: PERF203  # it names the line
            raise ConfigurationError(f"{where}:{entry.line}: {error}") from None
    try:
        _check_together(values)
        values["regionName"] = _region(values, environ)
    except ConfigurationError as error:
        raise ConfigurationError(f"{where}: {error}") from None
    return Settings(where, MappingProxyType(DEFAULTS | values))


def check(properties: Mapping[str, str], environ: Mapping[str, str] = os.environ) -> Settings:
    """Check and complete properties as `load` does, without a file; each value is what one would hold.

    JSON stands as it is, not in a file beside it. Raises ConfigurationError.
    """
    values: dict[str, Setting] = {}
    for name, text in properties.items():
        _check_name(name, {})
        if name in _BY_NAME:
            values[name] = _parse(_BY_NAME[name], text)
        else:
            _check_ignored(name, text)
    _check_together(values)
    values["regionName"] = _region(values, environ)
    return Settings(Path(), MappingProxyType(DEFAULTS | values))


def _text_of(entry: Entry, where: Path) -> str:
    if not _BY_NAME[entry.name].is_json:
        return entry.value
    if entry.value.startswith("@"):
        return _read(where.parent / entry.value[1:])
    return entry.verbatim if _is_json(entry.verbatim) else entry.value


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if mode & (stat.S_IWGRP | stat.S_IWOTH) and stat.S_ISREG(mode):
                raise ConfigurationError(
                    f"{path}: others may write this file, and it decides what is run: "
                    f"chmod go-w {shlex.quote(str(path))}"
                )
            return file.read().decode("utf-8-sig")
    except IsADirectoryError:
        raise ConfigurationError(f"{path}: this is a folder; name a .properties file in it") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(f"{path}:{line}: this is not UTF-8; save the file as UTF-8") from None
    except FileNotFoundError:
        raise ConfigurationError(f"{path}: there is no such file") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigurationError(f"{path}: the file cannot be read: {reason}") from None


def _check_name(name: str, lines: Mapping[str, int]) -> None:
    if name in lines:
        raise ConfigurationError(f"{name} is already on line {lines[name]}; remove one of the two")
    if name in _BY_NAME or name == "processingLanguage" or _CREDENTIALS_PROVIDER.fullmatch(name):
        return
    if reason := reason_refused(name):
        raise ConfigurationError(f"{_printable(name)} of KCL is not supported: {reason}")
    if _ACCESS_KEY.search(name):
        raise ConfigurationError(
            f"{_printable(name)}: keys and secrets do not belong in this file; remove it, use an instance "
            "role, environment variables or ~/.aws"
        )
    raise ConfigurationError(f"unknown property {_printable(name)}{_hint(name)}")


def _hint(name: str) -> str:
    known = {known.lower(): known for known in (*_BY_NAME, *IGNORED)}
    nearest = difflib.get_close_matches(name.lower(), known, n=1)
    return f"; did you mean {known[nearest[0]]}?" if nearest else "; docs/properties.md lists all"


def _parse(property_: Property, text: str) -> Setting:
    name = property_.name
    if not text:
        raise ConfigurationError(f"{name} has no value; write one, or remove the line")
    if _CONTROL.search(text) and not property_.is_json:
        raise ConfigurationError(f"the value of {name} contains a control character; remove it")
    try:
        return property_.parse(text)
    except ValueError as must_be:
        given = "" if _SECRET.search(name) else f", not {_printable(text)}"
        raise ConfigurationError(f"{name} must be {must_be}{given}") from None


def _check_ignored(name: str, text: str) -> None:
    if name == "processingLanguage":
        return
    if text.rpartition(".")[2] not in _DEFAULT_CHAINS:
        raise ConfigurationError(
            f"{name} can only be DefaultCredentialsProvider, the AWS SDK's default chain; remove the line"
        )


def _check_together(values: Mapping[str, Setting]) -> None:
    _check_one_of(values, "processor", "executableName", "processor = module:Class")
    _check_one_of(values, "sourceTable", "streamArn", "sourceTable = <table>")
    if "applicationName" not in values:
        raise ConfigurationError("applicationName is missing; add applicationName = <name of your choice>")
    _check_for_programs(values)
    _check_polling(values)
    _check_retries(values)
    _check_on_failure(values)
    _check_idempotency(values)


def _check_polling(values: Mapping[str, Setting]) -> None:
    names = ("minimumPollIntervalMillis", "maximumPollIntervalMillis")
    for name in names:
        if name in values and "idleTimeBetweenReadsInMillis" in values:
            raise ConfigurationError(
                f"{name} has no effect with idleTimeBetweenReadsInMillis; remove one of the two"
            )
    least, most = (_value(values, name) for name in names)
    if isinstance(least, int) and isinstance(most, int) and least > most:
        raise ConfigurationError(
            f"minimumPollIntervalMillis, {least}, exceeds maximumPollIntervalMillis, {most}; "
            "lower the one or raise the other"
        )


def _check_retries(values: Mapping[str, Setting]) -> None:
    first, maximum = (_value(values, name) for name in ("retryBackoffMillis", "maximumRetryBackoffMillis"))
    if isinstance(first, int) and isinstance(maximum, int) and first > maximum:
        raise ConfigurationError(
            f"retryBackoffMillis, {first}, exceeds maximumRetryBackoffMillis, {maximum}; "
            "lower the one or raise the other"
        )

    batch, kept = (_value(values, name) for name in ("batchSize", "maximumUnacknowledgedRecordsPerShard"))
    if isinstance(batch, int) and isinstance(kept, int) and 2 * batch > kept:
        raise ConfigurationError(
            f"batchSize, {batch}, is more than half of maximumUnacknowledgedRecordsPerShard, {kept}: none "
            "could fill up while another is handled; lower the one or raise the other"
        )


def _check_on_failure(values: Mapping[str, Setting]) -> None:
    destination, overflow = (
        str(values.get(name, "")) for name in ("onFailureDestination", "onFailureOverflow")
    )
    for name in ("maximumRetryAttempts", "maximumRecordAgeInSeconds"):
        if values.get(name, UNLIMITED) != UNLIMITED and not destination:
            raise ConfigurationError(
                f"{name} gives records up, and nothing says where they go; add onFailureDestination = <URL>, "
                "or discard"
            )
    scheme = destination.partition(":")[0]
    if scheme in ("sqs", "sns", "dynamodb") and not overflow:
        raise ConfigurationError(
            f"onFailureDestination = {scheme}://… does not take every record: some are too large; "
            "add onFailureOverflow = s3://<bucket>/<prefix> for those"
        )
    if overflow and scheme not in ("sqs", "sns", "dynamodb"):
        raise ConfigurationError(
            "onFailureOverflow is only for onFailureDestination = sqs://…, sns://… or dynamodb://…; remove it"
        )


def _check_idempotency(values: Mapping[str, Setting]) -> None:
    for name in ("idempotencyKey", "idempotencyLockSeconds", "idempotencyTtlSeconds"):
        if values.get(name, _BY_NAME[name].default) != _BY_NAME[name].default and "idempotency" not in values:
            raise ConfigurationError(f"{name} has no effect without idempotency; add it, or remove {name}")


_ONLY_FOR_PROCESSORS: Final = (
    "batchSize",
    "maximumBatchingWindowInSeconds",
    "parallelizationFactor",
    "maximumRetryAttempts",
    "maximumRecordAgeInSeconds",
    "bisectBatchOnFunctionError",
    "onFailureDestination",
    "onFailureOverflow",
    "idempotency",
)


def _check_for_programs(values: Mapping[str, Setting]) -> None:
    for name in _ONLY_FOR_PROCESSORS:
        if name in values and "executableName" in values:
            raise ConfigurationError(
                f"{name} has no effect with executableName, whose program decides itself; remove it"
            )


def _check_one_of(values: Mapping[str, Setting], one: str, other: str, example: str) -> None:
    if one in values and other in values:
        raise ConfigurationError(f"both {one} and {other} are given; remove one of the two")
    if one not in values and other not in values:
        raise ConfigurationError(f"neither {one} nor {other} is given; add {example}")


def _value(values: Mapping[str, Setting], name: str) -> Setting | None:
    return values.get(name, _BY_NAME[name].default)


def _region(values: Mapping[str, Setting], environ: Mapping[str, str]) -> str:
    """Find the region: as given, else the streams', else the environment's, else any for an endpoint."""
    given = values.get("regionName")
    of_streams = sorted(_regions_of_streams(values))
    if len(of_streams) > 1:
        raise ConfigurationError(
            f"the streams are in several regions, {' and '.join(of_streams)}: run one for each"
        )
    if given and of_streams and given != of_streams[0]:
        raise ConfigurationError(
            f"streamArn is in {of_streams[0]}, regionName says {given}; remove regionName"
        )
    from_environment = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION")
    region = given or (of_streams[0] if of_streams else from_environment)
    if not region and "dynamoDBEndpoint" in values:
        region = _DEFAULT_REGION
    if not region:
        raise ConfigurationError("no region is given; add regionName = <region>, or set AWS_REGION")
    if not _REGION.fullmatch(str(region)):
        raise ConfigurationError(
            "AWS_REGION does not hold an AWS region, such as eu-west-1; set it, or regionName"
        )
    return str(region)


def _regions_of_streams(values: Mapping[str, Setting]) -> Iterator[str]:
    """Yield the regions of the ARNs once each, without DynamoDB Local's own, `ddblocal`, which is none."""
    arns = values.get("streamArn", ())
    matches = (_STREAM_ARN.fullmatch(arn) for arn in arns) if isinstance(arns, tuple) else ()
    yield from {match["region"] for match in matches if match} - {"ddblocal"}


def _printable(text: str) -> str:
    shown = "".join(character if character.isprintable() else "?" for character in text)
    return shown if len(shown) <= 100 else f"{shown[:100]}…"
