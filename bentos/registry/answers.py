"""What MLflow's REST API answers with, as far as it is read."""

import msgspec

from bentos.registry.entities import Model
from bentos.version import Tag, Version


class ModelPage(msgspec.Struct):
    """Some of the registered models."""

    registered_models: list[Model] = []
    next_page_token: str = ""


class OneModel(msgspec.Struct):
    """A registered model."""

    registered_model: Model


class VersionPage(msgspec.Struct):
    """Some of the versions of a model."""

    model_versions: list[Version] = []
    next_page_token: str = ""


class OneVersion(msgspec.Struct):
    """A version."""

    model_version: Version


class ArtifactUri(msgspec.Struct):
    """Where the files of a version lie."""

    artifact_uri: str


class Info(msgspec.Struct):
    """What is known of a logged model."""

    tags: tuple[Tag, ...] = ()


class Logged(msgspec.Struct):
    """A logged model: what a version is made of."""

    info: Info


class OneLogged(msgspec.Struct):
    """A logged model by itself."""

    model: Logged
