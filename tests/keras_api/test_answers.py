"""The contract of keras_api, as two workers of `bentoml serve` keep it."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from bentos.keras_api.client import CallFailed, KerasClient
from mlflow import MlflowClient
from tests.keras_api.networks import ROW, SERVICE, STAMP, ask
from tests.services import served
from tests.stack import Stack, wait_for
from tests.web.guarded import bearer
from tests.web.redis_server import redis_server
from tests.web.scrape import value


def test_predict(url: str) -> None:
    answer = ask(url, {"data": [ROW, [0.0, 0.0, 0.0]], "model_id": "prueba"})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert list(body) == ["predictions", "confidence", "model_id", "timestamp"]
    assert body["predictions"] == [[6.0], [0.0]]
    near, nearest = body["confidence"][0], body["confidence"][1]
    assert 0 <= near < 0.01 < 0.99 < nearest <= 1  # the squared distances are 14 and 0
    assert body["model_id"] == "prueba"
    assert re.fullmatch(STAMP, body["timestamp"])
    assert re.fullmatch(r"keras-prueba/\d+", answer.headers["x-model-version"])


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ([[1.0, 2.0]], "data[0] has 2 numbers; keras-prueba/"),
        ([ROW, [*ROW, 4.0]], "data[1] has 4 numbers; keras-prueba/"),
        ([ROW, []], "data[1] has 0 numbers; keras-prueba/"),
        ([[1e300, 0.0, 0.0]], "data[0] is too far out"),
    ],
)
def test_rows_that_do_not_fit(url: str, data: list[list[float]], said: str) -> None:
    answer = ask(url, {"data": data, "model_id": "prueba"})
    assert answer.status_code == 400
    assert said in answer.json()["detail"]


@pytest.mark.parametrize("model_id", ["nada", "", "../prueba", "PRUEBA", "x" * 5000])
def test_an_unknown_model(url: str, model_id: str) -> None:
    answer = ask(url, {"data": [ROW], "model_id": model_id})
    assert answer.status_code == 404
    assert answer.json()["detail"].startswith("No model ")
    assert "prueba" in answer.json()["detail"]
    assert len(answer.text) < 500


@pytest.mark.parametrize(
    ("body", "loc"),
    [
        ({}, ["body", "data"]),
        ({"data": []}, ["body", "data"]),
        ({"data": 1.0}, ["body", "data"]),
        ({"data": [1.0]}, ["body", "data", 0]),
        ({"data": [["1"]]}, ["body", "data", 0, 0]),
        ({"data": [[None]]}, ["body", "data", 0, 0]),
        ({"data": [ROW], "model_id": 7}, ["body", "model_id"]),
        ({"data": [ROW], "modelo": "x"}, ["body", "modelo"]),
        ([ROW], ["body"]),
    ],
)
def test_a_malformed_body(url: str, body: Any, loc: list[str | int]) -> None:
    answer = ask(url, body)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == loc


def test_what_serves(url: str, client: KerasClient) -> None:
    models = httpx.get(f"{url}/models", timeout=60).json()
    assert list(models) == ["modelos", "total", "timestamp"]
    assert {"default", "prueba"} <= set(models["modelos"])
    assert models["total"] == len(models["modelos"])
    assert client.models() == models["modelos"]
    health = httpx.get(f"{url}/health", timeout=60).json()
    assert list(health) == ["status", "timestamp", "modelos_activos"]
    assert health["status"] == "healthy"
    assert health["modelos_activos"] == models["total"]


def test_kept_answers(url: str) -> None:
    body = {"data": [[7.0, 7.0, 7.0]], "model_id": "prueba"}
    answers = [ask(url, body) for _ in range(8)]
    assert {answer.json()["predictions"][0][0] for answer in answers} == {21.0}
    assert "hit" in {answer.headers["x-cache"] for answer in answers}
    cleared = httpx.post(f"{url}/cache/clear", headers=bearer(url, "root"), timeout=60)
    assert cleared.json()["status"] == "cache cleared"
    assert re.fullmatch(STAMP, cleared.json()["timestamp"])
    assert ask(url, body).headers["x-cache"] == "miss"
    refused = httpx.post(f"{url}/cache/clear", headers=bearer(url), timeout=60)
    assert refused.status_code == 403
    assert httpx.post(f"{url}/cache/clear", timeout=60).status_code == 401
    assert value(url, "ascenso_cache_hits_total", model="keras-prueba") > 0


def test_a_thousand_mixed_calls_are_counted_exactly(url: str, client: KerasClient) -> None:
    before = client.stats()
    rng = np.random.default_rng(3)
    sizes = rng.integers(1, 6, size=1000).tolist()

    def one(number: int) -> int:
        """The rows that were answered; every fifth call is wrong, every third one the same."""
        rows = [[float(number % 3), 0.0, 1.0]] * sizes[number]
        if number % 5 == 0:
            with pytest.raises(CallFailed):
                client.predict([[1.0]], "prueba" if number % 2 else "nada")
            return 0
        return len(client.predict(rows, "prueba").predictions)

    with ThreadPoolExecutor(8) as pool:
        counted = list(pool.map(one, range(1000)))
    for _ in range(4):  # by either worker
        assert client.stats().predicciones_totales == before.predicciones_totales + sum(counted)
    history = httpx.get(f"{url}/stats", timeout=60).json()["historial_predicciones"]
    assert len(history) == 100
    assert list(history[-1]) == [
        "timestamp",
        "model_id",
        "n_predicciones",
        "confianza_promedio",
    ]
    assert history == sorted(history, key=lambda record: str(record["timestamp"]))
    assert datetime.fromisoformat(history[-1]["timestamp"])


def test_with_redis(stack: Stack, registry: MlflowClient, tmp_path: Path) -> None:
    with redis_server(tmp_path) as redis:
        settings = {
            "ASCENSO_ANSWERS__URL": redis,
            "ASCENSO_SECURITY__RATE_URL": redis,
            "ASCENSO_SECURITY__GUARDED": "[]",
            "ASCENSO_SECURITY__RATE_LIMIT": "40/minute",
        }
        with served(SERVICE, stack.mlflow, tmp_path, **settings) as url:
            predict, clear = (partial(call, url + path) for path in ("/predict", "/cache/clear"))
            assert predict().headers["x-cache"] == "miss"
            # A Redis that takes a quarter of a second is left alone for one.
            wait_for(lambda: predict().headers["x-cache"] == "hit", 60)
            wait_for(lambda: clear().is_success, 60)
            assert predict().headers["x-cache"] == "miss"
            more = (predict() for _ in range(1000))
            refused = next(answer for answer in more if answer.status_code == 429)
            assert 0 < int(refused.headers["retry-after"]) <= 60


def call(url: str) -> httpx.Response:
    body = {"data": [[5.0, 5.0, 5.0]], "model_id": "prueba"}
    return httpx.post(url, json=body, timeout=60)


def test_in_the_stack(stack: Stack) -> None:
    """The local stack's own user, at the address that its table names."""
    lines = (stack.home / "secrets.env").read_text().splitlines()
    keys = dict(line.split("=", 1) for line in lines)
    url = f"{stack.api}/keras_api"
    with KerasClient(url, "ascenso", keys["ASCENSO_LOCAL_PASSWORD"]) as client:
        answer = client.predict([[0.1] * 10])
        assert len(answer.predictions[0]) == 1
        assert answer.model_id == "default"
        client.clear_cache()
