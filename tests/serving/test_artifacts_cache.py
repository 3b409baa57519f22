"""What stays on disk of the versions that were fetched, and what leaves."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from msgspec.structs import replace

from bentos.admission.cache import Artifacts
from bentos.registry.client import Version
from bentos.registry.sources import StoreUnavailable
from bentos.settings import CacheSettings
from tests.serving.given import Given, leftovers, version


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


def of(name: str, number: int) -> Version:
    return replace(version(number), name=name)


def filled_by_two_models(artifacts: Artifacts, size: int = 100) -> None:
    """Three versions of each, an hour ago; the second of `oil` is its last good one."""
    for minute, number in enumerate([1, 2, 3]):
        for name in ("oil", "gas"):
            folder = artifacts.fetch(of(name, number), Given({"MLmodel": b"x" * size}))
            os.utime(folder, (minute * 60, minute * 60))
    artifacts.remember(of("oil", 2))


def both(artifacts: Artifacts) -> dict[str, list[int]]:
    return {
        n: [i for i in (1, 2, 3) if artifacts.folder(of(n, i)).exists()] for n in ("oil", "gas")
    }


def test_bytes_are_those_of_all_models(tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path, CacheSettings(bytes=350))
    filled_by_two_models(artifacts)
    removed = artifacts.evict("gas", keep=[of("gas", 3)])
    assert both(artifacts) == {"oil": [2, 3], "gas": [3]}
    assert len(removed) == 3


def test_what_a_restart_would_serve_stays_however_full_the_disk_is(tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path, CacheSettings(bytes=1))
    filled_by_two_models(artifacts)
    artifacts.evict("gas", keep=[of("gas", 3)])
    assert both(artifacts) == {"oil": [2], "gas": [3]}


def test_what_another_model_may_be_admitting_stays(tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path, CacheSettings(bytes=1))
    filled_by_two_models(artifacts)
    artifacts.fetch(of("oil", 3), Given())
    artifacts.evict("gas", keep=[of("gas", 3)])
    assert both(artifacts) == {"oil": [2, 3], "gas": [3]}


def test_a_model_whose_folder_is_in_use_is_passed_over(tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path, CacheSettings(bytes=1))
    filled_by_two_models(artifacts)
    with FileLock(artifacts.folder(of("oil", 1)).parent / ".lock"):
        artifacts.evict("gas", keep=[of("gas", 3)])
    assert both(artifacts) == {"oil": [1, 2, 3], "gas": [3]}


def test_the_disk_is_the_bound_where_none_is_given(small_disk: Path) -> None:
    """Of 256 KiB, which others may fill too, the versions take half at most."""
    artifacts = Artifacts(small_disk, CacheSettings())
    filled(artifacts, [1, 2, 3, 4], size=50 * 1024)
    artifacts.evict("gas", keep=[version(1)])
    assert here(artifacts, range(1, 5)) == [1, 4]
    (small_disk / "other").write_bytes(b"x" * 110 * 1024)
    artifacts.evict("gas", keep=[version(1)])
    assert here(artifacts, range(1, 5)) == [1]


def test_a_removed_version_takes_what_its_admission_left(tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path, CacheSettings(versions_per_model=1))
    filled(artifacts, [1, 2])
    for number in (1, 2):
        artifacts.place(version(number)).mkdir()
    artifacts.evict("gas", keep=[])
    assert [artifacts.place(version(number)).exists() for number in (1, 2)] == [False, True]


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
