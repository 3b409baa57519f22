"""Tables to train on, from a file or from S3."""

import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from training.errors import InputError

log = logging.getLogger("training")


def read_csv(file: BytesIO, text: Sequence[str] = ()) -> pd.DataFrame:
    """Read a table separated by commas or vertical bars.

    The columns `text` are taken as they are written: "NA" is a name there and "007" keeps its
    zeros; only an empty field is missing.
    """
    separator = "|" if b"|" in file.readline() else ","
    file.seek(0)
    table = pd.read_csv(file, sep=separator)
    if present := [column for column in text if column in table]:
        file.seek(0)
        kinds = dict.fromkeys(present, str)
        written = pd.read_csv(
            file, sep=separator, dtype=kinds, keep_default_na=False, na_values=[""]
        )
        table[present] = written[present].set_axis(table.index)
    return table


def read_parquet(file: BytesIO, text: Sequence[str] = ()) -> pd.DataFrame:
    """Read a table that knows by itself which columns are text."""
    return pd.read_parquet(file)


READERS: dict[str, Callable[[BytesIO, Sequence[str]], pd.DataFrame]] = {
    ".csv": read_csv,
    ".parquet": read_parquet,
}


@dataclass(frozen=True)
class Dataset:
    """A table and where it came from; `sha256` is of the file, or of a made table's rows."""

    name: str
    source: str
    sha256: str
    table: pd.DataFrame
    synthetic: bool = False

    @property
    def kind(self) -> str:
        """`synthetic` or `given`."""
        return "synthetic" if self.synthetic else "given"

    def announce(self) -> None:
        """Log what a run is about to train on."""
        log.info("Training on %s data: %s (%d rows).", self.kind, self.source, len(self.table))


def read_dataset(location: str, columns: Sequence[str] = (), text: Sequence[str] = ()) -> Dataset:
    """Read a CSV or parquet table from a path or an `s3://bucket/key`.

    The columns `text` of a CSV are taken as they are written. Raises `InputError` when
    the table cannot be read, has no rows, or lacks one of `columns`.
    S3 endpoint and credentials come from the environment, as boto3 reads them.
    """
    content = read_bytes(location)
    table = parse(location, content, text)
    if missing := [column for column in columns if column not in table.columns]:
        found = ", ".join(map(str, table.columns))
        raise InputError(f"{location} has no column {', '.join(missing)}; it has: {found}.")
    if table.empty:
        raise InputError(f"{location} has no rows.")
    name = PurePosixPath(location).name
    return Dataset(name, location, hashlib.sha256(content).hexdigest(), table)


def synthetic_dataset(family: str, seed: int, table: pd.DataFrame) -> Dataset:
    """Name a made table so that nobody takes it for real data."""
    name, source = f"{family}-synthetic", f"synthetic:seed={seed}"
    return Dataset(name, source, digest(table), table, synthetic=True)


def digest(table: pd.DataFrame) -> str:
    """SHA-256 of a table's rows, in hex."""
    return hashlib.sha256(pd.util.hash_pandas_object(table).to_numpy().tobytes()).hexdigest()


def numbers(dataset: Dataset, column: str) -> NDArray[np.float64]:
    """Give a column as float64, missing values as NaN.

    Raises `InputError` that names the column and the first value that is no number.
    """
    values = dataset.table[column]
    converted = pd.to_numeric(values, errors="coerce")
    bad = values.notna() & (converted.isna() | (values.dtype.kind in "bmM"))  # booleans and dates
    if bad.any():
        first = values[bad].iloc[0]
        raise InputError(f"{dataset.source}: column {column} has '{first}', which is no number.")
    return converted.to_numpy(dtype=np.float64, na_value=np.nan)


def read_bytes(location: str) -> bytes:
    """Read a local file or an `s3://bucket/key` whole."""
    url = urlsplit(location)
    if url.scheme == "s3":
        return read_s3(location, url.netloc, url.path.lstrip("/"))
    try:
        return Path(location).read_bytes()
    except OSError as error:
        raise InputError(f"Cannot read {location}: {error.strerror}.") from error


def read_s3(location: str, bucket: str, key: str) -> bytes:
    """Read one object; boto3 is imported here, as most runs read local files."""
    import boto3

    if not bucket or not key:
        raise InputError(f"{location} is no s3://bucket/key.")
    with s3_errors(location):
        client = boto3.Session().client("s3")
        return client.get_object(Bucket=bucket, Key=key)["Body"].read()


@contextmanager
def s3_errors(location: str) -> Iterator[None]:
    """Turn what boto3 raises into an `InputError` that names the location."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError, ValueError) as error:  # ValueError: a bad endpoint
        raise InputError(
            f"Cannot use {location}: {error} Check AWS_ENDPOINT_URL and the AWS_* credentials."
        ) from error


def parse(location: str, content: bytes, text: Sequence[str] = ()) -> pd.DataFrame:
    """Read bytes by the kind that the name's ending tells."""
    suffix = PurePosixPath(location).suffix.lower()
    if suffix not in READERS:
        raise InputError(f"{location} ends in {suffix or 'nothing'!r}: give a .csv or .parquet.")
    try:
        return READERS[suffix](BytesIO(content), text)
    except (ValueError, OSError) as error:  # pandas' and pyarrow's own errors derive from these
        raise InputError(f"{location} is no readable {suffix} file: {error}") from error
