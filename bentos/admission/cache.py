"""From the store to disk: one folder a version, whole or not there at all.

<root>/<model>/<version>-<digest>/...             a fetched version
<root>/<model>/<version>-<digest>.<runtime>/...   what its admission left
<root>/<model>/last-good.json                     the version that was admitted last
"""

import glob
import os
import shutil
import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

import msgspec
from filelock import FileLock

from bentos.admission.manifest import is_inside
from bentos.admission.verdict import runtime
from bentos.files import written
from bentos.registry.client import Version
from bentos.registry.sources import Source, StoreUnavailable
from bentos.settings import CacheSettings

LAST_GOOD = "last-good.json"
PARTIAL = "partial-"
PARTIAL_MAX_AGE = 3600.0
LONGEST = 200  # bytes of the name of a model's folder
SHOWN = 100


class Artifacts:
    """The versions on this machine's disk, shared by all processes that name the same root."""

    def __init__(self, root: Path, settings: CacheSettings) -> None:
        self.root = root
        self.settings = settings

    def fetch(self, version: Version, source: Source) -> Path:
        """The folder of a version, downloaded if it is not there yet.

        Raises StoreUnavailable when the store breaks off or the disk is full.
        """
        folder = self.folder(version)
        with self._locked(version.name):
            if not folder.is_dir():
                self._download(source, folder)
            os.utime(folder)
        return folder

    def folder(self, version: Version) -> Path:
        """Where a version lies, fetched or not."""
        digest = version.digest.removeprefix("sha256:")[:16] or version.run_id[:16] or "unsigned"
        quoted = quote(digest, safe="").replace(".", "%2E")
        return self._of(version.name) / f"{int(version.version)}-{quoted}"

    def place(self, version: Version) -> Path:
        """Where what an admission of a version leaves lies, of this code and these libraries."""
        folder = self.folder(version)
        return folder.with_name(f"{folder.name}.{runtime()}")

    @contextmanager
    def admitting(self, name: str) -> Iterator[None]:
        """For one admission of a model at a time on this machine. Raises StoreUnavailable."""
        with self._locked(name, ".admission.lock"):
            yield

    def discard(self, version: Version) -> None:
        """Forget a fetched version, so that the next look fetches it again.

        What its admission ended in stays, for those who wait for it.
        """
        with self._locked(version.name):
            shutil.rmtree(self.folder(version), ignore_errors=True)

    def remember(self, version: Version) -> None:
        """Note a version as the last good one of its model."""
        path = self._of(version.name) / LAST_GOOD
        with written(path) as file:
            file.write(msgspec.json.encode(version))

    def last_good(self, name: str) -> Version | None:
        """The version of a model that was admitted last and still lies on disk."""
        version = _noted(self._of(name) / LAST_GOOD)
        return version if version and self.folder(version).is_dir() else None

    def forget(self, name: str) -> None:
        """Remove every version of a model, so that no restart brings one back."""
        with self._locked(name):
            (self._of(name) / LAST_GOOD).unlink(missing_ok=True)
            for folder in self._folders(name):
                _remove(folder)

    def names(self) -> list[str]:
        """The models that have a last good version."""
        noted = map(_noted, self.root.glob(f"*/{LAST_GOOD}"))
        return [version.name for version in noted if version]

    def evict(self, name: str, keep: Collection[Version]) -> list[Path]:
        """Remove the versions of a model that were used longest ago, beyond the bounds.

        Those to keep are in use now.
        """
        kept = {self.folder(version) for version in keep}
        with self._locked(name):
            for folder in filter(Path.is_dir, kept):
                os.utime(folder)
            folders = sorted(self._folders(name), key=lambda f: f.stat().st_mtime, reverse=True)
            removed = list(_beyond(folders, kept, self.settings))
            for folder in removed:
                _remove(folder)
        return removed

    def _download(self, source: Source, folder: Path) -> None:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _sweep(folder.parent)
        partial = Path(tempfile.mkdtemp(prefix=PARTIAL, dir=folder.parent))
        try:
            for name in source.names():
                if not is_inside(name):
                    raise StoreUnavailable(f"the store lists {name!r}, outside the version")
                _save(partial / name, source.chunks(name))
            partial.chmod(0o755)
            partial.rename(folder)
        except OSError as error:
            raise StoreUnavailable(f"cannot write to {folder.parent}: {error}") from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def _of(self, name: str) -> Path:
        quoted = quote(name, safe="").replace(".", "%2E")
        if len(quoted) > LONGEST:  # a file's name may have 255 bytes; quoted, a letter takes nine
            quoted = f"{quoted[:SHOWN]}~{sha256(name.encode()).hexdigest()}"
        return self.root / quoted

    def _folders(self, name: str) -> list[Path]:
        return [
            path
            for path in self._of(name).iterdir()
            if path.is_dir() and not path.name.startswith(PARTIAL) and "." not in path.name
        ]

    @contextmanager
    def _locked(self, name: str, lock: str = ".lock") -> Iterator[None]:
        try:
            self._of(name).mkdir(parents=True, exist_ok=True)
            with FileLock(self._of(name) / lock):
                yield
        except OSError as error:
            raise StoreUnavailable(f"cannot use the cache {self._of(name)}: {error}") from error


@contextmanager
def placed(place: Path) -> Iterator[Path]:
    """A folder to fill, which takes its place whole or not at all."""
    place.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=PARTIAL, dir=place.parent))
    try:
        yield partial
        partial.chmod(0o755)
        shutil.rmtree(place, ignore_errors=True)
        partial.rename(place)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _noted(path: Path) -> Version | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Version)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def _save(path: Path, chunks: Iterator[bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for chunk in chunks:
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())


def _beside(folder: Path) -> list[Path]:
    """What admissions of a version left."""
    return [path for path in folder.parent.glob(f"{glob.escape(folder.name)}.*") if path.is_dir()]


def _remove(folder: Path) -> None:
    for path in (folder, *_beside(folder)):
        shutil.rmtree(path, ignore_errors=True)


def _sweep(model: Path) -> None:
    """Remove what a process that died left behind, and what is known of versions that are gone."""
    places = [path for path in model.glob("[0-9]*.*") if path.is_dir()]
    orphans = [path for path in places if not path.with_suffix("").exists()]
    for left in (*model.glob(f"{PARTIAL}*"), *orphans):
        with suppress(FileNotFoundError):  # an admission's, which has taken its place now
            if time.time() - left.stat().st_mtime > PARTIAL_MAX_AGE:
                shutil.rmtree(left, ignore_errors=True)


def _size(folder: Path) -> int:
    """In bytes. A file that has two names, as both folders may have it, counts half at each."""
    found = [path.stat() for path in folder.rglob("*") if path.is_file()]
    return sum(stat.st_size // stat.st_nlink for stat in found)


def _beyond(newest_first: list[Path], kept: set[Path], bounds: CacheSettings) -> Iterator[Path]:
    used = 0
    for count, folder in enumerate(newest_first, 1):
        used += sum(map(_size, (folder, *_beside(folder))))
        over = count > bounds.versions_per_model or used > bounds.bytes
        if over and folder not in kept:
            yield folder
