"""Releases that were closed to make room, opened again from the disk."""

import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from bentos.admission.cache import Artifacts
from bentos.promotion.release_store import ReleaseStore
from bentos.registry.client import Registry, Version
from bentos.serving.budget import Budget, CannotOpen
from bentos.serving.release import Contract, Release
from bentos.settings import AdmissionSettings, Settings
from bentos.tensors import Batch
from tests.serving.servers import reading
from tests.serving.service import Here
from tests.stack import free_ports

with warnings.catch_warnings():  # mlflow warns about its own type hints
    warnings.simplefilter("ignore")
    import mlflow.sklearn

COLUMNS = Contract(None, None, by_schema=True)
ROW = Batch({"": np.array([[2.0]])})


@pytest.fixture
def nowhere() -> Iterator[Registry]:
    """A registry that does not answer."""
    with reading(f"http://127.0.0.1:{free_ports(1)[0]}") as registry:
        yield registry


def opened_store(home: Path, registry: Registry, graphs: bool, limit: int) -> ReleaseStore:
    settings = Settings(home=home, admission=AdmissionSettings(compile=graphs))
    artifacts = Artifacts(home / "cache", settings.cache)
    return ReleaseStore(registry, artifacts, settings, Budget(limit), Here())


def admitted(store: ReleaseStore, name: str) -> Release:
    version = Version(name, "1", run_id="0123456789abcdef")
    model = LinearRegression().fit([[0.0], [1.0]], [0.0, 2.0])
    mlflow.sklearn.save_model(
        model, store.artifacts.folder(version), serialization_format="skops", pip_requirements=[]
    )
    release = store.admit(COLUMNS, version)
    release.succeed(None)
    return release


def answer(release: Release) -> float:
    release.open()
    try:
        (column,) = release.predict(ROW).values()
        return float(column[0])
    finally:
        release.free()


@pytest.mark.parametrize("graphs", [False, True], ids=["native", "onnx"])
def test_closed_and_opened_again_it_answers_alike(
    tmp_path: Path, nowhere: Registry, graphs: bool
) -> None:
    store = opened_store(tmp_path, nowhere, graphs, limit=1)
    one, other = admitted(store, "one"), admitted(store, "other")
    assert (one.is_open, other.is_open) == (False, True)
    assert one.runs == ("onnx" if graphs else "native")
    assert answer(one) == pytest.approx(4.0, rel=1e-12)
    assert (one.is_open, other.is_open) == (True, False)


def test_bytes_that_were_changed_meanwhile_are_not_opened(
    tmp_path: Path, nowhere: Registry
) -> None:
    store = opened_store(tmp_path, nowhere, graphs=False, limit=1)
    one, other = admitted(store, "one"), admitted(store, "other")
    path = store.artifacts.folder(one.version) / "MLmodel"
    path.write_text(f"{path.read_text()}# longer\n")
    with pytest.raises(CannotOpen, match="does not answer"):  # the store would have the right ones
        answer(one)
    assert not store.artifacts.folder(one.version).exists()
    assert answer(other) == pytest.approx(4.0)
