"""The bucket: keys, clock, listing, and whether files come through at length."""

import time
from contextlib import closing
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx

from bentos.cli.doctor.findings import Chain, Found, failure, ok, warning
from bentos.cli.doctor.ground import Ground
from bentos.registry.sources import FileMissing, StoreUnavailable, open_source
from bentos.version import Version

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

KEYS = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
ENDPOINT = "set AWS_ENDPOINT_URL to the S3 server, or unset it for Amazon's"
LOCAL_BUCKET = "s3://ascenso"  # of `make up`
SKEW_SECONDS = 60.0
MOST_SKEW_SECONDS = 900.0  # beyond that, S3 refuses what is signed
ENOUGH_BYTES = 64 * 1024**2
ENOUGH_SECONDS = 10.0
MOST_LISTED = 1000
SLOW = 1024**2  # bytes a second
RESTORE = "restore its files in the store, or promote another version"
NO_BUCKET = "no bucket is named: files come through MLflow"


def keys(ground: Ground) -> Found:
    """There are keys, or a role, for the bucket."""
    root = _root(ground)
    if not root:
        return ok(NO_BUCKET)
    if ground.known("AWS_ACCESS_KEY_ID") and not ground.known("AWS_SECRET_ACCESS_KEY"):
        return failure("AWS_ACCESS_KEY_ID has no AWS_SECRET_ACCESS_KEY beside it", KEYS)
    import boto3

    if not ground.known("AWS_ACCESS_KEY_ID") and boto3.Session().get_credentials() is None:
        return failure(f"there are no keys for {root}", KEYS)
    return ok(f"there are keys for {root}")


def clock(ground: Ground) -> Found:
    """S3 and this machine agree on the time."""
    if not _root(ground):
        return ok(NO_BUCKET)
    with closing(_client(ground)) as client:
        url = client.meta.endpoint_url
    try:
        answer = httpx.get(url, timeout=10)
    except httpx.HTTPError as error:
        return failure(f"S3 at {url} does not answer: {error}", ENDPOINT)
    try:
        there = parsedate_to_datetime(answer.headers["date"])
    except (KeyError, ValueError):
        return ok(f"S3 at {url} answers, and tells no time")
    apart = abs((datetime.now(UTC) - there).total_seconds())
    said = f"the clocks of {url} and of this machine are {apart:.0f} s apart"
    if apart > MOST_SKEW_SECONDS:
        return failure(
            f"{said}: S3 refuses what is signed so", "set the clock (timedatectl, chrony)"
        )
    return (
        warning(said, "set the clock (timedatectl, chrony)") if apart > SKEW_SECONDS else ok(said)
    )


def listing(ground: Ground) -> Found:
    """The keys open the bucket."""
    from botocore.exceptions import BotoCoreError, ClientError

    root = _root(ground)
    if not root:
        return ok(NO_BUCKET)
    parts = urlsplit(root)
    started = time.perf_counter()
    try:
        with closing(_client(ground)) as client:
            page = client.list_objects_v2(
                Bucket=parts.netloc, Prefix=parts.path.strip("/"), MaxKeys=MOST_LISTED
            )
    except ClientError as error:
        code = error.response["Error"].get("Code", "")
        mend = (
            f"make the bucket {parts.netloc}, or name another" if code == "NoSuchBucket" else KEYS
        )
        return failure(f"{root} cannot be listed: {error}", mend)
    except BotoCoreError as error:
        return failure(f"{root} cannot be listed: {error}", ENDPOINT)
    seconds = time.perf_counter() - started
    count = len(page.get("Contents", ()))
    return ok(f"{root}: {count} files listed in {seconds * 1000:.0f} ms")


def download(ground: Ground) -> Found:
    """The files of promoted versions come through, up to 64 MB of them."""
    if not ground.promoted:
        return ok("no version is promoted yet whose files could be read")
    started, size, read = time.monotonic(), 0, 0
    for version in ground.promoted:
        try:
            size += _bytes(ground, version)
        except (StoreUnavailable, FileMissing) as error:
            return failure(f"{version} cannot be read: {error}", RESTORE)
        read += 1
        if size > ENOUGH_BYTES or time.monotonic() - started > ENOUGH_SECONDS:
            break
    seconds = time.monotonic() - started
    said = f"{size / 1e6:.1f} MB of {read} promoted versions read in {seconds:.1f} s"
    if seconds > ENOUGH_SECONDS and size / seconds < SLOW:
        return warning(
            f"{said}: that is slow", "registry.artifacts: s3 reads from the bucket itself"
        )
    return ok(said)


def _bytes(ground: Ground, version: Version) -> int:
    """How many bytes the files of a version have, all read."""
    uri = ground.registry.artifact_uri(version)
    source = open_source(ground.registry, ground.settings.registry, uri)
    if not (names := source.names()):
        raise FileMissing(f"there is nothing at {uri}")
    return sum(len(chunk) for name in names for chunk in source.chunks(name))


def _root(ground: Ground) -> str:
    """Where in S3 services read from; none where they read through MLflow alone."""
    named = (ground.settings.registry.s3_root, ground.known("ASCENSO_DATA"))
    local = LOCAL_BUCKET if ground.is_local else ""
    return next((root for root in named if root.startswith("s3://")), local)


def _client(ground: Ground) -> "S3Client":
    import boto3
    from botocore.config import Config

    return boto3.Session().client(
        "s3",
        endpoint_url=ground.s3 or None,
        region_name=ground.known("AWS_DEFAULT_REGION") or "us-east-1",
        aws_access_key_id=ground.known("AWS_ACCESS_KEY_ID") or None,
        aws_secret_access_key=ground.known("AWS_SECRET_ACCESS_KEY") or None,
        config=Config(connect_timeout=5, read_timeout=30, retries={"max_attempts": 1}),
    )


CHAINS: tuple[Chain, ...] = ((keys, clock, listing), (download,))
