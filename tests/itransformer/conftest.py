"""One service of itransformer for all of these tests, where `plant` was trained.

The modules follow each other by name: after the last one no model is left.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.itransformer.bench import QUICK, Bench, bench, rows
from tests.stack import wait_for


@pytest.fixture(scope="package")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("here"), ASCENSO_JOBS__QUEUED="2") as service:
        yield service


@pytest.fixture(scope="package")
def accepted(service: Bench) -> dict[str, Any]:
    """The answer to the first call of all."""
    answer = service.post("/train", "plant", rows(200), **QUICK)
    assert answer.status_code == 202, answer.text
    body: dict[str, Any] = answer.json()
    return body


@pytest.fixture(scope="package")
def here(service: Bench, accepted: dict[str, Any]) -> Bench:
    """A service where `plant` was trained."""
    service.end(accepted["job_id"])
    wait_for(lambda: service.serves("plant", "1"), 120)
    return service
