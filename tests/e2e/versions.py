"""Two versions of contugas-anomaly that differ in their answers, and any number of copies."""

import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from bentos.registry.client import Registry
from training.contugas.model import FIELDS, OUTPUTS
from training.contugas.readings import clean, synthetic
from training.contugas.settings import Settings, Synthetic
from training.settings import read_settings

with warnings.catch_warnings():  # mlflow warns about its own type hints
    warnings.simplefilter("ignore")
    import mlflow.pyfunc

    from training.contugas.train import MODEL, launch, load

Rows = list[dict[str, float]]
Answers = list[dict[str, int]]

ROWS = 48


@dataclass
class Versions:
    """What is in the registry, and what each version answers to `rows`.

    `old` and `new` differ in their answer to every one of the rows.
    """

    registry: Registry
    old: str
    new: str
    rows: Rows
    answers: dict[str, Answers] = field(default_factory=dict)

    def copy(self, version: str) -> str:
        """Another version with the same files, which no service has seen before."""
        before = self._call("GET", "get", params={"name": MODEL, "version": version})
        same = {key: before[key] for key in ("name", "source", "run_id")}
        tags = [tag for tag in before["tags"] if tag["key"] == "ascenso.digest"]
        body = same | {"tags": tags, "model_id": before["source"].removeprefix("models:/")}
        made = str(self._call("POST", "create", json=body)["version"])
        self.answers[made] = self.answers[version]
        return made

    def promote(self, version: str) -> None:
        self.registry.promote(MODEL, version, "Production")

    def point(self, alias: str, version: str) -> None:
        self.registry.set_alias(MODEL, version, alias)

    def tags(self, version: str) -> dict[str, str]:
        return {tag.key: tag.value for tag in self.registry.version(MODEL, version).tags}

    def _call(self, method: str, verb: str, **options: Any) -> dict[str, Any]:
        answer = self.registry.http.request(method, f"mlflow/model-versions/{verb}", **options)
        body: dict[str, Any] = answer.raise_for_status().json()["model_version"]
        return body


def made(registry: Registry, old: str, folder: Path) -> Versions:
    """Train a second version on other data with another seed, beside the one that there is."""
    settings = read_settings("contugas", Settings)
    other = msgspec.structs.replace(settings, random_state=7, synthetic=Synthetic(20, 300, 11))
    new = str(launch(None, other).version)
    readings = clean(synthetic(other.synthetic), least_clients=1).X
    answered = {version: _answers(registry, version, folder, readings) for version in (old, new)}
    differ = np.flatnonzero((answered[old] != answered[new]).any(axis=1))
    X = readings[np.random.default_rng(3).choice(differ, ROWS, replace=False)]
    versions = Versions(
        registry, old, new, [dict(zip(FIELDS, x, strict=True)) for x in X.tolist()]
    )
    for version in (old, new):
        answers = _answers(registry, version, folder, X).tolist()
        versions.answers[version] = [dict(zip(OUTPUTS, y, strict=True)) for y in answers]
    return versions


def _answers(registry: Registry, version: str, folder: Path, X: Any) -> Any:
    """What the version's own estimator says, as training saved it: not what serving made of it."""
    path = folder / version
    if not path.exists():
        mlflow.artifacts.download_artifacts(
            f"models:/{MODEL}/{version}", dst_path=str(path), tracking_uri=registry.uri
        )
    return load(path)(X)
