"""From the store to disk: one folder a version, whole or not there at all.

<root>/<model>/<version>-<digest>/...             a fetched version
<root>/<model>/<version>-<digest>.<runtime>/...   what its admission left
<root>/<model>/last-good.json                     the version that was admitted last
"""

import os
import shutil
import tempfile
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from operator import itemgetter
from pathlib import Path
from urllib.parse import quote

import msgspec
from filelock import FileLock, Timeout

from bentos.admission.eviction import Room, remove
from bentos.admission.manifest import is_inside
from bentos.admission.verdict import runtime
from bentos.files import written
from bentos.registry.client import Version
from bentos.registry.sources import Source, StoreUnavailable
from bentos.settings import CacheSettings

LAST_GOOD = "last-good.json"
PARTIAL = "partial-"
PARTIAL_MAX_AGE = 3600.0
IN_ADMISSION = 600.0  # seconds for which a version of another model may be, since it was fetched
LONGEST = 200  # bytes of the name of a model's folder
SHOWN = 100


class Artifacts:
    """The versions on this machine's disk, shared by all processes that name the same root."""

    def __init__(self, root: Path, settings: CacheSettings) -> None:
        self.root = root
        self.settings = settings
        self.room = Room(root, settings)

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
            for folder in self._folders(self._of(name)):
                remove(folder)

    def names(self) -> list[str]:
        """The models that have a last good version."""
        noted = map(_noted, self.root.glob(f"*/{LAST_GOOD}"))
        return [version.name for version in noted if version]

    def evict(self, name: str, keep: Collection[Version]) -> list[Path]:
        """Remove what was used longest ago: of a model beyond its number of versions, and of all
        models beyond the bytes.

        Those to keep are in use now; so is what a restart of another model would serve.
        """
        kept = {self.folder(version) for version in keep}
        with self._locked(name):
            for folder in filter(Path.is_dir, kept):
                os.utime(folder)
            newest_first = list(_by_use(self._folders(self._of(name))))[::-1]
            surplus = set(newest_first[self.settings.versions_per_model :]) - kept
            for folder in surplus:
                remove(folder)
        return [*surplus, *self._make_room(self._of(name), kept)]

    def _make_room(self, model: Path, kept: set[Path]) -> Iterator[Path]:
        folders = _by_use(f for m in self._models() for f in self._folders(m))
        if not self.room.lacks(folders):
            return
        notes = map(_noted, self.root.glob(f"*/{LAST_GOOD}"))
        spared = kept | {self.folder(version) for version in notes if version}
        since = time.time() - IN_ADMISSION
        spared |= {f for f, used in folders.items() if f.parent != model and used > since}
        for folder in self.room.beyond(folders, spared):
            with suppress(Timeout), FileLock(folder.parent / ".lock", timeout=0):
                remove(folder)
                yield folder

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

    def _models(self) -> list[Path]:
        return [path for path in self.root.iterdir() if path.name[0] != "." and path.is_dir()]

    def _folders(self, model: Path) -> list[Path]:
        return [
            path
            for path in model.iterdir()
            if "." not in path.name and not path.name.startswith(PARTIAL) and path.is_dir()
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


def _by_use(folders: Iterable[Path]) -> dict[Path, float]:
    """When each was used, the longest ago first; none that was removed meanwhile."""
    used: dict[Path, float] = {}
    for folder in folders:
        with suppress(FileNotFoundError):
            used[folder] = folder.stat().st_mtime
    return dict(sorted(used.items(), key=itemgetter(1)))


def _save(path: Path, chunks: Iterator[bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for chunk in chunks:
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())


def _sweep(model: Path) -> None:
    """Remove what a process that died left behind, and what is known of versions that are gone."""
    places = [path for path in model.glob("[0-9]*.*") if path.is_dir()]
    orphans = [path for path in places if not path.with_suffix("").exists()]
    for left in (*model.glob(f"{PARTIAL}*"), *orphans):
        with suppress(FileNotFoundError):  # an admission's, which has taken its place now
            if time.time() - left.stat().st_mtime > PARTIAL_MAX_AGE:
                shutil.rmtree(left, ignore_errors=True)
