"""A version is judged once on a machine: by one process, and for those that start later."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Barrier, Event

import numpy as np
import pytest

from bentos.admission import cache, verdict
from bentos.admission.cache import Artifacts
from bentos.admission.judging import judge
from bentos.admission.verdict import Case, Verdict
from bentos.promotion.release_store import ReleaseStore
from bentos.refusal import Refusal
from bentos.registry.client import Registry, RegistryUnavailable, Tag, Version
from bentos.registry.tags import PIN_TAG
from bentos.serving.budget import Budget
from bentos.settings import AdmissionSettings, Settings
from tests.admission.judged import BY_SCHEMA
from tests.serving import versions
from tests.serving.service import Here
from tests.serving.versions import CONTRACT


class Counting(Here):
    """Counts what is judged; it is held up until `go_on`."""

    def __init__(self) -> None:
        super().__init__()
        self.judged = 0
        self.memory_mb = 0  # of the last one
        self.go_on = Event()
        self.go_on.set()

    def judge(self, case: Case) -> Verdict:
        self.judged += 1
        self.memory_mb = case.settings.memory_mb
        assert self.go_on.wait(60)
        return judge(case)


@pytest.fixture
def registry() -> Iterator[Registry]:
    """One that does not answer: the versions are on disk."""
    registry = Registry("http://127.0.0.1:1", 1.0)
    with closing(registry.http):
        yield registry


@pytest.fixture
def version(tmp_path: Path) -> Version:
    """One that was fetched."""
    folder = versions.signed(versions.line(3.0), tmp_path / "model")
    version = Version("gas", "1", tags=(versions.digest_tag(folder),))
    place = artifacts(tmp_path).folder(version)
    place.parent.mkdir(parents=True)
    folder.rename(place)
    return version


def artifacts(home: Path) -> Artifacts:
    return Artifacts(home / "cache", Settings().cache)


def store(home: Path, registry: Registry, office: Here, **admission: object) -> ReleaseStore:
    """As a process of its own has it."""
    rules = AdmissionSettings.model_validate({"compile": False, **admission})
    settings = Settings().model_copy(update={"home": home, "admission": rules})
    budget = Budget(settings.open_bytes)
    return ReleaseStore(registry, artifacts(home), settings, budget, office)


def test_of_two_processes_one_judges(tmp_path: Path, registry: Registry, version: Version) -> None:
    office, both = Counting(), Barrier(2)

    def admitted(store: ReleaseStore) -> float:
        both.wait()
        return float(store.admit(CONTRACT, version).predict(np.array([[2.0]]))[0])

    with ThreadPoolExecutor(2) as pool:
        stores = [store(tmp_path, registry, office) for _ in range(2)]
        assert [round(answer, 9) for answer in pool.map(admitted, stores)] == [6.0, 6.0]
    assert office.judged == 1


def test_a_refusal_is_shared_by_who_waited_and_tried_again_by_who_comes_later(
    tmp_path: Path, registry: Registry, version: Version
) -> None:
    office, both = Counting(), Barrier(2)

    def refused(_: int) -> str:
        one = store(tmp_path, registry, office, latency_ms=1e-9)
        both.wait()
        with pytest.raises(Refusal) as refusal:
            one.admit(CONTRACT, version)
        return refusal.value.reason

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(refused, range(2))) == ["latency", "latency"]
    assert office.judged == 1
    with pytest.raises(Refusal):
        store(tmp_path, registry, office, latency_ms=1e-9).admit(CONTRACT, version)
    assert office.judged == 2


def test_a_restart_judges_only_what_has_changed(
    tmp_path: Path, registry: Registry, version: Version, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = Counting()
    for _ in range(2):
        store(tmp_path, registry, office).admit(CONTRACT, version)
    assert office.judged == 1
    store(tmp_path, registry, office, memory_mb=999).admit(CONTRACT, version)
    assert office.judged == 2  # the settings
    (found,) = tmp_path.glob("cache/gas/1-*/model/model.skops")
    found.unlink()
    found.write_bytes(b"rotten")
    store(tmp_path, registry, office, memory_mb=999).admit(CONTRACT, version)
    assert office.judged == 3  # what was left
    for module in (cache, verdict):
        monkeypatch.setattr(module, "runtime", lambda: "another")
    store(tmp_path, registry, office, memory_mb=999).admit(CONTRACT, version)
    assert office.judged == 4  # the libraries


def test_a_version_has_its_share_of_this_machine_and_is_judged_once_for_all(
    tmp_path: Path, registry: Registry, version: Version, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command that runs with other workers than the services finds what they left."""
    office = Counting()
    monkeypatch.setattr("bentos.settings.allowed", lambda: 5 * 2**30)
    store(tmp_path, registry, office).admit(CONTRACT, version)
    assert (office.judged, office.memory_mb) == (1, 1024)
    monkeypatch.setattr("bentos.settings.allowed", lambda: 4 * 2**30)
    store(tmp_path, registry, office).admit(CONTRACT, version)
    assert office.judged == 1
    store(tmp_path, registry, office, memory_mb=999).admit(CONTRACT, version)
    assert (office.judged, office.memory_mb) == (2, 999)


def test_a_version_that_is_pinned_to_other_files_is_judged(
    tmp_path: Path, registry: Registry, version: Version
) -> None:
    office = Counting()
    store(tmp_path, registry, office).admit(BY_SCHEMA, version)
    pinned = Version(version.name, version.version, tags=(*version.tags, Tag(PIN_TAG, "sha256:0")))
    with pytest.raises(RegistryUnavailable):  # of which it is fetched once more
        store(tmp_path, registry, office).admit(BY_SCHEMA, pinned)
    assert office.judged == 2
