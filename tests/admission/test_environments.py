"""Versions that another release of scikit-learn wrote."""

import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from msgspec import structs
from sklearn import __version__ as here
from sklearn.cluster import KMeans

from benchmarks import old_models
from benchmarks.releases import judged
from bentos.admission import environments, installing, stand_ins
from bentos.admission.environments import Environments, digest
from bentos.admission.judging import judge
from bentos.admission.office import Office
from bentos.admission.releases import open_release
from bentos.admission.verdict import Admitted, Refused
from bentos.admission.wanted import Wanted, wanted
from bentos.flavors.opening import open_model
from bentos.refusal import Refusal
from bentos.registry.client import Registry, Version
from bentos.registry.sources import StoreUnavailable
from tests.admission.judged import BY_SCHEMA, case
from tests.admission.test_release_store import Counting, artifacts, store
from tests.flavors.kinds import CASES
from tests.flavors.logged import rows, saved
from tests.flavors.test_opening import batch, same
from tests.serving.refusals import refused
from tests.shut_in import require_sandbox

OLD = "1.5.2"


def version(folder: Path, release: str = "", **files: str) -> Path:
    """The files of a version that a release wrote."""
    folder.mkdir(parents=True)
    option = {"sklearn_version": release} if release else {}
    flavors = {"sklearn": {"pickled_model": "model.pkl", **option}}
    (folder / "MLmodel").write_text(yaml.safe_dump({"flavors": flavors}))
    for name, content in files.items():
        (folder / name.replace("_", ".")).write_text(content)
    return folder


def test_the_stored_releases_of_reviewed_packages_are_wanted(tmp_path: Path) -> None:
    stored = (
        "mlflow==2.14.1\nscikit_learn==1.5.2\nnumpy==1.26.4\nevil==6.6.6\nxgboost==2.1.4\n"
        "scipy==1.13.1 --index-url http://evil\npandas @ http://evil/pandas.whl\n"
        f"joblib==1.{'1' * 5000}\n"
    )
    long = "\n" * 400_000 + "a[\n" * 100_000  # read in no time, or in hours
    conda = f"{long}dependencies:\n- pip:\n  - pandas==2.2.2\r\n  - numpy==1.0.0\n"
    found = wanted(version(tmp_path / "a", OLD, requirements_txt=stored, conda_yaml=conda))
    assert found
    assert found.lines()[4:] == [
        "pandas==2.2.2",
        *[line for line in found.lines() if line.startswith("pyyaml")],
        "scikit-learn==1.5.2",
        "scipy<1.15",
        "xgboost-cpu==2.1.4",
    ]
    assert "numpy==1.26.4" in found.lines()
    assert "numpy<2.2" in found.lines(all_stored=False)


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_alone_tells_its_release(tmp_path: Path, protocol: int) -> None:
    folder = version(tmp_path / "a")
    assert wanted(folder) is None
    (folder / "model.pkl").write_bytes(pickle.dumps({"model": KMeans()}, protocol=protocol))
    found = wanted(folder)
    assert found
    assert found.stored == {"scikit-learn": here}
    assert Environments(tmp_path).of(folder) is None  # it is opened here


def uv(monkeypatch: pytest.MonkeyPatch, folder: Path, script: str) -> None:
    """Another uv; `$place` is the environment's folder when it installs."""
    path = folder / "uv"
    path.write_text(f'#!/bin/sh\n[ "$1" = venv ] && exit 0\nplace=${{4%/bin/python}}\n{script}\n')
    path.chmod(0o755)
    monkeypatch.setattr(installing, "uv", lambda hint: str(path))


def test_the_release_is_found_wherever_it_lies_in_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large file is looked at in pieces, which may cut the release in two."""
    folder = version(tmp_path / "a")
    state = pickle.dumps({"_sklearn_version": "1.10.2"})
    monkeypatch.setattr("bentos.admission.wanted.PIECE", 256)
    for before in range(600):
        (folder / "model.pkl").write_bytes(bytes(before) + state)
        found = wanted(folder)
        assert found
        assert found.minor == "1.10"


def test_what_cannot_be_had_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, made = version(tmp_path / "a", "0.24.1"), Environments(tmp_path / "environments")
    uv(monkeypatch, tmp_path, "echo No solution found, $@; exit 1")
    refused("library", "scikit-learn 0.24.1 wrote it.*No solution.*train", lambda: made.of(folder))
    uv(monkeypatch, tmp_path, "mkdir -p $place/lib/python3/site-packages/Evil_One-1.0.dist-info")
    refused("library", "not reviewed: evil-one; ", lambda: made.of(folder))
    uv(monkeypatch, tmp_path, "echo the network is down; exit 1")
    with pytest.raises(StoreUnavailable, match="the network is down"):
        made.of(folder)
    uv(monkeypatch, tmp_path, "exec sleep 60")
    monkeypatch.setattr(installing, "LOOK", 0.01)
    monkeypatch.setattr(environments, "BYTES", 1)
    refused("library", "more than 1 bytes", lambda: made.of(folder))
    monkeypatch.setattr(installing, "SECONDS", 0.0)
    with pytest.raises(StoreUnavailable, match="not built after 0 s"):
        made.of(folder)
    assert [path.suffix for path in made.root.iterdir()] == [".lock"]


def test_an_environment_is_built_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, made = version(tmp_path / "a", OLD), Environments(tmp_path / "environments")
    asked = wanted(folder)
    assert asked
    uv(monkeypatch, tmp_path, "mkdir -p $place/bin; touch $place/bin/python; env > $place/env")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "none of its business")
    (killed := made.root / f"partial-{digest(asked)}" / "lib").mkdir(parents=True)
    python = made.of(folder)
    assert python
    assert not killed.exists()
    assert not (python.parents[1] / "lib").exists()
    assert "AWS" not in (python.parents[1] / "env").read_text()
    uv(monkeypatch, tmp_path, "exit 3")
    assert made.of(version(tmp_path / "b", OLD)) == python
    with pytest.raises(StoreUnavailable):
        made.of(version(tmp_path / "c", "1.5.1"))


def elsewhere_judged(folder: Path, python: str = sys.executable, **rules: Any) -> Any:
    """The verdict of a version that is opened by another Python."""
    asked = structs.replace(case(folder, BY_SCHEMA, **rules), environment=Path(python))
    return judge(asked), asked


def test_what_serves_answers_as_the_model_does_elsewhere(tmp_path: Path) -> None:
    logged = CASES["scikit-learn"]()
    mlmodel = saved(logged, "both", tmp_path)
    verdict, asked = elsewhere_judged(mlmodel.folder)
    assert isinstance(verdict, Admitted), verdict
    assert verdict.runs == "onnx"
    assert f"with scikit-learn {here}" in verdict.note
    assert "rows are answered alike" in verdict.note
    release = open_release(asked.version, verdict, asked.place)
    assert release.schema
    assert release.probabilities.predict
    wanted_answers = logged.answers(rows(logged))
    same(release.predict(batch(release.schema, logged, rows(logged))), wanted_answers)


def test_where_answers_differ_here_a_runner_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged = CASES["scikit-learn"]()
    mlmodel = saved(logged, "both", tmp_path)
    opened = open_model(mlmodel)
    opened.model[-1].intercept_[0] += 1  # type: ignore[index]
    monkeypatch.setattr(stand_ins, "PROOF_SECONDS", 0.2)
    monkeypatch.setattr(stand_ins, "open_model", lambda _: opened)
    verdict, asked = elsewhere_judged(mlmodel.folder, compile=False)
    assert isinstance(verdict, Admitted), verdict
    assert (verdict.runs, verdict.python) == ("runner", sys.executable)
    assert "cannot stand in for it" in verdict.note
    assert "are answered otherwise" in verdict.note
    release = open_release(asked.version, verdict, asked.place)
    assert release.schema
    assert release.probabilities.predict
    assert release.process
    assert verdict.memory > 50 << 20
    table = batch(release.schema, logged, rows(logged))
    same(release.predict(table), logged.answers(rows(logged)))
    assert release.probabilities.predict(table).names == ("prediction", "probabilities")
    assert not structs.replace(verdict, python="/gone").holds(asked.place)


def test_a_process_that_ends_is_a_refusal(tmp_path: Path) -> None:
    mlmodel = saved(CASES["scikit-learn"](), "both", tmp_path)
    verdict, _ = elsewhere_judged(mlmodel.folder, "/bin/false")
    assert isinstance(verdict, Refused)
    assert (verdict.reason, "ended with the exit status 1" in verdict.message) == ("crash", True)


@pytest.fixture
def registry() -> Iterator[Registry]:
    registry = Registry("http://127.0.0.1:1", 1.0)
    with closing(registry.http):
        yield registry


def test_a_promoted_version_gets_its_environment(
    tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    promoted = Version("homes", "1")
    version(artifacts(tmp_path).folder(promoted), "0.24.1")
    uv(monkeypatch, tmp_path, "echo No solution found; exit 1")
    office = Counting()
    on, off = (store(tmp_path, registry, office, environments=flag) for flag in (True, False))
    refused("library", "0.24.1 wrote it", lambda: on.admit(BY_SCHEMA, promoted))
    assert office.judged == 0
    refused("flavor", "model.pkl", lambda: off.admit(BY_SCHEMA, promoted))


def made() -> Environments:
    """Kept from one run to the next."""
    return Environments(Path(tempfile.gettempdir(), f"ascenso-environments-{os.getuid()}"))


def python_of(release: str) -> Path:
    """The Python of an older release."""
    try:
        return made().python(Wanted({"scikit-learn": release}, skops=False))
    except StoreUnavailable as error:
        pytest.skip(f"no package index: {error}")
    except Refusal as error:
        if "cannot be had" not in error.message:
            raise
        pytest.skip(f"an index without old releases: {error}")


@pytest.mark.parametrize(
    ("release", "kind", "served"),
    [
        (OLD, "ColumnTransformer, imputers, RandomForestClassifier", "onnx, equal"),
        ("1.2.2", "KNeighborsRegressor", "runner, equal"),
    ],
)
def test_an_older_release_of_its_own(tmp_path: Path, release: str, kind: str, served: str) -> None:
    """Of pickles that the release here cannot read; 1,000 rows are answered as it did."""
    python = python_of(release)
    subprocess.run([python, old_models.__file__, tmp_path, kind], check=True, env={})
    with closing(Office()) as office:
        found = judged(tmp_path / kind, made(), office)
    assert found.served == served, found
    assert f"with scikit-learn {release}" in found.note
    assert np.isfinite(found.seconds)


SEARCH = """
import sys, cloudpickle, numpy as np
from sklearn.metrics import make_scorer
from sklearn.model_selection import GridSearchCV
from sklearn.tree import DecisionTreeClassifier
def cost(wanted, found):
    return float(np.mean(wanted == found))
X = np.random.default_rng(0).random((60, 2))
model = GridSearchCV(DecisionTreeClassifier(), {"max_depth": [2]}, scoring=make_scorer(cost), cv=2)
with open(sys.argv[1], "wb") as file:
    cloudpickle.dump(model.fit(X, (X[:, 0] > X[:, 1]).astype(int)), file)
"""


def test_an_older_release_in_quarantine(tmp_path: Path) -> None:
    require_sandbox()
    folder, old = version(tmp_path / "model", OLD), python_of(OLD)
    subprocess.run([old, "-c", SEARCH, folder / "model.pkl"], check=True, env={})
    verdict, _ = elsewhere_judged(folder, str(old), quarantine=["*"])
    assert isinstance(verdict, Admitted), verdict
    assert verdict.note.startswith(f"opened in quarantine, with scikit-learn {OLD}, numpy ")
    assert verdict.runs == "onnx"
