"""Environments of other releases, in which versions of these are opened: built once by content.

<root>/<digest>/   an environment, whole or not there at all

Only wheels of reviewed packages are installed: nothing of them runs before a version is read.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from hashlib import sha256
from importlib.metadata import version as installed
from pathlib import Path
from platform import python_version

from filelock import FileLock

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

SECONDS = 600.0  # to build one
BYTES = 3 * 1024**3  # that one may have
LOOK = 0.5  # seconds between looks at how large it is
KEPT = 10  # environments; of more, those that were used longest ago go
# What uv may need to reach an index. No credential of ours is among them.
ENVIRONMENT = ("ALL_PROXY", "HOME", "HTTPS_PROXY", "HTTP_PROXY", "LANG", "NO_PROXY", "PATH",
               "SSL_CERT_DIR", "SSL_CERT_FILE", "TMPDIR", "https_proxy", "http_proxy",
               "no_proxy")  # fmt: skip
CANNOT = ("No solution found", "not found in the package registry", "has no wheels")
OFF = "admission.environments: false has such versions tried with the release that runs here"


class Environments:
    """The environments below a folder. Raises Refusal where one cannot be had."""

    def __init__(self, root: Path) -> None:
        self.root = root

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
        place = self.root / digest(found)
        python = place / "bin" / "python"
        self.root.mkdir(parents=True, exist_ok=True)
        with FileLock(self.root / f"{place.name}.lock"):
            if not python.exists():  # also one whose own Python is gone
                shutil.rmtree(place, ignore_errors=True)
                self._build(found, place)
            os.utime(place)
        self._evict()
        return python

    def _build(self, found: Wanted, place: Path) -> None:
        """As the version stored it, or with others beside the releases that decide the answers."""
        ends = time.monotonic() + SECONDS
        said, partial = "", place.with_name(f"partial-{place.name}")
        for all_stored in (True, False):
            shutil.rmtree(partial, ignore_errors=True)  # also what a killed process left
            partial.mkdir(mode=0o700)
            try:
                said = self._installed(partial, found.lines(all_stored), ends)
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

    def _installed(self, place: Path, lines: Sequence[str], ends: float) -> str:
        """Nothing where all is installed, or why these releases cannot be."""
        overrides = place / "unwanted.txt"
        overrides.write_text("".join(f"{name} ; python_version < '0'\n" for name in UNWANTED))
        self._run(
            ["venv", "--allow-existing", "--python", sys.executable, str(place)], place, ends
        )
        command = ["pip", "install", "--python", str(place / "bin" / "python")]
        return self._run(
            [*command, "--only-binary", ":all:", "--overrides", str(overrides), *lines],
            place,
            ends,
        )

    def _run(self, arguments: Sequence[str], place: Path, ends: float) -> str:
        """What uv says against it, in one line; nothing where it is done."""
        quiet = ["--quiet", "--cache-dir", str(self.root / "cache")]
        kept = {
            name: value
            for name, value in os.environ.items()
            if name in ENVIRONMENT or name.startswith("UV_")
        }
        with tempfile.TemporaryFile() as said:
            running = subprocess.Popen(  # noqa: S603
                [uv(), *arguments, *quiet], env=kept, stdin=subprocess.DEVNULL, stdout=said,
                stderr=said,
            )  # fmt: skip
            try:
                _wait(running, place, ends)
            finally:
                running.kill()
                running.wait()
            said.seek(0)
            text = " ".join(said.read().decode(errors="replace").split())
        if running.returncode and not any(reason in text for reason in CANNOT):
            raise StoreUnavailable(f"uv cannot build an environment: {text[-500:]}; {OFF}")
        return text[:500] or "uv failed" if running.returncode else ""

    def _evict(self) -> None:
        """Remove those that were used longest ago, beyond so many."""
        made = [path for path in self.root.iterdir() if (path / "pyvenv.cfg").exists()]
        whole = [path for path in made if not path.name.startswith("partial-")]
        for path in sorted(whole, key=lambda one: one.stat().st_mtime, reverse=True)[KEPT:]:
            shutil.rmtree(path, ignore_errors=True)


def digest(found: Wanted) -> str:
    """The same for versions that share an environment."""
    content = "\n".join([python_version(), *found.lines(), *found.lines(False)])
    return sha256(content.encode()).hexdigest()[:32]


def uv() -> str:
    """Where uv is. Raises Refusal."""
    beside = Path(sys.executable).with_name("uv")
    found = str(beside) if beside.exists() else shutil.which("uv")
    if not found:
        raise Refusal(
            "library",
            f"uv is not installed here, which builds environments: pip install uv, or {OFF}",
        )
    return found


def _wait(running: "subprocess.Popen[bytes]", place: Path, ends: float) -> None:
    """Until uv is done, unless that takes too long or too much."""
    while running.poll() is None:
        try:
            running.wait(LOOK)
        except subprocess.TimeoutExpired:
            if time.monotonic() > ends:
                raise StoreUnavailable(
                    f"an environment is not built after {SECONDS:g} s; {OFF}"
                ) from None
            if size(place) > BYTES:
                raise Refusal(
                    "library", f"its environment takes more than {BYTES:,} bytes; {OFF}"
                ) from None


def size(place: Path) -> int:
    """In bytes, of a folder that may change meanwhile."""
    total = 0
    for folder, _, files in os.walk(place):
        for name in files:
            try:
                total += (Path(folder) / name).lstat().st_size
            except OSError:
                continue
    return total


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
