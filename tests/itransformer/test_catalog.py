"""Models that somebody else deletes while they are listed, or cleared."""

from pathlib import Path

import pytest

from bentos.itransformer.catalog import Catalog
from bentos.registry.client import Model, NotInRegistry, Version
from bentos.registry.runs import Runs
from bentos.settings import Settings

NAMES = ("one", "two", "three")


class Fleeting(Runs):
    """Holds three models; what belongs to `two` goes as soon as it was seen."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:9")
        self.held = {f"itransformer-{name}" for name in NAMES}

    def models(self, prefix: str = "", name: str = "") -> dict[str, Model]:
        return {held: Model(held) for held in self.held}

    def versions(self, name: str) -> list[Version]:
        return [Version(name, "1")]

    def artifact_uri(self, version: Version) -> str:
        if version.name == "itransformer-two":
            self.held.discard(version.name)
            raise NotInRegistry(f"{version} is not here")
        return "mlflow-artifacts:/1/models/m-1/artifacts"

    def sizes(self, uri: str) -> dict[str, int]:
        return {"weights.pth": 1024}

    def remove(self, uri: str) -> None:
        pass

    def delete_logged_model(self, model_id: str) -> None:
        pass

    def delete_model(self, name: str) -> None:
        self.held.discard(name)


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return Catalog(Fleeting(), Settings(home=tmp_path))


def test_the_others_are_listed(catalog: Catalog) -> None:
    assert [one.model_name for one in catalog.listed()] == ["one", "three"]


def test_the_others_are_cleared(catalog: Catalog) -> None:
    catalog.clear()
    assert catalog.names() == []
