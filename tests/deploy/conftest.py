"""What the tests of a company's installation share."""

from collections.abc import Iterator

import pytest

from tests.deploy.company import Company, company
from tests.openid import Provider, providing


@pytest.fixture(scope="session")
def login() -> Iterator[Provider]:
    """Where the company's people log in."""
    with providing() as provider:
        yield provider


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, login: Provider) -> Iterator[Company]:
    """A running MLflow with users and one version, which the trainer registered."""
    with company(tmp_path_factory.mktemp("company"), login.url) as server:
        server.migrate()
        with server.serving():
            server.accounts()
            server.train()
            yield server
