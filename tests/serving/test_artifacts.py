import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

import pytest

from bentos.serving import artifacts as module
from bentos.serving.artifacts import Artifacts
from bentos.serving.registry import Tag, Version
from bentos.serving.sources import FileMissing, StoreUnavailable
from bentos.settings import CacheSettings
from tests.stack import wait_for

FETCH = """
import sys, time
from pathlib import Path
from bentos.serving.artifacts import Artifacts
from bentos.serving.registry import Version
from bentos.settings import CacheSettings

class Slow:
    def names(self):
        return ["a", "b"]
    def chunks(self, name):
        print(f"reads {name}", flush=True)
        yield b"half"
        time.sleep(float(sys.argv[2]))
        yield b"half"

print(Artifacts(Path(sys.argv[1]), CacheSettings()).fetch(Version("gas", "1"), Slow()))
"""


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
            assert self.go_on.wait(10)
            if self.error:
                raise self.error
        yield b"half"


def version(number: int, name: str = "gas") -> Version:
    return Version(name, str(number), tags=(Tag("ascenso.digest", f"sha256:{number:064d}"),))


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    return Artifacts(tmp_path / "cache", CacheSettings())


def leftovers(artifacts: Artifacts) -> list[Path]:
    return list(artifacts.root.rglob("partial-*"))


def test_fetched_once(artifacts: Artifacts) -> None:
    source = Given()
    folder = artifacts.fetch(version(1), source)
    assert (folder / "MLmodel").read_bytes() == b"m"
    assert (folder / "a" / "b").read_bytes() == b"b"
    assert artifacts.fetch(version(1), source) == folder == artifacts.folder(version(1))
    assert source.reads == 1
    artifacts.discard(version(1))
    assert not folder.exists()
    artifacts.fetch(version(1), source)
    assert source.reads == 2


def test_versions_and_models_keep_apart(artifacts: Artifacts) -> None:
    made_anew = Version("gas", "1", tags=(Tag("ascenso.digest", "sha256:other"),))
    unsigned = [Version("gas", "1", run_id="run"), Version("gas", "1")]
    others = [version(1), version(2), version(1, "gás"), made_anew, *unsigned]
    assert len({artifacts.folder(other) for other in others}) == len(others)


@pytest.mark.parametrize("name", ["..", ".", "../up", "/etc", "a/b", "gás", "a\\b", "x" * 60])
def test_any_name_of_a_model_stays_below_the_root(artifacts: Artifacts, name: str) -> None:
    folder = artifacts.fetch(version(1, name), Given())
    assert folder.resolve().is_relative_to(artifacts.root.resolve())
    assert folder.parent.parent == artifacts.root
    artifacts.remember(version(1, name))
    assert artifacts.last_good(name) == version(1, name)


def test_a_digest_cannot_leave_the_folder(artifacts: Artifacts) -> None:
    odd = Version("gas", "1", tags=(Tag("ascenso.digest", "sha256:../../../etc"),))
    assert artifacts.folder(odd).parent == artifacts.folder(version(1)).parent


@pytest.mark.parametrize("name", ["../out", "/etc/cron.d/x", "a/../../out", "a\\..\\out", ""])
def test_names_that_leave_the_folder(artifacts: Artifacts, tmp_path: Path, name: str) -> None:
    before = set(tmp_path.rglob("out"))
    with pytest.raises(StoreUnavailable, match="outside the version"):
        artifacts.fetch(version(1), Given({"MLmodel": b"", name: b"evil"}))
    assert set(tmp_path.rglob("out")) == before
    assert not artifacts.folder(version(1)).exists()
    assert leftovers(artifacts) == []


def test_half_a_version_is_never_there(artifacts: Artifacts) -> None:
    source = Halting()
    with ThreadPoolExecutor(1) as pool:
        fetching = pool.submit(artifacts.fetch, version(1), source)
        assert source.amid.wait(10)
        assert not artifacts.folder(version(1)).exists()
        artifacts.remember(version(1))
        assert artifacts.last_good("gas") is None
        source.go_on.set()
        folder = fetching.result(10)
    assert sorted(path.name for path in folder.iterdir()) == ["first", "second"]
    assert (folder / "second").read_bytes() == b"halfhalf"


@pytest.mark.parametrize("error", [StoreUnavailable("gone"), FileMissing("second")])
def test_a_download_that_breaks_off_leaves_nothing(artifacts: Artifacts, error: Exception) -> None:
    source = Halting(error)
    source.go_on.set()
    with pytest.raises(type(error), match=str(error)):
        artifacts.fetch(version(1), source)
    assert not artifacts.folder(version(1)).exists()
    assert leftovers(artifacts) == []
    artifacts.fetch(version(1), Given())


def fetching(root: Path, seconds: float) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", FETCH, str(root), str(seconds)], stdout=subprocess.PIPE, text=True
    )


def test_two_processes_fetch_at_once(tmp_path: Path) -> None:
    both = [fetching(tmp_path, 0.5) for _ in range(2)]
    told = [process.communicate(timeout=60)[0].split("\n") for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sorted(sum(line.startswith("reads") for line in lines) for lines in told) == [0, 2]
    folder = Artifacts(tmp_path, CacheSettings()).folder(Version("gas", "1"))
    assert (folder / "b").read_bytes() == b"halfhalf"


def test_a_process_killed_amid_a_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    process = fetching(tmp_path, 60)
    assert process.stdout
    assert process.stdout.readline() == "reads a\n"
    process.kill()
    process.communicate(timeout=10)
    artifacts = Artifacts(tmp_path, CacheSettings())
    assert not artifacts.folder(Version("gas", "1")).exists()
    assert len(leftovers(artifacts)) == 1
    folder = artifacts.fetch(Version("gas", "1"), Given())  # its lock died with it
    assert (folder / "MLmodel").exists()
    monkeypatch.setattr(module, "PARTIAL_MAX_AGE", -1.0)
    artifacts.fetch(version(2), Given())
    assert leftovers(artifacts) == []


def filled(artifacts: Artifacts, numbers: list[int], size: int = 10) -> None:
    """Fetch versions, each a minute after the one before."""
    for minute, number in enumerate(numbers):
        folder = artifacts.fetch(version(number), Given({"MLmodel": b"x" * size}))
        os.utime(folder, (minute * 60, minute * 60))


def here(artifacts: Artifacts, numbers: range) -> list[int]:
    return [number for number in numbers if artifacts.folder(version(number)).exists()]


def test_the_oldest_unused_leave_first(tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path, CacheSettings(versions_per_model=2))
    filled(artifacts, [1, 2, 3, 4])
    artifacts.fetch(version(2), Given())  # used again, now
    removed = artifacts.evict("gas", keep=[])
    assert here(artifacts, range(1, 5)) == [2, 4]
    assert set(removed) == {artifacts.folder(version(number)) for number in (1, 3)}


def test_what_serves_stays(tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path, CacheSettings(versions_per_model=1))
    filled(artifacts, [1, 2, 3, 4])
    artifacts.evict("gas", keep=[version(1), version(2)])
    assert here(artifacts, range(1, 5)) == [1, 2]


def test_what_served_was_used(tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path, CacheSettings(versions_per_model=2))
    filled(artifacts, [1, 2])
    artifacts.evict("gas", keep=[version(1)])
    artifacts.fetch(version(3), Given())
    artifacts.evict("gas", keep=[])
    assert here(artifacts, range(1, 4)) == [1, 3]


def test_bytes_are_bounded(tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path, CacheSettings(bytes=250))
    filled(artifacts, [1, 2, 3, 4], size=100)
    artifacts.evict("gas", keep=[version(1)])
    assert here(artifacts, range(1, 5)) == [1, 4]


def test_a_removed_version_takes_its_compiled_form(tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path, CacheSettings(versions_per_model=1))
    filled(artifacts, [1, 2])
    for number in (1, 2):
        artifacts.compiled(version(number)).write_bytes(b"graph")
    artifacts.evict("gas", keep=[])
    assert [artifacts.compiled(version(number)).exists() for number in (1, 2)] == [False, True]


def test_last_good(artifacts: Artifacts) -> None:
    assert artifacts.last_good("gas") is None
    for number in (1, 2):
        artifacts.fetch(version(number), Given())
        artifacts.remember(version(number))
    assert Artifacts(artifacts.root, CacheSettings()).last_good("gas") == version(2)
    artifacts.discard(version(2))
    assert artifacts.last_good("gas") is None


@pytest.mark.parametrize("content", [b"", b"\xff", b'{"name": "\xff"}', b'{"name": 1}'])
def test_last_good_that_cannot_be_read(artifacts: Artifacts, content: bytes) -> None:
    artifacts.fetch(version(1), Given())
    artifacts.remember(version(1))
    (note,) = artifacts.root.rglob("last-good.json")
    note.write_bytes(content)
    assert artifacts.last_good("gas") is None


def test_a_file_in_the_way_is_a_store_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    artifacts = Artifacts(tmp_path / "cache", CacheSettings())
    with pytest.raises(StoreUnavailable, match="cannot use the cache"):
        artifacts.fetch(version(1), Given())
    with pytest.raises(StoreUnavailable, match="cannot use the cache"):
        artifacts.evict("gas", keep=[])


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small tmpfs needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_full_disk(small_disk: Path) -> None:
    artifacts = Artifacts(small_disk, CacheSettings())
    artifacts.fetch(version(1), Given())
    artifacts.remember(version(1))
    with pytest.raises(StoreUnavailable, match="No space left"):
        artifacts.fetch(version(2), Given({"MLmodel": b"x" * 1024 * 1024}))
    assert leftovers(artifacts) == []
    assert artifacts.last_good("gas") == version(1)
    artifacts.fetch(version(3), Given())


def test_full_disk_keeps_the_last_good_note(small_disk: Path) -> None:
    artifacts = Artifacts(small_disk, CacheSettings())
    artifacts.fetch(version(1), Given())
    artifacts.remember(version(1))
    with (small_disk / "rest").open("wb", buffering=0) as rest:
        try:
            while rest.write(b"x" * 4096):
                pass
        except OSError:
            pass
    with pytest.raises(OSError, match="No space left"):
        artifacts.remember(version(2))
    assert artifacts.last_good("gas") == version(1)


def test_partials_of_others_are_left_alone(artifacts: Artifacts) -> None:
    source = Halting()
    other = Artifacts(artifacts.root, CacheSettings())
    with ThreadPoolExecutor(2) as pool:
        slow = pool.submit(artifacts.fetch, version(1), source)
        assert source.amid.wait(10)
        quick = pool.submit(other.fetch, version(2), Given())
        time.sleep(0.1)  # it must wait; the assertion below holds at any speed
        assert not quick.done()
        source.go_on.set()
        wait_for(lambda: slow.done() and quick.done(), 10)
    assert sorted(path.name for path in slow.result().iterdir()) == ["first", "second"]
