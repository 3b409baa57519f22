"""Small versions in a real registry: good ones as training registers them, and bad ones."""

import hashlib
import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types.schema import ColSpec, Schema
from sklearn.linear_model import LinearRegression

import mlflow
from bentos.registry.client import Registry, Tag, Version
from bentos.registry.sources import open_source
from bentos.serving.release import Contract
from bentos.settings import RegistrySettings
from mlflow import MlflowClient
from tests.serving.servers import Store
from training import tracking
from training.manifest import Samples, write_manifest

with warnings.catch_warnings():  # mlflow warns about its own type hints
    warnings.simplefilter("ignore")
    import mlflow.pyfunc
    import mlflow.sklearn

EXPERIMENT = "serving-tests"
LIBRARIES = ("scikit-learn", "numpy", "skops")
CONTRACT = Contract({"x": "double"}, {"y": "double"})
SIGNATURE = ModelSignature(Schema([ColSpec("double", "x")]), Schema([ColSpec("double", "y")]))
INPUTS = pd.DataFrame({"x": np.linspace(-3.0, 3.0, 8)})


def line(slope: float) -> LinearRegression:
    """A model that answers slope * x."""
    X = INPUTS.to_numpy()
    return LinearRegression().fit(X, slope * X[:, 0])


def save(model: object, folder: Path, **options: Any) -> None:
    """Write a model as training does; `options` overrule."""
    options = {
        "serialization_format": "skops",
        "signature": SIGNATURE,
        "pip_requirements": ["scikit-learn"],
    } | options
    mlflow.sklearn.save_model(model, folder, **options)


def samples(model: Any) -> Samples:
    return Samples(INPUTS, model.predict(INPUTS.to_numpy()))


def signed(model: Any, folder: Path, **options: Any) -> Path:
    """A folder with the samples and the manifest of training."""
    save(model, folder, **options)
    write_manifest(folder, samples(model), LIBRARIES)
    return folder


def resign(folder: Path, change: Callable[[dict[str, Any]], None] = lambda manifest: None) -> None:
    """Make the manifest true again after a change of the folder, then change the manifest."""
    path = folder / "ascenso" / "manifest.json"
    manifest = json.loads(path.read_text())
    files = [file for file in folder.rglob("*") if file.is_file() and file != path]
    manifest["files"] = {
        file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in files
    }
    change(manifest)
    path.write_text(json.dumps(manifest))


def digest(folder: Path) -> str:
    """What training notes on the version of this folder."""
    manifest = (folder / "ascenso" / "manifest.json").read_bytes()
    return f"sha256:{hashlib.sha256(manifest).hexdigest()}"


def digest_tag(folder: Path) -> Tag:
    return Tag("ascenso.digest", digest(folder))


class Shelf:
    """One model's versions in a real registry."""

    def __init__(self, registry: Registry, store: Store, name: str) -> None:
        self.registry = registry
        self.store = store
        self.name = name

    def add(self, slope: float = 1.0) -> Version:
        """Register a good version, as training does."""
        model = line(slope)
        with tracking.run(EXPERIMENT):
            made = tracking.register(
                self.name, lambda path: save(model, path), samples(model), LIBRARIES
            )
        return self.version(made.version)

    def publish(self, folder: Path, digest: str = "") -> Version:
        """Register a folder as it is."""
        with tracking.run(EXPERIMENT) as run:
            client = MlflowClient()
            model = client.create_logged_model(
                run.info.experiment_id, name=self.name, source_run_id=run.info.run_id
            )
            client.log_model_artifacts(model.model_id, str(folder))
            client.finalize_logged_model(model.model_id, "READY")
            made = tracking.create_version(self.name, model, digest)
        if not digest:
            client.delete_model_version_tag(self.name, made.version, "ascenso.digest")
        return self.version(made.version)

    def version(self, number: str | int) -> Version:
        return self.registry.version(self.name, str(number))

    def key(self, version: Version, name: str) -> str:
        """Where a file of a version lies in the store."""
        uri = self.registry.artifact_uri(version)
        return f"{uri.removeprefix('mlflow-artifacts:/')}/{name}"

    def files(self, version: Version) -> list[str]:
        """The names of its files."""
        uri = self.registry.artifact_uri(version)
        return open_source(self.registry, RegistrySettings(), uri).names()

    def promote(
        self, version: Version | str, archive: bool = False, to: str = "Production"
    ) -> None:
        """Move a version to a stage as the UI does; its box "archive existing" is not ticked."""
        body = {
            "name": self.name,
            "version": getattr(version, "version", version),
            "stage": to,
            "archive_existing_versions": archive,
        }
        path = "mlflow/model-versions/transition-stage"
        self.registry.http.post(path, json=body).raise_for_status()


def state(shelf: Shelf, number: int) -> str:
    """What the registry says of the service of a version."""
    return shelf.version(number).tag("serving.state")


def bad(shelf: Shelf, folder: Path) -> None:
    """Register and promote a version that answers otherwise than its samples."""
    save(line(5.0), folder)
    write_manifest(folder, samples(line(1.0)), LIBRARIES)
    shelf.promote(shelf.publish(folder, digest(folder)))


@dataclass
class Bench:
    """What it takes to make a bad version."""

    shelf: Shelf
    store: Store
    folder: Path

    def publish(self, folder: Path) -> Version:
        return self.shelf.publish(folder, digest(folder))

    def replace(self, version: Version, name: str, content: bytes) -> Version:
        """Change a file in the store, behind MLflow's back."""
        self.store.put(self.shelf.key(version, name), content)
        return version
