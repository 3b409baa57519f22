"""Sources of files that are given, and versions to fetch from them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

from bentos.admission.cache import Artifacts
from bentos.registry.client import Tag, Version


@dataclass
class Given:
    """A source of given files, which counts how often it is read."""

    files: dict[str, bytes] = field(default_factory=lambda: {"MLmodel": b"m", "a/b": b"b"})
    reads: int = 0

    def names(self) -> list[str]:
        self.reads += 1
        return list(self.files)

    def chunks(self, name: str) -> Iterator[bytes]:
        yield self.files[name]


@dataclass
class Halting:
    """A source that stands still in the middle of a file, and then goes on or fails."""

    error: Exception | None = None
    amid: Event = field(default_factory=Event)
    go_on: Event = field(default_factory=Event)

    def names(self) -> list[str]:
        return ["first", "second"]

    def chunks(self, name: str) -> Iterator[bytes]:
        yield b"half"
        if name == "second":
            self.amid.set()
            assert self.go_on.wait(60)
            if self.error:
                raise self.error
        yield b"half"


def version(number: int, name: str = "gas") -> Version:
    return Version(name, str(number), tags=(Tag("ascenso.digest", f"sha256:{number:064d}"),))


def leftovers(artifacts: Artifacts) -> list[Path]:
    return list(artifacts.root.rglob("partial-*"))
