"""More models than the memory holds: closed ones come back for their callers."""

from typing import Any

import httpx
import pytest

from tests.models.conftest import Models
from tests.stack import wait_for

NAMES = [f"one of many {at}" for at in range(6)]
SECONDS = 60.0


def told(models: Models, name: str) -> Any:
    return httpx.get(models.place(name, "releases")).json()


def answer(models: Models, name: str) -> Any:
    said = models.ask(name, [1.0])
    assert said.status_code == 200, said.text
    return said.json()["prediction"]


def test_closed_models_come_back(models: Models, slopes: list[str]) -> None:
    for at, name in enumerate(NAMES):
        models.register(name, slopes[at % 2])
        models.promote(name)
    for name in NAMES:
        models.served(name, [1.0])
    assert not all(told(models, name)["live"]["open"] for name in NAMES)
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
    assert told(models, name)["previous"]["open"] is False
    models.promote(name, "1")
    models.served(name, [1.0], version="1")
    assert answer(models, name) == pytest.approx(2.0)
    events = httpx.get(models.place(name, "history")).json()["events"]
    assert [(event["what"], event["version"]) for event in events] == [
        ("swap", "1"), ("swap", "2"), ("rollback", "1"),
    ]  # fmt: skip


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
