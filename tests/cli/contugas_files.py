"""contugas as it was: a folder of joblib files, and the arithmetic over them."""

from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.ensemble import IsolationForest
from sklearn.preprocessing import StandardScaler

from training.contugas.readings import synthetic
from training.contugas.settings import Synthetic

FEATURES = ["Presion", "Temperatura", "Volumen"]
ORDER = ["presion", "temperatura", "volumen"]


def write(folder: Path) -> pd.DataFrame:
    """Fit and store all parts as the first training did; gives the readings."""
    table = synthetic(Synthetic(clients=20, hours=600, seed=3)).table
    means = table.groupby("Cliente")[FEATURES].mean()
    scaler = StandardScaler().fit(means)
    kmeans = KMeans(n_clusters=5, random_state=42, n_init=10).fit(scaler.transform(means))
    of_client = dict(zip(means.index, kmeans.labels_, strict=True))
    clusters = table["Cliente"].map(of_client)
    folder.mkdir(parents=True)
    joblib.dump(scaler, folder / "scaler.joblib")
    joblib.dump(kmeans, folder / "kmeans_model.joblib", compress=3)
    for number in range(5):
        rows = table.loc[clusters == number, FEATURES]
        joblib.dump(_bundle(rows), folder / f"modelo_cluster_{number}_prod.joblib")
    return table


def _bundle(rows: pd.DataFrame) -> dict[str, Any]:
    scaler = StandardScaler().fit(rows)
    scaled = scaler.transform(rows)
    forest = IsolationForest(contamination=0.3, random_state=42).fit(scaled)
    threshold = float(np.quantile(forest.decision_function(scaled), 0.4))
    return {"model": forest, "scaler": scaler, "features": FEATURES, "threshold": threshold}


def answers(folder: Path, readings: pd.DataFrame) -> NDArray[np.int64]:
    """Cluster and verdict of each reading, as the first service computed them."""
    parts = {path.stem: joblib.load(path) for path in folder.glob("*.joblib")}
    rows = readings.set_axis(FEATURES, axis=1)
    scaled = parts["scaler"].transform(rows)
    found = np.zeros((len(rows), 2), np.int64)
    found[:, 0] = parts["kmeans_model"].predict(scaled)
    for number in range(5):
        bundle, member = parts[f"modelo_cluster_{number}_prod"], found[:, 0] == number
        if member.any():
            own = bundle["scaler"].transform(rows[member])
            decided = bundle["model"].decision_function(own)
            found[member, 1] = decided < bundle["threshold"]
    return found
