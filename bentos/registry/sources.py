"""Where the files of a version come from: MLflow's artifact proxy, or the S3 bucket itself."""

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING, Protocol
from urllib.parse import quote, urlsplit

import httpx
import msgspec

from bentos import tracing
from bentos.outward import calling, s3_begins, s3_ended
from bentos.registry.changes import FRESH
from bentos.registry.client import Registry, RegistryUnavailable
from bentos.settings import RegistrySettings

if TYPE_CHECKING:
    from botocore.awsrequest import AWSPreparedRequest
    from mypy_boto3_s3 import S3Client

CHUNK = 1024 * 1024


class StoreUnavailable(Exception):
    """The artifact store did not answer, or broke off. Worth another try."""


class FileMissing(Exception):
    """The artifact store answered that there is no such file."""


class Source(Protocol):
    """A read-only view of the folder of one version."""

    def names(self) -> list[str]:
        """Every file below the folder, as relative POSIX paths."""
        ...

    def chunks(self, name: str) -> Iterator[bytes]:
        """The bytes of one file, piece by piece."""
        ...


class _Entry(msgspec.Struct):
    path: str
    is_dir: bool


class _Listing(msgspec.Struct):
    files: list[_Entry] = []


class ProxySource:
    """Files through `mlflow server --serve-artifacts`: a service then needs no S3 keys.

    They are `fresh` where a relay in between shall not give what it keeps.
    """

    def __init__(self, registry: Registry, root: str, fresh: bool = False) -> None:
        self.http = registry.http
        self.root = root.strip("/")
        self._headers = FRESH if fresh else {}

    def names(self) -> list[str]:
        """Every file below the folder."""
        return sorted(self._walk(self.root, PurePosixPath()))

    def _walk(self, folder: str, below: PurePosixPath) -> Iterator[str]:
        try:
            with calling("mlflow"):
                answer = self.http.get(
                    "mlflow-artifacts/artifacts", params={"path": folder}, headers=self._headers
                )
                answer.raise_for_status()
            listing = msgspec.json.decode(answer.content, type=_Listing)
        except (httpx.HTTPError, msgspec.DecodeError, UnicodeDecodeError) as error:
            raise StoreUnavailable(f"cannot list {folder!r} through MLflow: {error}") from error
        for entry in listing.files:
            name = PurePosixPath(entry.path).name
            if entry.is_dir:
                yield from self._walk(f"{folder}/{name}", below / name)
            else:
                yield str(below / name)

    def chunks(self, name: str) -> Iterator[bytes]:
        """The bytes of one file."""
        path = f"mlflow-artifacts/artifacts/{quote(f'{self.root}/{name}')}"
        try:
            with self.http.stream("GET", path, headers=self._headers) as answer:
                if answer.status_code == httpx.codes.NOT_FOUND:
                    raise FileMissing(name)
                answer.raise_for_status()
                yield from answer.iter_bytes(CHUNK)
        except httpx.HTTPError as error:
            raise StoreUnavailable(f"cannot read {name!r} through MLflow: {error}") from error


class S3Source:
    """Files straight from the bucket; keys and endpoint come from the environment, as in boto3."""

    def __init__(self, client: "S3Client", root: str) -> None:
        parts = urlsplit(root)
        self.client = client
        self.bucket = parts.netloc
        self.prefix = f"{parts.path.strip('/')}/".lstrip("/")

    def names(self) -> list[str]:
        """Every file below the folder."""
        return sorted(self.etags())

    def etags(self, below: str = "") -> dict[str, str]:
        """Every file below the folder whose name begins so, with what changes when it does."""
        from botocore.exceptions import BotoCoreError, ClientError

        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=self.prefix + below
        )
        try:
            entries = [entry for page in pages for entry in page.get("Contents", [])]
        except (BotoCoreError, ClientError) as error:
            raise StoreUnavailable(f"cannot list s3://{self.bucket}: {error}") from error
        # What a console makes as a folder is an empty object whose key ends with a slash.
        files = [entry for entry in entries if not entry["Key"].endswith("/")]
        return {e["Key"].removeprefix(self.prefix): e["ETag"].strip('"') for e in files}

    def chunks(self, name: str) -> Iterator[bytes]:
        """The bytes of one file."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            body = self.client.get_object(Bucket=self.bucket, Key=self.prefix + name)["Body"]
            yield from body.iter_chunks(CHUNK)
        except self.client.exceptions.NoSuchKey:
            raise FileMissing(name) from None
        except (BotoCoreError, ClientError) as error:
            message = f"cannot read s3://{self.bucket}/{self.prefix}{name}: {error}"
            raise StoreUnavailable(message) from error

    def upload(self, name: str, file: IO[bytes]) -> None:
        """Write one file, which appears whole or not at all."""
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            self.client.upload_fileobj(file, self.bucket, self.prefix + name)
        except (Boto3Error, BotoCoreError, ClientError) as error:
            message = f"cannot write s3://{self.bucket}/{self.prefix}{name}: {error}"
            raise StoreUnavailable(message) from error

    def delete(self, names: list[str]) -> None:
        """Remove files, also such as are not there."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            for name in names:
                self.client.delete_object(Bucket=self.bucket, Key=self.prefix + name)
        except (BotoCoreError, ClientError) as error:
            message = f"cannot delete below s3://{self.bucket}/{self.prefix}: {error}"
            raise StoreUnavailable(message) from error


def open_source(
    registry: Registry, settings: RegistrySettings, uri: str, fresh: bool = False
) -> Source:
    """The source for an artifact URI as the registry gives it, `fresh` past what a relay keeps.

    Raises RegistryUnavailable for a URI of a kind that cannot be fetched.
    """
    parts = urlsplit(uri)
    if parts.scheme == "mlflow-artifacts" and settings.artifacts == "proxy":
        return ProxySource(registry, parts.path, fresh)
    if parts.scheme == "mlflow-artifacts":
        return S3Source(_client(), f"{settings.s3_root.rstrip('/')}{parts.path}")
    if parts.scheme == "s3":
        return S3Source(_client(), uri)
    raise RegistryUnavailable(
        f"the artifacts lie at {uri!r}: only s3:// and mlflow-artifacts:/ can be fetched; start "
        "the MLflow server with --serve-artifacts or an s3:// artifact root"
    )


def open_s3(root: str) -> S3Source:
    """The files below an `s3://bucket/prefix`. Raises StoreUnavailable if boto3 cannot start."""
    from botocore.exceptions import BotoCoreError

    try:
        return S3Source(_client(), root)
    except (BotoCoreError, ValueError) as error:
        raise StoreUnavailable(f"S3 cannot be used for {root}: {error}") from error


def _client() -> "S3Client":
    import boto3
    from botocore.config import Config

    session = boto3.Session()  # boto3's own default session is not made for several threads
    client = session.client("s3", config=Config(connect_timeout=5, read_timeout=30))
    events = client.meta.events
    events.register("before-send.s3", _carry)
    events.register("before-call.s3", s3_begins)
    events.register("after-call.s3", s3_ended)
    events.register("after-call-error.s3", s3_ended)
    return client


def _carry(request: "AWSPreparedRequest", **_: object) -> None:
    tracing.carry(request.headers)
