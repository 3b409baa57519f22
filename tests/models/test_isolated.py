"""A model with code: promoted, asked, killed, hung, withdrawn."""

import signal
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.admission.coded import CRASHES, HANGS, Doubles, described, pyfunc, script
from tests.models.conftest import Models
from tests.shut_in import require_sandbox
from tests.stack import wait_for

NAME = "with code"
SECONDS = 60.0


@pytest.fixture(scope="module", autouse=True)
def _available() -> None:
    require_sandbox()


def reported(models: Models) -> Any:
    return httpx.get(models.place(NAME, "releases")).json()


def log(models: Models, model: Any) -> None:
    models.log(None, NAME, pyfunc, python_model=model, **described())


def processes() -> list[psutil.Process]:
    """Those of the model that are in a sandbox of the service."""
    found = []
    for one in psutil.process_iter(["cmdline"]):
        said = one.info["cmdline"] or []
        if any("/with%20code/" in word for word in said):
            found.append(one)
    return found


def test_a_model_with_code(models: Models, tmp_path: Path) -> None:
    log(models, Doubles())
    log(models, script(tmp_path))
    models.promote(NAME)
    assert models.served(NAME, {"x": 10.0}) == {"double": 20.0}
    assert reported(models)["live"]["runs"] == "isolated"
    models.promote(NAME, "2")
    models.served(NAME, {"x": 10.0}, "2")
    several = models.ask(NAME, [{"x": 10.0}, {"x": 11.0}])
    assert several.json() == [{"double": 20.0}, {"double": 22.0}]
    frame = {"dataframe_split": {"columns": ["x"], "data": [[10.0]]}}
    said = httpx.post(models.place(NAME, "invocations"), json=frame, timeout=60)
    assert said.json() == {"predictions": [20.0]}
    models.promote(NAME, "1")
    models.served(NAME, {"x": 10.0}, "1")
    models.promote(NAME, "2")
    models.served(NAME, {"x": 10.0}, "2")

    running = processes()
    assert running
    for one in running:
        one.send_signal(signal.SIGKILL)
    wait_for(lambda: models.ask(NAME, {"x": 10.0}).status_code == 200, SECONDS)  # by another one

    hung = models.ask(NAME, {"x": HANGS})
    assert (hung.status_code, hung.headers["retry-after"]) == (503, "1")
    assert "one batch took more than 3 s" in hung.text
    assert models.ask(NAME, {"x": 10.0}).json() == {"double": 20.0}

    crashed = models.ask(NAME, {"x": CRASHES})
    assert crashed.status_code == 503
    assert "SIGABRT" in crashed.text
    wait_for(lambda: reported(models)["live"]["version"] == "1", SECONDS)
    refused = reported(models)["refused"]
    assert (refused["version"], refused["reason"]) == ("2", "crash")
    assert "failed 3 times in 10 minutes" in refused["message"]
    assert models.served(NAME, {"x": 10.0}, "1") == {"double": 20.0}
    metrics = httpx.get(f"{models.url}/metrics").text
    assert f'ascenso_process_failures_total{{how="deadline",model="{NAME}"}} 1.0' in metrics
