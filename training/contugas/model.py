"""The model that answers: which cluster a reading belongs to, and whether it is anomalous."""

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.cluster import KMeans
from sklearn.ensemble import IsolationForest
from sklearn.preprocessing import StandardScaler

FIELDS = ("presion", "temperatura", "volumen")
OUTPUTS = ("cluster", "prediccion")

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class ClusterModel(BaseEstimator):  # type: ignore[misc]
    """The anomaly model of one cluster: scaler, forest and decision threshold, all fitted."""

    def __init__(self, scaler: StandardScaler, forest: IsolationForest, threshold: float) -> None:
        self.scaler = scaler
        self.forest = forest
        self.threshold = threshold

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()
        return {key: value for key, value in state.items() if key != "paths"}

    @cached_property
    def paths(self) -> list[Floats]:
        """Path length of each node of each tree, as `IsolationForest` counts it."""
        trees = [estimator.tree_ for estimator in self.forest.estimators_]
        return [
            tree.compute_node_depths() + mean_path_length(tree.n_node_samples) - 1.0
            for tree in trees
        ]

    def scores(self, X: ArrayLike) -> Floats:
        """Give what `forest.score_samples` gives for readings (n, 3): float64 (n,), bit for bit.

        Asks the trees directly: scikit-learn's checks and thread pool cost 5 ms a call.
        """
        rows = narrow(scale(self.scaler, np.asarray(X, dtype=np.float64)))
        # The trees themselves do not look: a wider forest would read outside of the rows.
        if any(tree.tree_.n_features != rows.shape[1] for tree in self.forest.estimators_):
            raise ValueError(f"a tree reads other columns than the {rows.shape[1]} of a reading")
        depths = np.zeros(len(rows))
        for estimator, paths in zip(self.forest.estimators_, self.paths, strict=True):
            depths += paths[estimator.tree_.apply(rows)]
        expected = mean_path_length(np.array([self.forest.max_samples_]))
        scores: Floats = -(2.0 ** (-depths / (len(self.paths) * expected)))
        return scores

    def decide(self, X: ArrayLike) -> Floats:
        """Decision values of readings (n, 3): float64 (n,), lower is more anomalous."""
        return self.scores(X) - float(self.forest.offset_)

    def predict(self, X: ArrayLike) -> Ints:
        """Judge readings (n, 3): int64 (n,), 1 for an anomaly, 0 for normal."""
        return (self.decide(X) < self.threshold).astype(np.int64)


class AnomalyModel(BaseEstimator):  # type: ignore[misc]
    """Scaler and KMeans over client means, and one `ClusterModel` for each cluster, fitted."""

    def __init__(
        self, scaler: StandardScaler, kmeans: KMeans, clusters: list[ClusterModel]
    ) -> None:
        self.scaler = scaler
        self.kmeans = kmeans
        self.clusters = clusters

    def assign(self, X: ArrayLike) -> Ints:
        """Nearest cluster of readings (n, 3), numbered as KMeans numbers them: int64 (n,)."""
        rows = scale(self.scaler, np.asarray(X, dtype=np.float64))
        centers = self.kmeans.cluster_centers_
        with np.errstate(over="ignore", invalid="ignore"):
            distances = (centers**2).sum(axis=1) - 2.0 * rows @ centers.T
        return np.asarray(distances.argmin(axis=1), dtype=np.int64)

    def predict(self, X: ArrayLike) -> Ints:
        """Answer readings (n, 3) of presion, temperatura, volumen, finite, in their units.

        Gives int64 (n, 2): cluster, and prediccion (1 for an anomaly, 0 for normal).
        """
        X = np.asarray(X, dtype=np.float64)
        clusters = self.assign(X)
        answers = np.stack([clusters, np.zeros_like(clusters)], axis=1)
        for cluster in np.unique(clusters):
            member = clusters == cluster
            answers[member, 1] = self.clusters[cluster].predict(X[member])
        return answers


def scale(scaler: StandardScaler, X: Floats) -> Floats:
    """Do what `scaler.transform` does, without its checks."""
    scaled: Floats = (X - scaler.mean_) / scaler.scale_
    return scaled


def narrow(X: Floats) -> NDArray[np.float32]:
    """Trees read float32; what does not fit becomes infinite, which they order well."""
    with np.errstate(over="ignore"):
        return X.astype(np.float32)


def mean_path_length(samples: NDArray[Any]) -> Floats:
    """Mean path length of a search tree over n samples: c(n) of Liu et al., 2008, equation 1."""
    n = np.asarray(samples, dtype=np.float64)
    many = n > 2
    lengths = np.where(n == 2, 1.0, 0.0)
    harmonic = np.log(n[many] - 1.0) + np.euler_gamma
    lengths[many] = 2.0 * harmonic - 2.0 * (n[many] - 1.0) / n[many]
    return lengths
