from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.ensemble import IsolationForest
from sklearn.metrics import f1_score, precision_score, recall_score, silhouette_score
from sklearn.preprocessing import StandardScaler

from training.contugas import recipe
from training.contugas.readings import COLUMNS, VARIABLES, Readings, clean
from training.contugas.recipe import Quality, Result, best_threshold, outside, train
from training.contugas.settings import Settings
from training.data import Dataset, read_dataset
from training.errors import InputError

GRID = np.linspace(-1, 1, 201)


def follows_the_recipe(table: pd.DataFrame, result: Result) -> None:
    """Do the contract's steps with pandas and scikit-learn alone, and compare."""
    columns = list(VARIABLES)
    values = table[columns].astype("float64")
    client = table["Cliente"].astype(str)
    means = values.groupby(client).mean()
    scaled = StandardScaler().fit_transform(means.to_numpy())
    kmeans = KMeans(n_clusters=5, random_state=42, n_init=10).fit(scaled)
    np.testing.assert_allclose(result.means, means)
    np.testing.assert_array_equal(result.labels, kmeans.labels_)
    np.testing.assert_allclose(result.model.kmeans.cluster_centers_, kmeans.cluster_centers_)
    assert result.silhouette == pytest.approx(silhouette_score(scaled, kmeans.labels_))
    row_cluster = client.map(dict(zip(means.index, kmeans.labels_, strict=True)))
    for cluster in range(5):
        follows_the_cluster_recipe(values[row_cluster == cluster], result, cluster)


def follows_the_cluster_recipe(rows: pd.DataFrame, result: Result, cluster: int) -> None:
    report, model = result.clusters[cluster], result.model.clusters[cluster]
    low, high = rows.quantile(0.1), rows.quantile(0.9)
    proxy = ((rows < low) | (rows > high)).any(axis=1).to_numpy()
    np.testing.assert_array_equal(report.proxy, proxy)
    scaler = StandardScaler()
    X = scaler.fit_transform(np.ascontiguousarray(rows))
    contamination = float(np.clip(proxy.mean(), 0.001, 0.499))
    forest = IsolationForest(contamination=contamination, random_state=42).fit(X)
    np.testing.assert_array_equal(model.scaler.mean_, scaler.mean_)
    np.testing.assert_allclose(report.decisions, forest.decision_function(X), rtol=0, atol=1e-12)
    assert model.forest.get_params() == forest.get_params()
    assert model.forest.offset_ == pytest.approx(forest.offset_, rel=1e-12)
    expected = brute_force(report.decisions, proxy, GRID)
    assert astuple(report.quality) == pytest.approx(astuple(expected), rel=1e-12)
    assert model.threshold == expected.threshold


def brute_force(decisions: NDArray[Any], proxy: NDArray[Any], grid: NDArray[Any]) -> Quality:
    best, threshold = -1.0, 0.0
    for candidate in grid:
        flagged = decisions < candidate
        both = int(flagged.sum() + proxy.sum())
        f1 = 2 * int((flagged & proxy).sum()) / both if both else 0.0
        if f1 > best:
            best, threshold = f1, float(candidate)
    predicted = decisions < threshold
    scores = (f1_score, precision_score, recall_score)
    return Quality(threshold, *(float(s(proxy, predicted, zero_division=0)) for s in scores))


def test_synthetic_data_follows_the_recipe(dataset: Dataset, result: Result) -> None:
    follows_the_recipe(dataset.table, result)


def test_reports_the_figures_of_each_cluster(result: Result) -> None:
    assert sum(report.metrics()["rows"] for report in result.clusters) == 6000
    for report in result.clusters:
        metrics = report.metrics()
        assert set(metrics) == {"rows", "proxy_share", "threshold", "f1", "precision", "recall"}
        assert metrics["proxy_share"] == report.proxy.mean()


@pytest.mark.parametrize("seed", range(20))
def test_threshold_is_that_of_a_brute_force_search(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 400))
    decisions = rng.normal(0, 0.4, n)
    on_grid = rng.random(n) < 0.5
    decisions[on_grid] = rng.choice(GRID, on_grid.sum())  # equal to a threshold: not below it
    proxy = (decisions + rng.normal(0, 0.3, n)) < rng.normal(0, 0.3)
    found = best_threshold(decisions, proxy, GRID)
    assert astuple(found) == pytest.approx(astuple(brute_force(decisions, proxy, GRID)), rel=1e-12)


@pytest.mark.parametrize("proxy", [np.zeros(4, bool), np.ones(4, bool)])
def test_threshold_with_one_kind_of_label(proxy: NDArray[np.bool_]) -> None:
    decisions = np.array([-0.3, 0.1, 0.1, 0.4])
    assert best_threshold(decisions, proxy, GRID) == brute_force(decisions, proxy, GRID)


def test_the_band_itself_is_inside() -> None:
    X = np.repeat(np.arange(11.0)[:, None], 3, axis=1)
    assert np.flatnonzero(outside(X, (10, 90))).tolist() == [0, 10]
    assert np.flatnonzero(outside(X, (0, 100))).tolist() == []
    one_variable = X * [0, 0, 1]
    assert np.flatnonzero(outside(one_variable, (10, 90))).tolist() == [0, 10]


def test_chunks_do_not_change_a_score(
    result: Result, readings: Readings, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = result.model.clusters[0]
    whole = model.scores(readings.X)
    monkeypatch.setattr(recipe, "CHUNK", 97)
    np.testing.assert_array_equal(recipe.score(model, readings.X, "test"), whole)


def test_same_data_same_model(readings: Readings, settings: Settings, result: Result) -> None:
    again = train(readings, settings)
    np.testing.assert_array_equal(
        again.model.predict(readings.X), result.model.predict(readings.X)
    )


def test_clients_that_are_all_alike_are_refused(readings: Readings, settings: Settings) -> None:
    alike = replace(readings, X=np.ones_like(readings.X))
    with pytest.raises(InputError, match="Too few clients differ in their means for 5 clusters"):
        train(alike, settings)


def test_real_data_follows_the_recipe(real_file: Path, settings: Settings) -> None:
    real = read_dataset(str(real_file), COLUMNS)
    readings = clean(real, least_clients=6)
    result = train(readings, settings)
    follows_the_recipe(real.table, result)
    assert result.silhouette == pytest.approx(0.6903, abs=1e-4)
    rows = [len(report.proxy) for report in result.clusters]
    assert rows == [171910, 336775, 84496, 82764, 172015]
    assert result.model.predict([[1.2, 25.5, 100.0]]).tolist() == [[2, 1]]
