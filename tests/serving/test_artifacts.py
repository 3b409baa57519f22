"""A version on its way from the store to the disk."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bentos.admission import cache as module
from bentos.admission.cache import Artifacts
from bentos.registry.client import Tag, Version
from bentos.registry.sources import FileMissing, StoreUnavailable
from bentos.settings import CacheSettings
from tests.serving.given import Given, Halting, leftovers, version

FETCH = """
import sys
from pathlib import Path
from bentos.admission.cache import Artifacts
from bentos.registry.client import Version
from bentos.settings import CacheSettings

class Halting:
    def names(self):
        return ["a", "b"]
    def chunks(self, name):
        print(f"reads {name}", flush=True)
        yield b"half"
        sys.stdin.read()
        yield b"half"

print("begins", flush=True)
Artifacts(Path(sys.argv[1]), CacheSettings()).fetch(Version("gas", "1"), Halting())
"""


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
        assert source.amid.wait(60)
        assert not artifacts.folder(version(1)).exists()
        artifacts.remember(version(1))
        assert artifacts.last_good("gas") is None
        source.go_on.set()
        folder = fetching.result(60)
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


def fetching(root: Path) -> subprocess.Popen[str]:
    """A process that begins to fetch, and halts amid a file until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", FETCH, str(root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stdout.readline() == "begins\n"
    return process


def rest(process: subprocess.Popen[str]) -> str:
    """What it still says until it ends."""
    with process:
        assert process.stdout
        return process.stdout.read()


def test_two_processes_fetch_at_once(tmp_path: Path) -> None:
    both = [fetching(tmp_path) for _ in range(2)]
    for process in both:
        assert process.stdin
        process.stdin.close()
    assert sorted(rest(process).count("reads") for process in both) == [0, 2]
    assert [process.returncode for process in both] == [0, 0]
    folder = Artifacts(tmp_path, CacheSettings()).folder(Version("gas", "1"))
    assert (folder / "b").read_bytes() == b"halfhalf"


def test_a_process_killed_amid_a_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    process = fetching(tmp_path)
    assert process.stdout
    assert process.stdout.readline() == "reads a\n"
    process.kill()
    rest(process)
    artifacts = Artifacts(tmp_path, CacheSettings())
    assert not artifacts.folder(Version("gas", "1")).exists()
    assert len(leftovers(artifacts)) == 1
    folder = artifacts.fetch(Version("gas", "1"), Given())  # its lock died with it
    assert (folder / "MLmodel").exists()
    monkeypatch.setattr(module, "PARTIAL_MAX_AGE", -1.0)
    artifacts.fetch(version(2), Given())
    assert leftovers(artifacts) == []


def test_a_partial_that_goes_meanwhile_is_no_trouble(artifacts: Artifacts) -> None:
    folder = artifacts.folder(version(1))
    folder.parent.mkdir(parents=True)
    (folder.parent / "partial-gone").symlink_to("nowhere")  # listed, but not there
    assert (artifacts.fetch(version(1), Given()) / "MLmodel").exists()


def test_partials_of_others_are_left_alone(artifacts: Artifacts) -> None:
    source = Halting()
    other = Artifacts(artifacts.root, CacheSettings())
    with ThreadPoolExecutor(2) as pool:
        slow = pool.submit(artifacts.fetch, version(1), source)
        assert source.amid.wait(60)
        quick = pool.submit(other.fetch, version(2), Given())
        with pytest.raises(TimeoutError):  # it waits
            quick.result(0.1)
        source.go_on.set()
        assert sorted(path.name for path in slow.result(60).iterdir()) == ["first", "second"]
        assert (quick.result(60) / "MLmodel").exists()
