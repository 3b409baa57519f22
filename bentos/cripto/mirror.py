"""The files below an S3 prefix, near at hand: in memory, and on disk for the next start."""

import logging
from collections.abc import Callable, Mapping, Set
from functools import cache
from pathlib import Path
from urllib.parse import quote, unquote

from bentos.files import written
from bentos.loop import Loop
from bentos.process import settle
from bentos.promotion.pauses import pause
from bentos.registry.sources import FileMissing, S3Source, StoreUnavailable, open_s3
from bentos.settings import RegistrySettings

log = logging.getLogger(__name__)

RARELY = 5  # times the pause between looks at the registry: prices come by the day

Changed = Callable[[Mapping[str, bytes], Set[str]], None]


class Mirror:
    """Follows a prefix from `start` to `stop`; while S3 is down, what was last known stays.

    `wanted` chooses files by their name below the prefix. `changed` is called in the mirror's
    thread with all files and the names of those that came, changed or went. A file lies on disk
    as <folder>/<name>@<etag>, so that processes that share the folder do no harm.
    """

    def __init__(
        self,
        root: str,
        folder: Path,
        wanted: Callable[[str], bool],
        changed: Changed,
        settings: RegistrySettings,
    ) -> None:
        self.root = root
        self._folder = folder
        self._wanted = wanted
        self._changed = changed
        self._files: dict[str, bytes] = {}
        self._etags: dict[str, str] = {}
        self._source: S3Source | None = None
        self._settle = cache(settle)  # once, with what reading the files imported
        self._loop = Loop(
            root,
            self._look,
            lambda failures: pause(settings, failures) * (1 if failures else RARELY),
            (StoreUnavailable,),
            "what was last known stays",
            begin=self._begin,
        )

    @property
    def trouble(self) -> str:
        """Why the last look failed."""
        return self._loop.trouble

    def start(self) -> None:
        """Give what lies on disk, and begin to look."""
        self._loop.start()

    def stop(self) -> None:
        """Stop looking."""
        self._loop.stop()

    def wake(self) -> None:
        """Look at once."""
        self._loop.wake()

    def look(self) -> None:
        """Fetch what changed. Raises StoreUnavailable."""
        self._source = self._source or open_s3(self.root)
        etags = {name: etag for name, etag in self._source.etags().items() if self._wanted(name)}
        changed = self._etags.keys() - etags.keys()
        for name in changed:
            del self._etags[name], self._files[name]
        try:
            for name in [name for name, etag in etags.items() if self._etags.get(name) != etag]:
                self._files[name] = b"".join(self._source.chunks(name))
                self._etags[name] = etags[name]
                changed.add(name)
        except FileMissing:  # it went after the listing; the next look will tell
            self.wake()
        finally:  # what came before S3 broke off is good
            self._tell(changed)

    def _tell(self, names: Set[str]) -> None:
        if names:
            self._changed(self._files, names)
        for name in names:
            self._keep(name)

    def _begin(self) -> None:
        try:
            self._restore()
        except Exception:
            log.exception("restoring %s from %s failed", self.root, self._folder)

    def _look(self) -> None:
        try:
            self.look()
        finally:
            self._settle()

    def _restore(self) -> None:
        """Read the disk's copy; of two contents of one file the newer is taken, until a look."""
        if not self._folder.is_dir():
            return
        paths = [path for path in self._folder.iterdir() if "@" in path.name]
        for path in sorted(paths, key=lambda path: path.stat().st_mtime):
            name, _, etag = map(unquote, path.name.partition("@"))
            self._files[name], self._etags[name] = path.read_bytes(), etag
        if self._files:
            self._changed(self._files, set(self._files))

    def _keep(self, name: str) -> None:
        """Bring the disk's copy of one file to that in memory, whole or not at all."""
        stem = quote(name, safe="")
        path = self._folder / f"{stem}@{quote(self._etags.get(name, ''), safe='')}"
        try:
            if name in self._files:
                with written(path) as file:
                    file.write(self._files[name])
            for other in self._folder.glob(f"{stem}@*"):
                if other != path or name not in self._files:
                    other.unlink(missing_ok=True)
        except OSError as error:
            log.warning("%s serves, but a restart may not find it on disk: %s", name, error)
