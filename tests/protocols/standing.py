"""Models that stand in memory behind every HTTP door, without a registry."""

from pathlib import Path

from bentos.flavors.mlmodel import MLmodel
from bentos.flavors.natives import Predict
from bentos.flavors.opening import open_model
from bentos.models.service import build
from bentos.registry.client import Version
from bentos.serving.release import Release
from bentos.settings import ModelSettings, Settings
from bentos.tensors import Schema
from bentos.web.app import App

__all__ = ["Predict", "app", "put", "stand"]


def app(alone: str = "") -> App:
    """The service of all models, or of one alone, while there are none."""
    return build(Settings(models=ModelSettings(prefix="", exclude=[], alone=alone)))


def stand(app: App, name: str, folder: Path, version: str = "1") -> Release:
    """Let the model of a folder, as MLflow writes it, serve under a name."""
    opened = open_model(MLmodel(folder))
    return put(app, name, opened.schema, opened.predict, version)


def put(app: App, name: str, schema: Schema, predict: Predict, version: str = "1") -> Release:
    """Let anything serve that answers batches of a schema."""
    release = Release(Version(name, version), predict, "native", 0.0, 0.0, schema=schema)
    (rack,) = app.following.racks
    (rack.get(name) or rack.add([name])[0]).swap(release)
    return release
