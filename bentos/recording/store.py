"""Where recordings are kept: a bucket's prefix, or a folder."""

from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from bentos.files import written
from bentos.registry.sources import FileMissing, StoreUnavailable, open_s3

TROUBLES = (StoreUnavailable, FileMissing, OSError)


class Store:
    """Files by names, at s3://bucket/prefix with boto3's environment variables, or at a path.

    Everything raises StoreUnavailable when the bucket fails, OSError when the disk does.
    """

    def __init__(self, uri: str) -> None:
        self._s3 = open_s3(uri) if uri.startswith("s3://") else None
        self._root = Path(uri)

    def names(self, below: str = "") -> list[str]:
        """The files of a folder, and below it, in order."""
        if self._s3:
            return sorted(self._s3.etags(f"{below}/" if below else ""))
        root = self._root
        files = (path for path in (root / below).rglob("[!.]*") if path.is_file())
        return sorted(path.relative_to(root).as_posix() for path in files)

    def put(self, name: str, path: Path) -> None:
        """Store a copy of a file, whole or not at all."""
        with path.open("rb") as file:
            self.write(name, file)

    def write(self, name: str, file: IO[bytes]) -> None:
        """Store what a file holds, whole or not at all."""
        if self._s3:
            self._s3.upload(name, file)
            return
        with written(self._root / name, 0o600) as copy:
            while chunk := file.read(2**20):
                copy.write(chunk)

    def read(self, name: str) -> IO[bytes]:
        """A file, at its beginning; the caller closes it. Raises FileMissing, too."""
        if self._s3 is None:
            return (self._root / name).open("rb")
        brought = TemporaryFile()  # noqa: SIM115 - the caller's to close
        for chunk in self._s3.chunks(name):
            brought.write(chunk)
        brought.seek(0)
        return brought

    def remove(self, names: list[str]) -> None:
        """Delete files; one that is not there any more is no error."""
        if self._s3:
            self._s3.delete(names)
            return
        for name in names:
            (self._root / name).unlink(missing_ok=True)
