"""The shared stack's registry and bucket, as scoring uses them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from dotenv import dotenv_values

from bentos.registry.client import Registry
from bentos.scoring.model import admitted, promoted
from bentos.scoring.rows import Columns
from bentos.serving.release import Release
from bentos.settings import Settings
from tests.cli.conftest import ascenso as ascenso  # a fixture
from tests.serving.servers import reading
from tests.stack import Stack

Admit = Callable[..., tuple[Release, Columns]]


@pytest.fixture(scope="session")
def access(stack: Stack) -> dict[str, str]:
    """The variables that reach the stack's servers."""
    keys = dotenv_values(stack.settings.secrets, interpolate=False)
    return {
        "AWS_ACCESS_KEY_ID": keys["AWS_ACCESS_KEY_ID"] or "",
        "AWS_SECRET_ACCESS_KEY": keys["AWS_SECRET_ACCESS_KEY"] or "",
        "AWS_ENDPOINT_URL": stack.settings.s3,
        "AWS_DEFAULT_REGION": "us-east-1",
        "MLFLOW_TRACKING_URI": stack.mlflow,
    }


@pytest.fixture(scope="session")
def registry(stack: Stack) -> Iterator[Registry]:
    with reading(stack.mlflow) as registry:
        yield registry


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scoring")


@pytest.fixture(scope="session")
def admit(registry: Registry, home: Path) -> Admit:
    """The promoted version of a model, as it scores."""

    def admit(model: str, *keep: str) -> tuple[Release, Columns]:
        settings = Settings(home=home)
        release, columns = admitted(registry, promoted(registry, model, settings), settings, keep)
        assert isinstance(columns, Columns)
        return release, columns

    return admit
