"""From the store to disk: one folder a version, whole or not there at all.

<root>/<model>/<version>-<digest>/...   a fetched version
<root>/<model>/last-good.json           the version that was admitted last
"""

import os
import shutil
import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

import msgspec
from filelock import FileLock

from bentos.admission.manifest import is_inside
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
        return self._of(version.name) / f"{int(version.version)}-{quote(digest, safe='')}"

    def compiled(self, version: Version) -> Path:
        """Where the compiled form of a version lies, beside its folder."""
        return _compiled(self.folder(version))

    def discard(self, version: Version) -> None:
        """Forget a fetched version, so that the next look fetches it again."""
        with self._locked(version.name):
            _remove(self.folder(version))

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
            if path.is_dir() and not path.name.startswith(PARTIAL)
        ]

    @contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        try:
            self._of(name).mkdir(parents=True, exist_ok=True)
            with FileLock(self._of(name) / ".lock"):
                yield
        except OSError as error:
            raise StoreUnavailable(f"cannot use the cache {self._of(name)}: {error}") from error


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


def _compiled(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.onnx")


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    _compiled(folder).unlink(missing_ok=True)


def _sweep(folder: Path) -> None:
    """Remove what a process that died amid a download left behind."""
    for partial in folder.glob(f"{PARTIAL}*"):
        if time.time() - partial.stat().st_mtime > PARTIAL_MAX_AGE:
            shutil.rmtree(partial, ignore_errors=True)


def _beyond(newest_first: list[Path], kept: set[Path], bounds: CacheSettings) -> Iterator[Path]:
    used = 0
    for count, folder in enumerate(newest_first, 1):
        used += sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        over = count > bounds.versions_per_model or used > bounds.bytes
        if over and folder not in kept:
            yield folder
