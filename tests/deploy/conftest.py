"""What the tests of a company's installation share."""

from collections.abc import Iterator

import pytest

from tests.deploy.company import Company, company


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    """A running MLflow with users and one version, which the trainer registered."""
    with company(tmp_path_factory.mktemp("company")) as server:
        server.migrate()
        with server.serving():
            server.accounts()
            server.train()
            yield server
