"""The recipe: means to clusters, percentile bands to proxy labels, forests to thresholds."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from os import cpu_count

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.ensemble import IsolationForest
from sklearn.metrics import silhouette_score
from sklearn.preprocessing import StandardScaler

from training.contugas.model import AnomalyModel, ClusterModel, Floats
from training.contugas.readings import Readings
from training.contugas.settings import Settings
from training.errors import InputError
from training.progress import track

CHUNK = 16_384  # rows scored at a time

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Quality:
    """How well a threshold reproduces the proxy labels."""

    threshold: float
    f1: float
    precision: float
    recall: float


@dataclass(frozen=True)
class ClusterReport:
    """What came out for one cluster: `decisions` and `proxy` are of its rows, (n,)."""

    quality: Quality
    proxy: Bools
    decisions: Floats

    def metrics(self) -> dict[str, float]:
        """Rows, proxy share, threshold, F1, precision and recall."""
        return {
            "rows": len(self.proxy),
            "proxy_share": float(self.proxy.mean()),
            **asdict(self.quality),
        }


@dataclass(frozen=True)
class Result:
    """A trained model and its figures; `means` (clients, 3) and `labels` (clients,) by client."""

    model: AnomalyModel
    means: Floats
    labels: NDArray[np.intp]
    silhouette: float
    clusters: list[ClusterReport]


def train(readings: Readings, settings: Settings) -> Result:
    """Run the whole recipe.

    Raises `InputError` when the clients do not fall into as many clusters as asked for.
    """
    means = readings.means()
    scaler = StandardScaler().fit(means)
    kmeans = group(scaler.transform(means), settings)
    labels = kmeans.labels_
    silhouette = float(silhouette_score(scaler.transform(means), labels))
    row_labels = labels[readings.client]
    models, reports = [], []
    for cluster in range(settings.clusters):
        X = readings.X[row_labels == cluster]
        model, report = train_cluster(X, settings, label=f"cluster {cluster}")
        models.append(model)
        reports.append(report)
    return Result(AnomalyModel(scaler, kmeans, models), means, labels, silhouette, reports)


def group(points: Floats, settings: Settings) -> KMeans:
    """Cluster scaled client means (clients, 3)."""
    if len(np.unique(points, axis=0)) <= settings.clusters:
        raise InputError(
            f"Too few clients differ in their means for {settings.clusters} clusters."
        )
    kmeans = KMeans(
        n_clusters=settings.clusters,
        random_state=settings.random_state,
        n_init=settings.kmeans_inits,
    )
    return kmeans.fit(points)


def train_cluster(X: Floats, settings: Settings, label: str) -> tuple[ClusterModel, ClusterReport]:
    """Fit the scaler, forest and threshold of one cluster's rows (n, 3)."""
    proxy = outside(X, settings.percentiles)
    contamination = float(np.clip(proxy.mean(), *settings.contamination))
    scaler = StandardScaler().fit(X)
    forest = IsolationForest(random_state=settings.random_state).fit(scaler.transform(X))
    model = ClusterModel(scaler, forest, threshold=0.0)
    scores = score(model, X, label)
    # What fit(contamination=...) would do, after scoring every row a second time.
    forest.set_params(contamination=contamination)
    forest.offset_ = np.percentile(scores, 100.0 * contamination)
    decisions = scores - forest.offset_
    quality = best_threshold(decisions, proxy, np.linspace(*settings.thresholds))
    model.threshold = quality.threshold
    return model, ClusterReport(quality, proxy, decisions)


def outside(X: Floats, percentiles: tuple[float, float]) -> Bools:
    """Proxy labels of a cluster's rows (n, 3): any variable outside its percentile band."""
    low, high = np.percentile(X, percentiles, axis=0)
    return np.asarray(((low > X) | (high < X)).any(axis=1))


def score(model: ClusterModel, X: Floats, label: str) -> Floats:
    """Score rows (n, 3) in chunks, on all cores, with progress."""
    chunks = np.array_split(X, max(1, len(X) // CHUNK))
    with ThreadPoolExecutor(cpu_count()) as pool:
        scored: Iterator[Floats] = pool.map(model.scores, chunks)
        return np.concatenate(list(track(scored, len(chunks), f"scoring {label}")))


def best_threshold(decisions: Floats, proxy: Bools, grid: Floats) -> Quality:
    """Find the first threshold of `grid` with the best F1 of `decisions < threshold`.

    One sort instead of one pass for each threshold: the rows below it are a prefix.
    """
    order = np.argsort(decisions)
    below = np.searchsorted(decisions[order], grid, side="left")
    hits = np.concatenate([[0], np.cumsum(proxy[order])])[below]
    actual = int(proxy.sum())
    f1 = ratio(2.0 * hits, below + actual)
    best = int(f1.argmax())
    return Quality(
        threshold=float(grid[best]),
        f1=float(f1[best]),
        precision=float(ratio(hits, below)[best]),
        recall=float(ratio(hits, np.full_like(hits, actual))[best]),
    )


def ratio(part: NDArray[np.number], whole: NDArray[np.number]) -> Floats:
    """Divide; 0 where there is nothing to divide by."""
    zeros = np.zeros(len(part))
    np.divide(part, whole, out=zeros, where=whole > 0)
    return zeros
