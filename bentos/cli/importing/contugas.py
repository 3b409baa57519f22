"""contugas' first layout: a scaler, a KMeans, and a bundle for each cluster.

`scaler.joblib`, `kmeans_model.joblib`, `modelo_cluster_0_prod.joblib`, ... A bundle is a dict of
`model` (an isolation forest), `scaler`, `features` and `threshold`.
"""

import re
import warnings
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from bentos.cli.errors import Failed
from bentos.cli.importing.brought import Brought, Tried, chosen, rows_of
from bentos.cli.importing.items import Item
from training.contugas.model import FIELDS, OUTPUTS, AnomalyModel, ClusterModel, Ints
from training.data import Dataset
from training.errors import InputError
from training.manifest import Samples

SCALER, KMEANS = "scaler", "kmeans_model"
CLUSTER = re.compile(r"modelo_cluster_(\d+)_prod")
KEYS = {"model", "scaler", "features", "threshold"}


def found(items: Sequence[Item]) -> Brought | None:
    """The model, where the files are of this layout. Raises Failed for one that is not whole."""
    named = {PurePosixPath(item.file).stem: item for item in items}
    numbers = {int(m[1]): stem for stem in named if (m := CLUSTER.fullmatch(stem))}
    if not numbers or SCALER not in named or KMEANS not in named:
        return None
    scaler, kmeans = named[SCALER].content, named[KMEANS].content
    wanted = list(range(len(getattr(kmeans, "cluster_centers_", ()))))
    if sorted(numbers) != wanted:
        raise Failed(f"the KMeans has the clusters {wanted}, and there are {sorted(numbers)}")
    bundles = [named[numbers[number]] for number in wanted]
    return brought(AnomalyModel(scaler, kmeans, [_cluster(bundle) for bundle in bundles]))


def _cluster(item: Item) -> ClusterModel:
    bundle = item.content
    if not isinstance(bundle, dict) or set(bundle) != KEYS:
        raise Failed(f"{item.file} holds a {item.what}; a bundle is a dict of {sorted(KEYS)}")
    features = tuple(str(name).lower() for name in bundle["features"])
    if features != FIELDS:
        raise Failed(
            f"{item.file} takes {', '.join(features)}; contugas takes {', '.join(FIELDS)}"
        )
    if any(len(used) != len(FIELDS) for used in bundle["model"].estimators_features_):
        raise Failed(f"{item.file} has trees that read some columns only (max_features)")
    return ClusterModel(bundle["scaler"], bundle["model"], float(bundle["threshold"]))


def brought(model: AnomalyModel) -> Brought:
    """An anomaly model as training registers one."""
    from training.contugas.train import LIBRARIES, load, save

    def saved(path: Path, samples: Samples) -> None:
        save(model, path)

    what = f"contugas' anomaly model of {len(model.clusters)} clusters"
    return Brought(what, lambda data: sample(model, data), saved, load, LIBRARIES)


def sample(model: AnomalyModel, dataset: Dataset) -> Tried:
    """Readings with their answers, which are those of the files. Raises InputError."""
    rows = rows_of(dataset, FIELDS, len(FIELDS))
    X = rows.to_numpy(np.float64)
    answers = model.predict(X)
    if not np.array_equal(answers, as_before(model, X)):
        raise InputError("the model does not answer as its parts do: please report this")
    at = chosen(answers)
    outputs = pd.DataFrame(answers[at], columns=list(OUTPUTS))
    return Tried(len(rows), Samples(rows.iloc[at], outputs))


def as_before(model: AnomalyModel, X: Any) -> Ints:
    """What the files gave, by scikit-learn's own methods: cluster and verdict (n, 2)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names, which the parts know and the rows need not
        clusters = model.kmeans.predict(model.scaler.transform(X))
        answers = np.stack([clusters, np.zeros_like(clusters)], axis=1).astype(np.int64)
        for number, part in enumerate(model.clusters):
            member = clusters == number
            if member.any():
                decided = part.forest.decision_function(part.scaler.transform(X[member]))
                answers[member, 1] = decided < part.threshold
    return answers
