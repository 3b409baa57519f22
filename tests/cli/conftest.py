"""The command line on the shared stack."""

from collections.abc import Callable, Iterator

import pytest
from click.testing import CliRunner, Result

from bentos.cli import main
from tests.cli.versions import MODEL, Versions, live
from tests.stack import Stack

Ascenso = Callable[..., Result]


@pytest.fixture(scope="session")
def ascenso(stack: Stack) -> Ascenso:
    """Run a command on the shared stack; more of its environment by keyword."""
    addresses = {"ASCENSO_URL": stack.api, "MLFLOW_TRACKING_URI": stack.mlflow}

    def run(*arguments: str, **environment: str) -> Result:
        return CliRunner().invoke(main, arguments, env=addresses | environment)

    return run


@pytest.fixture(scope="package")
def versions(stack: Stack, ascenso: Ascenso) -> Iterator[Versions]:
    """Versions to promote; whoever uses the stack next finds the one that served before."""
    before = live(stack)
    yield Versions(stack.mlflow)
    assert ascenso("promote", MODEL, before).exit_code == 0
