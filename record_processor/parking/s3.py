"""`s3://bucket/prefix`: one object for each parked record."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from record_processor.locations import Location
from record_processor.parking.clients import LazyClient, error_code, told
from record_processor.parking.destination import LARGEST_DOCUMENT_BYTES, Destination, Entry, Foreign
from record_processor.parking.parked import Parked, from_text, to_text

_GONE: Final = ("NoSuchKey", "404")


class Bucket:
    """JSON objects in a bucket, under a prefix."""

    def __init__(self, location: Location, client: LazyClient) -> None:
        """Take where it is; nothing is called yet."""
        self._name = location.name
        self._prefix = f"{location.prefix}/" if location.prefix else ""
        self._client = client

    def check(self) -> None:
        """Find out whether the bucket is there, as `Destination.check` says."""
        region = self._client.region_name
        create = f"aws s3 mb s3://{self._name} --region {region}"
        nothing = f"there is no bucket {self._name}; create it: {create}"
        with told(f"bucket {self._name}", {"404": nothing, "NoSuchBucket": nothing}):
            self._client().head_bucket(Bucket=self._name)

    def url(self, path: str) -> str:
        """Return the URL of what is at a path under the prefix."""
        return f"s3://{self._name}/{self._prefix}{path}"

    def put(self, path: str, text: str) -> None:
        """Write an object; it is there whole, for every reader, when this returns."""
        self._client().put_object(
            Bucket=self._name,
            Key=self._prefix + path,
            Body=text.encode("ascii"),
            ContentType="application/json",
        )

    def get(self, path: str) -> bytes:
        """Read an object. Raises ValueError if there is none, or none of ours."""
        try:
            found = self._client().get_object(Bucket=self._name, Key=self._prefix + path)
        except Exception as error:
            if error_code(error) in _GONE:
                raise ValueError("it is gone") from None
            raise
        with found["Body"] as body:
            if found["ContentLength"] > LARGEST_DOCUMENT_BYTES:
                raise ValueError("it is too large for a parked record")
            content: bytes = body.read()
            return content

    def delete(self, path: str) -> None:
        """Remove an object; nothing if it is gone."""
        self._client().delete_object(Bucket=self._name, Key=self._prefix + path)

    def paths(self) -> Iterator[str]:
        """Yield what is under the prefix, without the folders that consoles make."""
        pages = (
            self._client().get_paginator("list_objects_v2").paginate(Bucket=self._name, Prefix=self._prefix)
        )
        for page in pages:
            for found in page.get("Contents", ()):
                if not found["Key"].endswith("/"):
                    yield found["Key"].removeprefix(self._prefix)


class S3Destination(Destination):
    """Objects of the type application/json; who may read them is the bucket's policy."""

    def __init__(self, bucket: Bucket) -> None:
        """Take the bucket."""
        self._bucket = bucket

    def check(self) -> None:
        """Find out whether the bucket is there."""
        self._bucket.check()

    def put(self, parked: Parked) -> None:
        """Write an object, which takes the place of one of the same record."""
        self._bucket.put(parked.path, to_text(parked.to_json()))

    def entries(self) -> Iterator[Entry | Foreign]:
        """Yield what is under the prefix."""
        for path in self._bucket.paths():
            yield self._read(path)

    def delete(self, entry: Entry) -> None:
        """Remove the object."""
        self._bucket.delete(entry.handle)

    def _read(self, path: str) -> Entry | Foreign:
        where = self._bucket.url(path)
        try:
            return Entry(Parked.from_json(from_text(self._bucket.get(path))), where, path)
        except ValueError as reason:
            return Foreign(where, str(reason))
