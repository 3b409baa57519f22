"""More models than the memory holds: closed ones come back for their callers."""

from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.models.conftest import Models
from tests.stack import wait_for

NAMES = [f"one of many {at}" for at in range(6)]
SECONDS = 60.0


def reported(models: Models, name: str) -> Any:
    return httpx.get(models.place(name, "releases")).json()


def state(models: Models, name: str, version: str) -> str | None:
    return models.client.get_model_version(name, version).tags.get("serving.state")


def answer(models: Models, name: str, x: float = 1.0) -> Any:
    said = models.ask(name, [x])
    assert said.status_code == 200, said.text
    return said.json()["prediction"]


def test_closed_models_come_back(models: Models, slopes: list[str]) -> None:
    for at, name in enumerate(NAMES):
        models.register(name, slopes[at % 2])
        models.promote(name)
    for name in NAMES:
        models.served(name, [1.0])
    assert not all(reported(models, name)["live"]["open"] for name in NAMES)
    for _ in range(2):
        answers = [answer(models, name) for name in NAMES]
        assert answers == pytest.approx([2.0, 3.0] * 3)
    name, *others = NAMES
    models.register(name, slopes[1])
    models.promote(name, "2")
    models.served(name, [1.0], version="2")
    assert answer(models, name) == pytest.approx(3.0)
    for other in others:
        answer(models, other)
    assert reported(models, name)["previous"]["open"] is False
    models.promote(name, "1")
    models.served(name, [1.0], version="1")
    assert answer(models, name) == pytest.approx(2.0)
    events = httpx.get(models.place(name, "history")).json()["events"]
    assert [(event["what"], event["version"]) for event in events] == [
        ("swap", "1"), ("swap", "2"), ("rollback", "1"),
    ]  # fmt: skip


def test_a_challenger_sees_calls_and_leaves_again(models: Models, slopes: list[str]) -> None:
    name = "with a challenger"
    for logged in slopes:
        models.register(name, logged)
    models.client.set_model_version_tag(name, "2", "serving.traffic", "1")
    models.promote(name)
    models.served(name, [1.0])
    models.client.set_registered_model_alias(name, "challenger", "2")
    wait_for(lambda: reported(models, name).get("challenger", {}).get("share") == 1.0, SECONDS)
    assert answer(models, name) == pytest.approx(2.0)
    assert answer(models, name) == pytest.approx(2.0)
    assert answer(models, name, 0.0) == pytest.approx(0.0)  # where both lines agree
    wait_for(lambda: reported(models, name)["challenger"]["compared"] == 3, SECONDS)
    tried = reported(models, name)["challenger"]
    assert (tried["live"]["version"], tried["mode"], tried["errors"]) == ("2", "shadow", 0)
    assert tried["agreement"] == pytest.approx(1 / 3, abs=1e-4)
    wait_for(lambda: state(models, name, "2") == "challenger", SECONDS)
    infer = {"inputs": [{"name": "x", "shape": [1, 1], "datatype": "FP64", "data": [1.0]}]}
    place = f"{models.url}/v2/models/{quote(name)}/versions/2/infer"
    assert httpx.post(place, json=infer).json()["outputs"][0]["data"] == pytest.approx([3.0])
    models.client.delete_registered_model_alias(name, "challenger")
    wait_for(lambda: "challenger" not in reported(models, name), SECONDS)


def test_calls_are_counted_by_model(models: Models, slopes: list[str]) -> None:
    name = "counted calls"
    models.register(name, slopes[0])
    models.promote(name)
    models.served(name, [1.0])
    httpx.post(models.place(name, "invocations"), json={"inputs": [[1.0]]}).raise_for_status()
    infer = {"inputs": [{"name": "x", "shape": [1, 1], "datatype": "FP64", "data": [1.0]}]}
    httpx.post(f"{models.url}/v2/models/{name}/infer", json=infer)
    wait_for(lambda: f'route="{name}/infer"' in httpx.get(f"{models.url}/metrics").text, SECONDS)
    metrics = httpx.get(f"{models.url}/metrics").text
    assert f'ascenso_requests_total{{route="{name}",service="models",status="200"}}' in metrics
    assert f'route="{name}/invocations",service="models",status="200"' in metrics
