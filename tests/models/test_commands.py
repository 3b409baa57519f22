"""The command line on models of any name."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result

from bentos.cli import main
from tests.models.conftest import Models
from tests.stack import wait_for

Ascenso = Callable[..., Result]
NAMES = [
    "São Paulo (100% sure?) & 'x' \"y\" #1",
    "team.ml.fraud +1∕2",  # noqa: RUF001 - it looks like a slash, and is none
    "half%2Fdone\\",
    "-v",
]


@pytest.fixture
def ascenso(models: Models, monkeypatch: pytest.MonkeyPatch) -> Ascenso:
    monkeypatch.setenv("ASCENSO_URL", models.url)

    def run(*arguments: str) -> Result:
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 0, result.output
        return result

    return run


@pytest.mark.parametrize("name", NAMES)
def test_any_name_that_mlflow_allows(
    models: Models, ascenso: Ascenso, slopes: list[str], name: str
) -> None:
    def answer() -> Any:
        return models.ask(name, [1.0]).json()["prediction"]

    for logged in slopes:
        models.register(name, logged)
    result = ascenso("promote", "--", name, "1")
    assert result.output.splitlines()[-1] == f"models serves {name}/1"
    assert answer() == pytest.approx(2.0)
    ascenso("promote", "--alias", "champion", "--", name, "2")
    assert answer() == pytest.approx(3.0)
    ascenso("rollback", "--", name)
    assert answer() == pytest.approx(2.0)
    events = json.loads(ascenso("history", "--json", "--", name).output)
    assert [event["version"] for event in events] == ["1", "2", "1"]
    assert httpx.get(models.place(name, "history")).json()["events"] == events
    (service,) = json.loads(ascenso("status", "--json").output)
    (slot,) = [slot for slot in service["releases"] if slot["model"] == name]
    assert (slot["live"]["version"], slot["previous"]["version"]) == ("1", "2")
    assert httpx.get(models.place(name, "")).status_code == 200
    wait_for(lambda: models.client.get_model_version_by_alias(name, "live").version == "1", 60)
