import zipfile
from copy import deepcopy
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import skops.io
from sklearn.ensemble import IsolationForest

from training.contugas.model import AnomalyModel
from training.contugas.readings import Readings
from training.contugas.recipe import Result
from training.contugas.train import TRUSTED, load, save


def test_scores_are_those_of_scikit_learn(result: Result, readings: Readings) -> None:
    for cluster in result.model.clusters:
        scaled = cluster.scaler.transform(readings.X)
        np.testing.assert_array_equal(
            cluster.scores(readings.X), cluster.forest.score_samples(scaled)
        )
        np.testing.assert_array_equal(
            cluster.decide(readings.X), cluster.forest.decision_function(scaled)
        )


def test_clusters_are_those_of_kmeans(result: Result, readings: Readings) -> None:
    model = result.model
    expected = model.kmeans.predict(model.scaler.transform(readings.X))
    np.testing.assert_array_equal(model.assign(readings.X), expected)


def test_each_row_is_judged_by_its_own_cluster(result: Result, readings: Readings) -> None:
    model, X = result.model, readings.X[::37]
    answers = model.predict(X)
    assert answers.dtype == np.int64
    assert answers.shape == (len(X), 2)
    assert set(answers[:, 1]) == {0, 1}
    for row, (cluster, anomaly) in zip(X, answers, strict=True):
        bundle = model.clusters[cluster]
        decision = bundle.forest.decision_function(bundle.scaler.transform([row]))[0]
        assert anomaly == (decision < bundle.threshold)
        np.testing.assert_array_equal(model.predict([row]), [[cluster, anomaly]])


def test_no_rows_give_no_answers(result: Result) -> None:
    assert result.model.predict(np.empty((0, 3))).shape == (0, 2)


def test_a_forest_of_other_columns_is_not_asked(result: Result) -> None:
    cluster = deepcopy(result.model.clusters[0])
    wide = np.random.default_rng(0).normal(size=(64, 30))
    cluster.forest = IsolationForest(n_estimators=10, random_state=0).fit(wide)
    with pytest.raises(ValueError, match="a tree reads other columns than the 3 of a reading"):
        cluster.scores(np.zeros((1, 3)))


@pytest.mark.parametrize("value", [1e300, -1e300, np.finfo(float).max, 5e-324])
def test_extreme_values_are_answered(result: Result, value: float) -> None:
    cluster, anomaly = result.model.predict([[value, value, value]])[0]
    assert 0 <= cluster < 5
    assert anomaly in (0, 1)


@pytest.fixture(scope="module")
def saved(result: Result, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "model"
    save(result.model, folder)
    return folder


def test_reads_back_the_same(saved: Path, result: Result, readings: Readings) -> None:
    np.testing.assert_array_equal(load(saved)(readings.X), result.model.predict(readings.X))


def test_needs_exactly_these_names_trusted(saved: Path) -> None:
    assert sorted(skops.io.get_untrusted_types(file=saved / "model.skops")) == sorted(TRUSTED)


def test_holds_no_pickle(saved: Path) -> None:
    assert not [path for path in saved.rglob("*") if path.suffix in (".pkl", ".pickle", ".joblib")]
    with zipfile.ZipFile(saved / "model.skops") as archive:
        arrays = [name for name in archive.namelist() if name != "schema.json"]
        assert arrays
        for name in arrays:
            np.load(BytesIO(archive.read(name)), allow_pickle=False)


def test_answering_leaves_nothing_in_the_file(saved: Path, tmp_path: Path) -> None:
    model: AnomalyModel = skops.io.load(saved / "model.skops", trusted=TRUSTED)
    before = {name for cluster in model.clusters for name in cluster.__getstate__()}
    model.predict([[1.2, 25.5, 100.0]])
    after = {name for cluster in model.clusters for name in cluster.__getstate__()}
    assert after == before == {"scaler", "forest", "threshold"}
