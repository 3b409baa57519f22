"""Packages, installed into an environment by uv: wheels alone, of which nothing runs meanwhile."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bentos.refusal import Refusal
from bentos.registry.sources import StoreUnavailable

SECONDS = 600.0  # to build one
LOOK = 0.5  # seconds between looks at how large it is
# What uv may need to reach an index. No credential of ours is among them.
ENVIRONMENT = ("ALL_PROXY", "HOME", "HTTPS_PROXY", "HTTP_PROXY", "LANG", "NO_PROXY", "PATH",
               "SSL_CERT_DIR", "SSL_CERT_FILE", "TMPDIR", "https_proxy", "http_proxy",
               "no_proxy")  # fmt: skip
CANNOT = ("No solution found", "not found in the package registry", "has no wheels")


@dataclass(frozen=True)
class Site:
    """An environment at a place, of so many bytes at most; `hint` says how to do without.

    Raises Refusal where it becomes too large, StoreUnavailable where the index cannot be reached.
    """

    place: Path
    cache: Path
    most: int
    hint: str = ""
    ends: float = field(default_factory=lambda: time.monotonic() + SECONDS)

    def install(self, lines: Sequence[str], unwanted: Sequence[str] = ()) -> str:
        """Nothing where all is installed, or why these releases cannot be."""
        overrides = self.place / "unwanted.txt"
        overrides.write_text("".join(f"{name} ; python_version < '0'\n" for name in unwanted))
        self.run("venv", "--allow-existing", "--python", sys.executable, str(self.place))
        python = str(self.place / "bin" / "python")
        wheels = "--only-binary", ":all:", "--overrides", str(overrides)
        return self.run("pip", "install", "--python", python, *wheels, *lines)

    def run(self, *arguments: str) -> str:
        """What uv says against it, in one line; nothing where it is done."""
        quiet = ["--quiet", "--cache-dir", str(self.cache)]
        kept = {
            name: value
            for name, value in os.environ.items()
            if name in ENVIRONMENT or name.startswith("UV_")
        }
        with tempfile.TemporaryFile() as said:
            running = subprocess.Popen(  # noqa: S603
                [uv(self.hint), *arguments, *quiet], env=kept, stdin=subprocess.DEVNULL,
                stdout=said, stderr=said,
            )  # fmt: skip
            try:
                self._wait(running)
            finally:
                running.kill()
                running.wait()
            said.seek(0)
            text = " ".join(said.read().decode(errors="replace").split())
        if running.returncode and not any(reason in text for reason in CANNOT):
            raise StoreUnavailable(f"uv cannot build an environment: {text[-500:]}{self.hint}")
        return text[:500] or "uv failed" if running.returncode else ""

    def _wait(self, running: "subprocess.Popen[bytes]") -> None:
        """Until uv is done, unless that takes too long or too much."""
        while running.poll() is None:
            try:
                running.wait(LOOK)
            except subprocess.TimeoutExpired:
                if time.monotonic() > self.ends:
                    late = f"an environment is not built after {SECONDS:g} s{self.hint}"
                    raise StoreUnavailable(late) from None
                if size(self.place) > self.most:
                    large = f"its environment takes more than {self.most:,} bytes{self.hint}"
                    raise Refusal("library", large) from None


def uv(hint: str = "") -> str:
    """Where uv is. Raises Refusal."""
    beside = Path(sys.executable).with_name("uv")
    found = str(beside) if beside.exists() else shutil.which("uv")
    if not found:
        raise Refusal(
            "library",
            f"uv is not installed here, which builds environments: pip install uv{hint}",
        )
    return found


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
