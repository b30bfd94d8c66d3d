"""Settings: what a good file gives, and that every mistake is one line: where, what, how to mend it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from record_processor import ConfigurationError, settings, settings_reference
from record_processor.kcl_names import REFUSED, REFUSED_BEANS

ROOT = Path(__file__).parents[2]
GOOD = {"processor": "app:P", "sourceTable": "orders", "applicationName": "app", "regionName": "eu-west-1"}
ARN = "arn:aws:dynamodb:eu-west-1:123456789012:table/orders/stream/2024-01-01T00:00:00.000"
LOCAL_ARN = ARN.replace("eu-west-1", "ddblocal").replace("123456789012", "000000000000")


def _load(folder: Path, text: str, **environ: str) -> settings.Settings:
    path = folder / "x.properties"
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    return settings.load(path, environ)


def _text(changes: Mapping[str, str | None]) -> str:
    lines = {**GOOD, **changes}
    return "".join(f"{name} = {value}\n" for name, value in lines.items() if value is not None)


def _message(folder: Path, text: str, **environ: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        _load(folder, text, **environ)
    message = str(caught.value)
    assert "\n" not in message
    return message.replace(f"{folder}/", "")


def test_the_smallest_file(tmp_path: Path) -> None:
    """Three properties and a region suffice; the rest has defaults."""
    loaded = _load(tmp_path, _text({}))
    assert loaded.path == tmp_path / "x.properties"
    assert loaded["sourceTable"] == ("orders",)
    assert loaded["checkpointIntervalMillis"] == 5000
    assert loaded["streamArn"] is None
    assert "streamArn" not in loaded.values
    with pytest.raises(KeyError):
        loaded["noSuchName"]


def test_every_type(tmp_path: Path) -> None:
    """Values arrive typed, and as JSON can carry them."""
    loaded = _load(
        tmp_path,
        _text(
            {
                "sourceTable": "orders, customers",
                "maxRecords": "10",
                "leaseTablePitrEnabled": "TRUE",
                "metricsLevel": "summary",
                "metricsEnabledDimensions": "Operation,ShardId",
                "dynamoDBEndpoint": "http://localhost:8000/",
            }
        ),
    )
    values = json.loads(json.dumps(dict(loaded.values)))
    assert values["sourceTable"] == ["orders", "customers"]
    assert (values["maxRecords"], values["leaseTablePitrEnabled"], values["metricsLevel"]) == (
        10,
        True,
        "SUMMARY",
    )
    assert values["metricsEnabledDimensions"] == ["Operation", "ShardId"]
    assert values["dynamoDBEndpoint"] == "http://localhost:8000"


def test_defaults_are_values_that_could_be_given(tmp_path: Path) -> None:
    """Every default passes its own check."""
    for known in settings.SCHEMA:
        if known.default is not None:
            assert known.parse(str(known.default)) == known.default, known.name


def test_a_stock_files_lines_are_accepted(tmp_path: Path) -> None:
    """What every stock file has does no harm, whatever the case of its name."""
    loaded = _load(
        tmp_path,
        _text({"processingLanguage": "python/3.8", "AwsCredentialsProvider": "DefaultCredentialsProvider"}),
    )
    assert "processingLanguage" not in loaded.values


@pytest.mark.parametrize(
    ("changes", "environ", "region"),
    [
        ({}, {"AWS_REGION": "us-west-2"}, "eu-west-1"),
        ({"regionName": None}, {"AWS_REGION": "us-west-2", "AWS_DEFAULT_REGION": "us-east-2"}, "us-west-2"),
        ({"regionName": None}, {"AWS_DEFAULT_REGION": "us-east-2"}, "us-east-2"),
        ({"regionName": None, "dynamoDBEndpoint": "http://127.0.0.1:8000"}, {}, "us-east-1"),
        (
            {"regionName": None, "sourceTable": None, "streamArn": ARN},
            {"AWS_REGION": "us-west-2"},
            "eu-west-1",
        ),
        ({"sourceTable": None, "streamArn": ARN}, {}, "eu-west-1"),
        ({"sourceTable": None, "streamArn": LOCAL_ARN}, {}, "eu-west-1"),
        ({"regionName": "us-gov-west-1"}, {}, "us-gov-west-1"),
    ],
)
def test_region(tmp_path: Path, changes: dict[str, str | None], environ: dict[str, str], region: str) -> None:
    """The region is as given, else the stream's, else the environment's, else any for an endpoint."""
    assert _load(tmp_path, _text(changes), **environ)["regionName"] == region


MISTAKES: list[tuple[dict[str, str | None], str]] = [
    ({"maxRecrods": "77"}, "x.properties:5: unknown property maxRecrods; did you mean maxRecords?"),
    ({"qqq": "1"}, "x.properties:5: unknown property qqq; docs/properties.md lists all"),
    ({"maxRecords": "1001"}, "x.properties:5: maxRecords must be a whole number from 1 to 1000, not 1001"),
    ({"maxRecords": "fast"}, "x.properties:5: maxRecords must be a whole number from 1 to 1000, not fast"),
    ({"maxRecords": "٣"}, "x.properties:5: maxRecords must be a whole number from 1 to 1000, not ٣"),
    (
        {"shutdownGraceMillis": "0"},
        "x.properties:5: shutdownGraceMillis must be a whole number of 1000 or more, not 0",
    ),
    (
        {"timeoutInSeconds": "-1"},
        "x.properties:5: timeoutInSeconds must be a whole number of 1 or more, not -1",
    ),
    (
        {"leaseTablePitrEnabled": "yes"},
        "x.properties:5: leaseTablePitrEnabled must be true or false, not yes",
    ),
    ({"metricsLevel": "ALL"}, "x.properties:5: metricsLevel must be NONE, SUMMARY or DETAILED, not ALL"),
    (
        {"initialPositionInStream": "AT_TIMESTAMP"},
        "x.properties:5: initialPositionInStream must be TRIM_HORIZON or LATEST, not AT_TIMESTAMP",
    ),
    ({"workerId": ""}, "x.properties:5: workerId has no value; write one, or remove the line"),
    ({"workerId": r"a\nb"}, "x.properties:5: the value of workerId contains a control character; remove it"),
    (
        {"processor": "orders"},
        "x.properties:1: processor must be module:Class, such as myapp.orders:Orders, not orders",
    ),
    (
        {"sourceTable": "orders,orders"},
        "x.properties:2: sourceTable must be a list that names nothing twice, not orders,orders",
    ),
    (
        {"sourceTable": "a b"},
        (
            "x.properties:2: sourceTable must be a table name: 3 to 255 of the characters a-z A-Z 0-9 _ . -, "
            "not a b"
        ),
    ),
    (
        {"applicationName": "my app"},
        (
            "x.properties:3: applicationName must be a name for DynamoDB tables: 3 to 200 of the characters "
            "a-z A-Z 0-9 _ . -, not my app"
        ),
    ),
    (
        {"applicationName": None},
        "x.properties: applicationName is missing; add applicationName = <name of your choice>",
    ),
    (
        {"executableName": "app.py"},
        "x.properties: both processor and executableName are given; remove one of the two",
    ),
    (
        {"processor": None},
        "x.properties: neither processor nor executableName is given; add processor = module:Class",
    ),
    ({"streamArn": ARN}, "x.properties: both sourceTable and streamArn are given; remove one of the two"),
    (
        {"sourceTable": None},
        "x.properties: neither sourceTable nor streamArn is given; add sourceTable = <table>",
    ),
    (
        {"regionName": None},
        "x.properties: no region is given; add regionName = <region>, or set AWS_REGION",
    ),
    (
        {"sourceTable": None, "streamArn": ARN, "regionName": "us-east-1"},
        "x.properties: streamArn is in eu-west-1, regionName says us-east-1; remove regionName",
    ),
    (
        {"sourceTable": None, "streamArn": f"{ARN},{ARN.replace('eu-west-1', 'us-east-1')}"},
        "x.properties: the streams are in several regions, eu-west-1 and us-east-1: run one for each",
    ),
    (
        {"retryBackoffMillis": "5000", "maximumRetryBackoffMillis": "100"},
        (
            "x.properties: retryBackoffMillis, 5000, exceeds maximumRetryBackoffMillis, 100; lower the one "
            "or raise the other"
        ),
    ),
    (
        {"awsCredentialsProvider": "InstanceProfileCredentialsProvider"},
        (
            "x.properties:5: awsCredentialsProvider can only be DefaultCredentialsProvider, the AWS SDK's "
            "default chain; remove the line"
        ),
    ),
    (
        {"streamName": "orders"},
        (
            "x.properties:5: streamName of KCL is not supported: that is a Kinesis stream; write sourceTable "
            "= <table> or streamArn = <arn>"
        ),
    ),
    ({"filterCriteria": "{"}, "x.properties:5: filterCriteria: not JSON: "),
    ({"filterCriteria": '{"Filters": 1}'}, "x.properties:5: filterCriteria: Filters is no list: write {"),
    ({"filterCriteria": "@none.json"}, "x.properties:5: none.json: there is no such file"),
    (
        {"changedAttributes": "a, b..c"},
        "x.properties:5: changedAttributes must be a list of attributes' paths",
    ),
    ({"fanoutConfig.consumerArn": "x"}, "x.properties:5: fanoutConfig.consumerArn of KCL is not supported: "),
    ({"executableName": '"', "processor": None}, "x.properties:4: executableName must be a command line ("),
    (
        {"executableName": "#", "processor": None, "regionName": "a"},
        "x.properties:3: regionName must be an AWS region",
    ),
]


@pytest.mark.parametrize(("changes", "message"), MISTAKES, ids=[message[:60] for _, message in MISTAKES])
def test_mistakes(tmp_path: Path, changes: dict[str, str | None], message: str) -> None:
    """Each mistake is one line with the place, what is wrong, and what to do."""
    assert _message(tmp_path, _text(changes)).startswith(message)


DESTINATIONS = (
    "sqs://<queue> or sqs://<ARN>, sns://<ARN of a topic>, s3://<bucket>/<prefix>, file:///<folder>, "
    "dynamodb://<table> or discard"
)
FOR_LARGE_ONES = "some are too large; add onFailureOverflow = s3://<bucket>/<prefix> for those"
OF_ERROR_HANDLING: list[tuple[dict[str, str | None], str]] = [
    ({"batchSize": "0"}, "batchSize must be a whole number from 1 to 10000, not 0"),
    ({"batchSize": "10001"}, "batchSize must be a whole number from 1 to 10000, not 10001"),
    (
        {"maximumBatchingWindowInSeconds": "301"},
        "maximumBatchingWindowInSeconds must be a whole number from 0 to 300, not 301",
    ),
    ({"parallelizationFactor": "0"}, "parallelizationFactor must be a whole number from 1 to 1000, not 0"),
    (
        {"maximumRetryAttempts": "-2"},
        "maximumRetryAttempts must be a whole number from 0 to 10000, or -1 for no limit, not -2",
    ),
    (
        {"maximumRecordAgeInSeconds": "59"},
        "maximumRecordAgeInSeconds must be a whole number from 60 to 604800, or -1 for no limit, not 59",
    ),
    (
        {"bisectBatchOnFunctionError": "yes"},
        "bisectBatchOnFunctionError must be true or false, not yes",
    ),
    ({"onFailureDestination": "kafka://x"}, f"onFailureDestination must be {DESTINATIONS}, not kafka://x"),
    (
        {"onFailureDestination": "sqs://a b"},
        "onFailureDestination must be sqs://<queue> or sqs://<ARN>, not sqs://a b",
    ),
    ({"onFailureOverflow": "file:///x"}, "onFailureOverflow must be s3://<bucket>/<prefix>, not file:///x"),
    (
        {"idempotency": "redis://x"},
        "idempotency must be dynamodb://<table>, sqlite:///<file> or memory, not redis://x",
    ),
    (
        {"idempotencyKey": "a,,b"},
        "idempotencyKey must be a list of attributes' paths, such as status, address.city",
    ),
    ({"idempotencyKey": "a,a"}, "idempotencyKey must be a list that names nothing twice"),
    (
        {"idempotencyLockSeconds": "0"},
        "idempotencyLockSeconds must be a whole number from 1 to 86400, not 0",
    ),
    (
        {"idempotencyTtlSeconds": "59"},
        "idempotencyTtlSeconds must be a whole number of 60 or more, not 59",
    ),
]


@pytest.mark.parametrize(
    ("changes", "message"), OF_ERROR_HANDLING, ids=[message for _, message in OF_ERROR_HANDLING]
)
def test_mistakes_in_error_handling(tmp_path: Path, changes: dict[str, str | None], message: str) -> None:
    """Lambda's limits are ours, too; each message says what may be written."""
    assert _message(tmp_path, _text(changes)) == f"x.properties:5: {message}"


TOGETHER: list[tuple[Mapping[str, str | None], str]] = [
    *(
        (
            {name: value},
            f"{name} gives records up, and nothing says where they go; add onFailureDestination = <URL>, or discard",
        )
        for name, value in (("maximumRetryAttempts", "0"), ("maximumRecordAgeInSeconds", "600"))
    ),
    *(
        (
            {"onFailureDestination": f"{scheme}://{name}"},
            f"onFailureDestination = {scheme}://… does not take every record: {FOR_LARGE_ONES}",
        )
        for scheme, name in (
            ("sqs", "orders-failed"),
            ("sns", "arn:aws:sns:eu-west-1:123456789012:orders-failed"),
            ("dynamodb", "orders-failed"),
        )
    ),
    *(
        (
            {**destination, "onFailureOverflow": "s3://bucket/prefix"},
            "onFailureOverflow is only for onFailureDestination = sqs://…, sns://… or dynamodb://…; remove it",
        )
        for destination in (
            {},
            {"onFailureDestination": "discard"},
            {"onFailureDestination": "file:///var/lib/parked"},
            {"onFailureDestination": "s3://bucket/parked"},
        )
    ),
    *(
        ({name: value}, f"{name} has no effect without idempotency; add it, or remove {name}")
        for name, value in (
            ("idempotencyKey", "orderId"),
            ("idempotencyLockSeconds", "30"),
            ("idempotencyTtlSeconds", "600"),
        )
    ),
    (
        {"batchSize": "200", "maximumUnacknowledgedRecordsPerShard": "100"},
        "batchSize, 200, is more than half of maximumUnacknowledgedRecordsPerShard, 100: none could fill up while another is handled; lower the one or raise the other",
    ),
    (
        {"minimumPollIntervalMillis": "8000"},
        "minimumPollIntervalMillis, 8000, exceeds maximumPollIntervalMillis, 7000; lower the one or raise the other",
    ),
    *(
        (
            {"idleTimeBetweenReadsInMillis": "500", name: "500"},
            f"{name} has no effect with idleTimeBetweenReadsInMillis; remove one of the two",
        )
        for name in ("minimumPollIntervalMillis", "maximumPollIntervalMillis")
    ),
    (
        {"maximumRetryBackoffMillis": "50"},
        "retryBackoffMillis, 100, exceeds maximumRetryBackoffMillis, 50; lower the one or raise the other",
    ),
    *(
        (
            {"processor": None, "executableName": "app.py", name: value},
            f"{name} has no effect with executableName, whose program decides itself; remove it",
        )
        for name, value in (
            ("batchSize", "1"),
            ("maximumBatchingWindowInSeconds", "1"),
            ("parallelizationFactor", "2"),
            ("maximumRetryAttempts", "1"),
            ("maximumRecordAgeInSeconds", "60"),
            ("bisectBatchOnFunctionError", "true"),
            ("onFailureDestination", "discard"),
            ("onFailureOverflow", "s3://bucket/prefix"),
            ("idempotency", "memory"),
        )
    ),
]


@pytest.mark.parametrize(("changes", "message"), TOGETHER)
def test_properties_that_do_not_go_together(
    tmp_path: Path, changes: Mapping[str, str | None], message: str
) -> None:
    """Each is one line that names both, and what to do."""
    assert _message(tmp_path, _text(changes)) == f"x.properties: {message}"


@pytest.mark.parametrize(
    "changes",
    [
        {"maximumRetryAttempts": "-1", "maximumRecordAgeInSeconds": "-1"},
        {"maximumRetryAttempts": "0", "maximumRecordAgeInSeconds": "60", "onFailureDestination": "discard"},
        {"onFailureDestination": "file:///var/lib/parked"},
        {"onFailureDestination": "s3://bucket/parked"},
        {"onFailureDestination": "sqs://orders-failed", "onFailureOverflow": "s3://bucket/large"},
        {"onFailureDestination": "dynamodb://orders-failed", "onFailureOverflow": "s3://bucket"},
        {"idempotency": "memory", "idempotencyKey": "orderId, lines[0].id", "idempotencyLockSeconds": "5"},
        {"idempotencyLockSeconds": "60", "idempotencyTtlSeconds": "172800"},
        {"batchSize": "10000", "parallelizationFactor": "1000", "maximumBatchingWindowInSeconds": "300"},
        {"retryBackoffMillis": "30000"},
    ],
)
def test_properties_that_go_together(tmp_path: Path, changes: dict[str, str | None]) -> None:
    """What has no effect because it is the default is no mistake: reference.properties is copied from."""
    loaded = _load(tmp_path, _text(changes))
    assert {*changes} <= loaded.values.keys()


def test_the_defaults_lose_nothing(tmp_path: Path) -> None:
    """Without a word about errors every record is tried until it is handled, one after the other."""
    loaded = _load(tmp_path, _text({}))
    assert loaded["maximumRetryAttempts"] == loaded["maximumRecordAgeInSeconds"] == settings.UNLIMITED
    assert loaded["onFailureDestination"] is loaded["idempotency"] is loaded["timeoutInSeconds"] is None
    assert (loaded["parallelizationFactor"], loaded["batchSize"]) == (1, 100)
    assert (loaded["maximumBatchingWindowInSeconds"], loaded["bisectBatchOnFunctionError"]) == (0, False)


INSERTS = '{"Filters": [{"Pattern": "{\\"eventName\\": [\\"INSERT\\"]}"}]}'


@pytest.mark.parametrize(
    "written",
    [
        INSERTS,
        INSERTS.replace("\\", "\\\\"),
        INSERTS.replace('", "', '", \\\n    "').replace("[{", "\\\n  [{"),
        "@inserts.json",
    ],
    ids=["as Lambda has it", "escaped as Java has it", "continued", "in a file"],
)
def test_filter_criteria_can_be_pasted(tmp_path: Path, written: str) -> None:
    """A backslash is an escape in Java's properties, but JSON is taken as it stands if it is JSON then."""
    file = tmp_path / "inserts.json"
    file.write_text(json.dumps(json.loads(INSERTS), indent=2), encoding="utf-8")
    file.chmod(0o600)
    loaded = _load(tmp_path, _text({"filterCriteria": written}))
    assert json.loads(str(loaded["filterCriteria"])) == json.loads(INSERTS)


def test_others_may_not_write_the_filters_file(tmp_path: Path) -> None:
    """It decides what is handled, as the properties do."""
    file = tmp_path / "inserts.json"
    file.write_text(INSERTS, encoding="utf-8")
    file.chmod(0o666)
    message = _message(tmp_path, _text({"filterCriteria": "@inserts.json"}))
    assert message.startswith("x.properties:5: inserts.json: others may write this file")


@pytest.mark.parametrize(
    "arn",
    [
        "x",
        ARN.replace("dynamodb", "kinesis"),
        ARN.partition("/stream")[0],
        ARN.replace("123456789012", "1"),
        f"{ARN} x",
    ],
)
def test_malformed_stream_arn(tmp_path: Path, arn: str) -> None:
    """A stream ARN is checked as a whole, and the message shows how one looks."""
    text = _text({"sourceTable": None, "streamArn": arn})
    assert "streamArn must be a stream's ARN: arn:aws:dynamodb:<region>:<account>:table/" in _message(
        tmp_path, text
    )


@pytest.mark.parametrize("url", ["https://vpce-1.dynamodb.eu-west-1.vpce.amazonaws.com", "http://[::1]:8000"])
def test_endpoints_that_are_safe(tmp_path: Path, url: str) -> None:
    """Endpoints are https, or http on this host."""
    assert _load(tmp_path, _text({"dynamoDBEndpoint": url}))["dynamoDBEndpoint"] == url


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com",
        "ftp://localhost",
        "localhost:8000",
        "https://",
        "http://localhost:x",
        "http://[",
        "https://h/x",
        "https://user:hunter2@example.com",
        "http://localhost.example.com",
        "https://h?x=1",
    ],
)
def test_endpoints_that_are_not(tmp_path: Path, url: str) -> None:
    """Anything else is refused, and not quoted: it may hold a password."""
    message = _message(tmp_path, _text({"dynamoDBEndpoint": url}))
    assert message.startswith("x.properties:5: dynamoDBEndpoint must be a URL without user, path or query")
    assert "hunter2" not in message


@pytest.mark.parametrize(
    "name",
    ["accessKey", "secretKey", "aws_secret_access_key", "AWS_ACCESS_KEY_ID", "sessionToken", "dbPassword"],
)
def test_keys_are_refused_and_never_quoted(tmp_path: Path, name: str) -> None:
    """Credentials have no place in the file, and must not get from there into a terminal or a log."""
    message = _message(tmp_path, _text({name: "canary"}))
    assert message.startswith(
        f"x.properties:5: {name}: keys and secrets do not belong in this file; remove it"
    )
    assert "canary" not in message


def test_credentials_provider_arguments_are_not_quoted(tmp_path: Path) -> None:
    """An STS external id is a secret, too."""
    assert "canary" not in _message(tmp_path, _text({"awsCredentialsProvider": "Sts|arn|externalId=canary"}))


def test_a_property_given_twice(tmp_path: Path) -> None:
    """The second line is named, and the first."""
    message = _message(tmp_path, _text({}) + "regionName = us-east-1\n")
    assert message == "x.properties:5: regionName is already on line 4; remove one of the two"


def test_control_characters_of_a_name_are_not_printed(tmp_path: Path) -> None:
    """A terminal gets no escape sequence, and not a whole book."""
    message = _message(tmp_path, "\\u001b[31m" + "x" * 500 + " = 1")
    assert "\x1b" not in message
    assert len(message) < 250


def test_a_region_of_the_environment_is_checked(tmp_path: Path) -> None:
    """What is wrong in the environment is said to be there."""
    assert "AWS_REGION does not hold" in _message(tmp_path, _text({"regionName": None}), AWS_REGION="x")


def test_no_such_file(tmp_path: Path) -> None:
    """A missing file is named."""
    with pytest.raises(ConfigurationError, match=r"/no\.properties: there is no such file$"):
        settings.load(tmp_path / "no.properties")


def test_a_folder(tmp_path: Path) -> None:
    """A folder is not a file."""
    with pytest.raises(ConfigurationError, match="this is a folder; name a "):
        settings.load(tmp_path)


def test_an_impossible_path() -> None:
    """A path that no file can have is an error like the others."""
    with pytest.raises(ConfigurationError, match="the file cannot be read"):
        settings.load("a\0b")
    with pytest.raises(ConfigurationError, match="the file cannot be read"):
        settings.load("x" * 5000)


def test_not_utf8(tmp_path: Path) -> None:
    """A file in another encoding is refused, with the line that shows it."""
    path = tmp_path / "x.properties"
    path.write_bytes(b"# a\n# \xe9\n")
    path.chmod(0o600)
    with pytest.raises(ConfigurationError, match=r"x\.properties:2: this is not UTF-8"):
        settings.load(path)


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    """Windows editors write one."""
    assert _load(tmp_path, "\ufeff" + _text({}))["applicationName"] == "app"


@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_a_file_that_others_may_write(tmp_path: Path, mode: int) -> None:
    """The file says which program runs, so only its owner may write it."""
    path = tmp_path / "x y.properties"
    path.write_text(_text({}))
    path.chmod(mode)
    with pytest.raises(ConfigurationError, match=re.escape(f"chmod go-w '{path}'")):
        settings.load(path)


# --- The reference ---


@pytest.mark.parametrize(
    ("writer", "file"),
    [("markdown", "docs/properties.md"), ("properties", "properties/reference.properties")],
)
def test_the_generated_files_are_current(writer: str, file: str) -> None:
    """They are what `python -m record_processor.settings_reference` prints."""
    assert (ROOT / file).read_text(encoding="utf-8") == settings_reference.WRITERS[writer]()


@pytest.mark.parametrize("writer", settings_reference.WRITERS)
def test_the_command(writer: str) -> None:
    """The module prints each of them, also for the Java test that holds the names against KCL."""
    run = subprocess.run(
        [sys.executable, "-m", "record_processor.settings_reference", writer],
        check=True,
        capture_output=True,
        encoding="utf-8",
        cwd=ROOT,
    )
    assert (run.stdout, run.stderr) == (settings_reference.WRITERS[writer](), "")


def test_every_line_of_the_generated_file_can_be_used(tmp_path: Path) -> None:
    """With its comment signs removed, each default is accepted, and is the default."""
    text = re.sub(r"(?m)^#(\w+ = )", r"\1", settings_reference.properties())
    loaded = _load(tmp_path, text)
    for known in settings.SCHEMA:
        assert known.name in text
        assert known.default in (None, loaded[known.name])


def test_no_name_is_both_supported_and_refused() -> None:
    """Each name has one meaning."""
    supported = [known.name for known in settings.SCHEMA]
    names = [*supported, *settings.IGNORED, *REFUSED, *REFUSED_BEANS]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", [*REFUSED, *(f"{bean}.x" for bean in REFUSED_BEANS), *REFUSED_BEANS])
def test_every_refused_name_has_its_reason(tmp_path: Path, name: str) -> None:
    """No property of KCL's is a mere unknown one."""
    assert "of KCL is not supported: " in _message(tmp_path, _text({name: "1"}))
