"""The Java SDK's client of DynamoDB Streams, called as boto3's is."""

from __future__ import annotations

import base64
import json
import subprocess
from datetime import datetime, timezone
from types import TracebackType
from typing import Any, Final

from botocore.exceptions import ClientError

from benchmarks.java import ROOT, JavaProgram

PROGRAM: Final = JavaProgram([ROOT / "src/test/java/recordprocessor/StreamsCallsMain.java"])
_TIMES: Final = frozenset({"ApproximateCreationDateTime", "CreationRequestDateTime"})


class JavaStreams:
    """A JVM with a client; use `with`."""

    def __init__(self, endpoint: str, region: str) -> None:
        """Start it."""
        self._process = subprocess.Popen(
            PROGRAM.command(endpoint, region), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def __enter__(self) -> JavaStreams:
        """Give the client."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the JVM."""
        self._process.kill()
        self._process.communicate()

    def list_streams(self, **content: Any) -> Any:
        """Call ListStreams."""
        return self._call("ListStreams", content)

    def describe_stream(self, **content: Any) -> Any:
        """Call DescribeStream."""
        return self._call("DescribeStream", content)

    def get_shard_iterator(self, **content: Any) -> Any:
        """Call GetShardIterator."""
        return self._call("GetShardIterator", content)

    def get_records(self, **content: Any) -> Any:
        """Call GetRecords."""
        return self._call("GetRecords", content)

    def _call(self, operation: str, content: dict[str, Any]) -> Any:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps({"operation": operation, "content": content}).encode() + b"\n")
        stdin.flush()
        said = json.loads(stdout.readline(), object_hook=_as_boto3)
        if "code" in said:
            metadata = {"HTTPStatusCode": said["status"]}
            raise ClientError({"Error": {"Code": said["code"]}, "ResponseMetadata": metadata}, operation)  # type: ignore[typeddict-item]
        return said["answer"]


def _as_boto3(fields: dict[str, Any]) -> dict[str, Any]:
    """Make binaries bytes and times datetimes."""
    for name, value in fields.items():
        if name in _TIMES:
            fields[name] = datetime.fromtimestamp(value, timezone.utc)
        elif name == "B" and isinstance(value, str):
            fields[name] = base64.b64decode(value)
        elif name == "BS":
            fields[name] = [base64.b64decode(each) for each in value]
    return fields
