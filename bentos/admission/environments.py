"""Environments of other releases, in which versions of these are opened: built once by content.

<root>/<digest>/   an environment, whole or not there at all

Only wheels are installed: nothing of them runs before a version is read. They are of reviewed
packages, or of those that a version with code names, for which it takes permission.
"""

import fcntl
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from hashlib import sha256
from importlib.metadata import version as installed
from pathlib import Path
from platform import python_version
from typing import BinaryIO

from filelock import FileLock, Timeout

from bentos.admission import requirements
from bentos.admission.installing import Site, size
from bentos.admission.wanted import (
    BESIDE,
    BROUGHT,
    OURS,
    TRAINED,
    UNWANTED,
    Wanted,
    minor,
    normal,
    wanted,
)
from bentos.refusal import Refusal
from bentos.registry.sources import StoreUnavailable

BYTES = 3 * 1024**3  # that one may have
NAMED_BYTES = 10 * 1024**3  # one of packages that a version names: torch, and more
CACHE_BYTES = 10 * 1024**3  # what uv keeps to build others; what they share with them, too
MARK = "pyvenv.cfg"  # which every environment has
KEPT = 10  # environments; of more, those that were used longest ago go
OFF = "admission.environments: false has such versions tried with the release that runs here"


class Environments:
    """The environments below a folder. Raises Refusal where one cannot be had."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.cache = root / "cache"  # uv's

    def of(self, folder: Path) -> Path | None:
        """The Python in which a fetched version is opened; None is for the one that runs here.

        Raises StoreUnavailable where the index cannot be reached, or the disk is full.
        """
        found = wanted(folder)
        if found is None or found.minor == minor(installed("scikit-learn")):
            return None
        try:
            return self.python(found)
        except OSError as error:
            raise StoreUnavailable(f"cannot make an environment: {error}") from error

    def python(self, found: Wanted) -> Path:
        """The Python of an environment, which is built unless it is there."""
        return self._made(digest(found), lambda place: self._build(found, place))

    def named(self, folder: Path) -> Path:
        """The Python with the packages that a version names, which may be the one that runs here.

        Raises StoreUnavailable as `of` does.
        """
        needed = requirements.needed(folder)
        if requirements.are_here(needed):
            return Path(sys.executable)
        lines = requirements.lines(needed)
        try:
            return self._made(_digest(lines), lambda place: self._build_named(lines, place))
        except OSError as error:
            raise StoreUnavailable(f"cannot make an environment: {error}") from error

    def _made(self, name: str, build: Callable[[Path], None]) -> Path:
        place = self.root / name
        python = place / "bin" / "python"
        self.root.mkdir(parents=True, exist_ok=True)
        with self._locked(place):
            if not python.exists():  # also one whose own Python is gone
                shutil.rmtree(place, ignore_errors=True)
                build(place)
                self._trim()
            os.utime(place)
        self._evict()
        return python

    def _locked(self, place: Path, seconds: float = -1) -> FileLock:
        return FileLock(self.root / f"{place.name}.lock", timeout=seconds)

    def _build_named(self, lines: Sequence[str], place: Path) -> None:
        """With all that a version names, whatever that brings along."""
        partial = place.with_name(f"partial-{place.name}")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(mode=0o700)
        try:
            if said := Site(partial, self.cache, NAMED_BYTES).install(lines):
                raise Refusal(
                    "library",
                    f"an environment of the packages in its {requirements.REQUIREMENTS} cannot be "
                    f"had for Python {python_version()}, of wheels alone: {said}",
                )
            partial.rename(place)
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def _build(self, found: Wanted, place: Path) -> None:
        """As the version stored it, or with others beside the releases that decide the answers."""
        said, partial = "", place.with_name(f"partial-{place.name}")
        site = Site(partial, self.cache, BYTES, f"; {OFF}")
        for all_stored in (True, False):
            shutil.rmtree(partial, ignore_errors=True)  # also what a killed process left
            partial.mkdir(mode=0o700)
            try:
                said = site.install(found.lines(all_stored), UNWANTED)
                if not said:
                    _check_packages(partial)
                    partial.rename(place)
                    return
            finally:
                shutil.rmtree(partial, ignore_errors=True)
        raise Refusal(
            "library",
            f"scikit-learn {found.stored['scikit-learn']} wrote it, and an environment of its "
            f"releases cannot be had for Python {python_version()}: {said}; train it again with "
            f"{minor(installed('scikit-learn'))}, or {OFF}",
        )

    def _evict(self) -> None:
        """Remove those that were used longest ago, beyond so many."""
        made = [path for path in self.root.iterdir() if (path / MARK).exists()]
        whole = [path for path in made if not path.name.startswith("partial-")]
        for path in sorted(whole, key=lambda one: one.stat().st_mtime, reverse=True)[KEPT:]:
            with suppress(Timeout), self._locked(path, 0):
                if not _is_used(path):
                    shutil.rmtree(path, ignore_errors=True)

    def _trim(self) -> None:
        """Empty uv's cache, once it is too large; what environments have of it stays theirs."""
        if size(self.cache) > CACHE_BYTES:
            with suppress(StoreUnavailable):  # the next one tries again
                Site(self.cache, self.cache, sys.maxsize).run("cache", "clean")


def used(python: Path) -> BinaryIO | None:
    """A file that keeps an environment from being removed while it is open; None of no other."""
    try:
        file = (python.parents[1] / MARK).open("rb")
    except OSError:
        return None
    fcntl.flock(file, fcntl.LOCK_SH)
    return file


def _is_used(place: Path) -> bool:
    with (place / MARK).open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def digest(found: Wanted) -> str:
    """The same for versions that share an environment."""
    return _digest([*found.lines(), *found.lines(False)])


def _digest(lines: Sequence[str]) -> str:
    content = "\n".join([python_version(), *lines])
    return sha256(content.encode()).hexdigest()[:32]


def _check_packages(place: Path) -> None:
    """Nothing but what was reviewed is there, before anything of it runs."""
    known = BROUGHT | {*TRAINED, *BESIDE, *OURS}
    found = {
        normal(path.name.split("-")[0])
        for path in place.glob("lib/python*/site-packages/*.dist-info")
    }
    if strange := sorted(found - known):
        raise Refusal(
            "library",
            f"its releases bring packages along that were not reviewed: {', '.join(strange)}; "
            f"{OFF}",
        )
