"""Tables in parts: files of one folder, on disk or in S3, read in pieces and written whole."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryFile
from typing import IO

import pyarrow as pa
from pyarrow import csv, parquet

from bentos.files import written
from bentos.registry.sources import FileMissing, StoreUnavailable, open_s3

SUFFIXES = (".parquet", ".csv")
BATCH_ROWS = 65_536
CSV_BLOCK = 8 * 1024 * 1024  # bytes


class Unfit(Exception):
    """A table, or where it lies, that cannot be scored: says which, and what to do."""


TROUBLES = (Unfit, pa.ArrowInvalid, OSError, StoreUnavailable, FileMissing)  # no fault of ours


class Folder:
    """A folder at a path, or at s3://bucket/prefix with boto3's environment variables.

    Everything raises StoreUnavailable when the store fails, OSError when the disk does.
    """

    def __init__(self, uri: str) -> None:
        if "://" in uri and not (uri.startswith("s3://") and uri[5:].strip("/")):
            raise Unfit(f"{uri!r} is neither a path nor s3://bucket/prefix")
        self.uri = uri
        self._s3 = open_s3(uri) if uri.startswith("s3://") else None
        self._path = Path(uri)

    def parts(self) -> list[str]:
        """The Parquet and CSV files below the folder, as relative paths, in order."""
        if self._s3:
            names = self._s3.names()
        else:
            files = (path for path in self._path.rglob("*") if path.is_file())
            names = [path.relative_to(self._path).as_posix() for path in files]
        return sorted(name for name in names if _is_part(PurePosixPath(name)))

    def read(self, name: str) -> bytes | None:
        """A small file, or None where there is none."""
        try:
            with self._opened(name) as file:
                return file.read()
        except (FileMissing, FileNotFoundError):
            return None

    @contextmanager
    def batches(
        self, name: str, types: Mapping[str, pa.DataType]
    ) -> Iterator[pa.RecordBatchReader]:
        """The rows of a part, piece by piece; `types` are those of columns of a CSV.

        Raises pyarrow.ArrowInvalid when it is no such file, or the values of a CSV do not fit.
        """
        with self._opened(name) as file:
            if name.lower().endswith(".csv"):
                read = csv.ReadOptions(block_size=CSV_BLOCK)
                convert = csv.ConvertOptions(column_types=dict(types))
                yield csv.open_csv(file, read_options=read, convert_options=convert)
            else:
                table = parquet.ParquetFile(file)
                pieces = table.iter_batches(BATCH_ROWS)
                yield pa.RecordBatchReader.from_batches(table.schema_arrow, pieces)

    @contextmanager
    def writing(self, name: str) -> Iterator[IO[bytes]]:
        """A file that appears whole, or not at all."""
        if self._s3:
            with TemporaryFile() as file:
                yield file
                file.seek(0)
                self._s3.upload(name, file)
            return
        with written(self._path / name) as file:
            yield file

    @contextmanager
    def _opened(self, name: str) -> Iterator[IO[bytes]]:
        """A file on disk: one from S3 is brought there first."""
        if self._s3 is None:
            with (self._path / name).open("rb") as file:
                yield file
            return
        with TemporaryFile() as brought:
            for chunk in self._s3.chunks(name):
                brought.write(chunk)
            brought.seek(0)
            yield brought


def find(uri: str) -> tuple[Folder, list[str]]:
    """The folder and the parts of a table: all files below `uri`, or the one file that it is.

    Raises Unfit when there are none.
    """
    parent, _, name = uri.rpartition("/")
    if PurePosixPath(name).suffix.lower() in SUFFIXES:
        folder = Folder(parent or ("/" if uri.startswith("/") else "."))
        if name in folder.parts():
            return folder, [name]
    folder = Folder(uri)
    if parts := folder.parts():
        return folder, parts
    raise Unfit(f"{uri} holds no {' or '.join(SUFFIXES)} file")


def _is_part(path: PurePosixPath) -> bool:
    """Readers of tables pass over names that begin so."""
    hidden = any(name.startswith(("_", ".")) for name in path.parts)
    return path.suffix.lower() in SUFFIXES and not hidden
