"""Tables in parts: files of one folder, on disk or in S3, read in pieces and written whole."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from urllib.parse import quote, urlsplit

import pyarrow as pa
from pyarrow import csv, parquet
from pyarrow.fs import FileSelector, FileSystem, FileType, LocalFileSystem

SUFFIXES = (".parquet", ".csv")
PARTIAL = "_partial"  # readers of tables pass over names that begin with an underscore
BATCH_ROWS = 65_536
CSV_BLOCK = 8 * 1024 * 1024  # bytes


class Unfit(Exception):
    """A table, or where it lies, that cannot be scored: says which, and what to do."""


class Folder:
    """A folder at a path, or at s3://bucket/prefix with boto3's environment variables.

    Everything raises OSError when the disk or the store fails.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._files, self._root = _opened(uri)

    def parts(self) -> list[str]:
        """The Parquet and CSV files below the folder, as relative paths, in order."""
        self._check_bucket()
        selector = FileSelector(self._root, allow_not_found=True, recursive=True)
        found = [
            PurePosixPath(info.path).relative_to(self._root)
            for info in self._files.get_file_info(selector)
            if info.type == FileType.File
        ]
        return sorted(str(path) for path in found if _is_part(path))

    def read(self, name: str) -> bytes | None:
        """A small file, or None where there is none."""
        try:
            with self._files.open_input_stream(self._path(name)) as file:
                return bytes(file.read())
        except FileNotFoundError:
            return None

    def batches(self, name: str, types: Mapping[str, pa.DataType]) -> pa.RecordBatchReader:
        """The rows of a part, piece by piece; `types` are those of columns of a CSV.

        Raises pyarrow.ArrowInvalid when it is no such file, or the values of a CSV do not fit.
        """
        file = self._files.open_input_file(self._path(name))
        if name.lower().endswith(".csv"):
            read = csv.ReadOptions(block_size=CSV_BLOCK)
            return csv.open_csv(file, read, None, csv.ConvertOptions(column_types=dict(types)))
        table = parquet.ParquetFile(file)
        pieces = table.iter_batches(BATCH_ROWS)
        return pa.RecordBatchReader.from_batches(table.schema_arrow, pieces)

    @contextmanager
    def writing(self, name: str) -> Iterator[pa.NativeFile]:
        """A file that appears whole, or not at all."""
        partial, final = self._path(f"{PARTIAL}/{name}"), self._path(name)
        for path in (partial, final):
            if isinstance(self._files, LocalFileSystem):  # in S3 there are no folders
                self._files.create_dir(str(PurePosixPath(path).parent))
        with self._files.open_output_stream(partial) as file:
            yield file
        self._files.move(partial, final)

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _check_bucket(self) -> None:
        """A bucket that is not there reads as an empty one."""
        if isinstance(self._files, LocalFileSystem):
            return
        bucket = self._root.partition("/")[0]
        if self._files.get_file_info(bucket).type == FileType.NotFound:
            raise Unfit(f"There is no bucket {bucket!r} for {self.uri}: make it, or correct it")


def find(uri: str) -> tuple[Folder, list[str]]:
    """The folder and the parts of a table: all files below `uri`, or the one file that it is.

    Raises Unfit when there are none.
    """
    is_file = PurePosixPath(uri).suffix.lower() in SUFFIXES
    parent, name = uri.rsplit("/", 1) if is_file and "/" in uri else (".", uri)
    if is_file:
        folder = Folder(parent or "/")
        if name in folder.parts():
            return folder, [name]
    folder = Folder(uri)
    if parts := folder.parts():
        return folder, parts
    raise Unfit(f"{uri} holds no {' or '.join(SUFFIXES)} file")


def _opened(uri: str) -> tuple[FileSystem, str]:
    parts = urlsplit(uri)
    if parts.scheme == "s3" and parts.netloc:
        location = quote(f"{parts.netloc}{parts.path}".rstrip("/"))
        files, root = FileSystem.from_uri(f"s3://{location}")
        return files, str(root)
    if "://" in uri:
        raise Unfit(f"{uri!r} is neither a path nor s3://bucket/prefix")
    return LocalFileSystem(), str(Path(uri).absolute())


def _is_part(path: PurePosixPath) -> bool:
    hidden = any(name.startswith(("_", ".")) for name in path.parts)
    return path.suffix.lower() in SUFFIXES and not hidden
