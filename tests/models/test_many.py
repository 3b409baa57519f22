"""More models than the memory holds: closed ones come back for their callers."""

import warnings
from typing import Any

import httpx
from sklearn.linear_model import LinearRegression

from tests.models.conftest import Models
from tests.stack import wait_for

with warnings.catch_warnings():  # mlflow warns about its own type hints
    warnings.simplefilter("ignore")
    import mlflow.sklearn

NAMES = [f"one of many {at}" for at in range(6)]
SECONDS = 60.0


def slope(models: Models, name: str, times: float) -> None:
    model = LinearRegression().fit([[0.0], [1.0]], [0.0, times])
    models.log(model, name, mlflow.sklearn, serialization_format="skops")


def told(models: Models, name: str) -> Any:
    return httpx.get(models.place(name, "releases")).json()


def test_closed_models_come_back(models: Models) -> None:
    for at, name in enumerate(NAMES):
        slope(models, name, at)
        models.promote(name)
        models.served(name, [2.0])
    assert not all(told(models, name)["live"]["open"] for name in NAMES)
    for _ in range(2):
        for at, name in enumerate(NAMES):
            assert models.ask(name, [2.0]).json() == {"prediction": 2.0 * at}
    slope(models, NAMES[1], 10.0)
    models.promote(NAMES[1], "2")
    assert models.served(NAMES[1], [2.0], version="2") == {"prediction": 20.0}
    for name in NAMES[2:]:
        models.ask(name, [2.0])
    assert told(models, NAMES[1])["previous"]["open"] is False
    models.promote(NAMES[1], "1")
    models.promote(NAMES[1], "2", stage="Archived")
    assert models.served(NAMES[1], [2.0]) == {"prediction": 2.0}
    events = httpx.get(models.place(NAMES[1], "history")).json()["events"]
    assert [(event["what"], event["version"]) for event in events] == [
        ("swap", "1"), ("swap", "2"), ("rollback", "1"),
    ]  # fmt: skip


def test_calls_are_counted_by_model(models: Models) -> None:
    name = NAMES[0]
    models.served(name, [2.0])
    httpx.post(models.place(name, "invocations"), json={"inputs": [[2.0]]})
    infer = {"inputs": [{"name": "x", "shape": [1, 1], "datatype": "FP64", "data": [2.0]}]}
    httpx.post(f"{models.url}/v2/models/{name}/infer", json=infer)
    wait_for(lambda: f'route="{name}/infer"' in httpx.get(f"{models.url}/metrics").text, SECONDS)
    metrics = httpx.get(f"{models.url}/metrics").text
    assert f'ascenso_requests_total{{route="{name}",service="models",status="200"}}' in metrics
    assert f'route="{name}/invocations",service="models",status="200"' in metrics
