"""The contract of keras_api, as two workers of `bentoml serve` keep it."""

import re
import secrets
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import jwt
import numpy as np
import pytest
from mlflow.entities.model_registry import ModelVersion

import mlflow
from bentos.client import CallFailed, KerasClient
from bentos.web.users import UserFile
from mlflow import MlflowClient
from tests.keras_files import keras
from tests.services import served
from tests.stack import Stack, wait_for
from tests.web.guarded import PASSWORD, bearer, login
from tests.web.redis_server import redis_server
from tests.web.scrape import value
from training import tracking
from training.keras_api import guardar_modelo

SERVICE = "bentos.keras_api:KerasApi"
SECRET = secrets.token_hex(32)
ROW = [1.0, 2.0, 3.0]
SECONDS = 30.0
STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}"


def register(model_id: str, factor: float) -> ModelVersion:
    """A network that answers `factor` times the sum of three numbers."""
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.set_weights([np.full((3, 1), factor), np.zeros(1)])
    return guardar_modelo(model_id, model)


def move(version: ModelVersion, stage: str) -> None:
    """Move a version to a stage, as the CLI and the UI do."""
    httpx.post(
        f"{mlflow.get_tracking_uri()}/api/2.0/mlflow/model-versions/transition-stage",
        json={
            "name": version.name,
            "version": str(version.version),
            "stage": stage,
            "archive_existing_versions": False,
        },
    ).raise_for_status()


@pytest.fixture(scope="module")
def registry(stack: Stack) -> Iterator[MlflowClient]:
    """The stack's registry, with one small model in production."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", stack.mlflow)
        mlflow.set_tracking_uri(stack.mlflow)
        tracking.promote(register("prueba", 1.0))
        yield MlflowClient()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keras_api")


@pytest.fixture(scope="module")
def url(stack: Stack, registry: MlflowClient, folder: Path) -> Iterator[str]:
    users = UserFile(folder / "home" / "users.json")
    users.add("ana", PASSWORD)
    users.add("root", PASSWORD, admin=True)
    settings = {
        "ASCENSO_SECURITY__SECRET": SECRET,
        "ASCENSO_SECURITY__TOKEN_MINUTES": "0.05",  # three seconds: clients must renew
        "ASCENSO_SECURITY__LEEWAY_SECONDS": "0",
        "ASCENSO_SERVICES__WORKERS": "2",
        "ASCENSO_REGISTRY__POLL_SECONDS": "0.2",
    }
    with served(SERVICE, stack.mlflow, folder, **settings) as url:
        wait_for(lambda: workers(url) == 2, SECONDS)
        yield url


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[KerasClient]:
    with KerasClient(url, "ana", PASSWORD) as client:
        yield client


def workers(url: str) -> float:
    """In how many of them the small model is live."""
    return value(url, "ascenso_live", model="keras-prueba")


def ask(url: str, body: Any, headers: dict[str, str] | None = None) -> httpx.Response:
    return httpx.post(f"{url}/predict", json=body, headers=headers or bearer(url), timeout=30)


def test_login(url: str) -> None:
    answer = login(url)
    assert answer.status_code == 200
    assert answer.json().keys() == {"access_token", "token_type"}
    assert answer.json()["token_type"] == "bearer"
    for wrong in (login(url, "ana", "not the password"), login(url, "nobody")):
        assert wrong.status_code == 401


def test_predict(url: str) -> None:
    answer = ask(url, {"data": [ROW, [0.0, 0.0, 0.0]], "model_id": "prueba"})
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert list(told) == ["predictions", "confidence", "model_id", "timestamp"]
    assert told["predictions"] == [[6.0], [0.0]]
    near, nearest = told["confidence"][0], told["confidence"][1]
    assert 0 <= near < 0.01 < 0.99 < nearest <= 1  # the squared distances are 14 and 0
    assert told["model_id"] == "prueba"
    assert re.fullmatch(STAMP, told["timestamp"])
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


def token(**changed: Any) -> str:
    """A token as the service makes them, but for what is changed."""
    now = int(time.time())
    claims: dict[str, Any] = {
        "iss": "ascenso",
        "aud": "ascenso",
        "sub": "ana",
        "scope": "",
        "mark": "0" * 16,
        "iat": now,
        "nbf": now,
        "exp": now + 60,
    } | changed
    return jwt.encode(claims, SECRET, "HS256")


@pytest.mark.parametrize(
    "bad",
    [
        "oops",
        token(exp=int(time.time()) - 60),
        token(aud="others"),
        token(iss="others"),
        token(),  # signed with the key, but for another password
        jwt.encode({"sub": "ana", "exp": 2**31}, "", "none"),
        jwt.encode({"sub": "ana", "exp": 2**31}, "x" * 32, "HS256"),
        jwt.encode({"sub": "ana", "exp": 2**31}, SECRET * 2, "HS512"),
    ],
    ids=["junk", "expired", "audience", "issuer", "mark", "alg-none", "forged", "hs512"],
)
def test_a_token_that_is_not_good_here(url: str, bad: str) -> None:
    for headers in ({"authorization": f"Bearer {bad}"}, {"authorization": bad}):
        answer = ask(url, {"data": [ROW], "model_id": "prueba"}, headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")


def test_no_token(url: str) -> None:
    answer = ask(url, {"data": [ROW], "model_id": "prueba"}, {"x-other": "1"})
    assert answer.status_code == 401
    assert answer.json() == {"detail": "A token is needed: POST /auth/login gives one"}


def test_a_token_ends_and_the_client_gets_another(url: str, client: KerasClient) -> None:
    headers = bearer(url)
    body = {"data": [ROW], "model_id": "prueba"}
    assert ask(url, body, headers).status_code == 200
    wait_for(lambda: ask(url, body, headers).status_code == 401, SECONDS)
    wait_for(lambda: ask(url, body, headers).json()["detail"].startswith("The token has exp"), 1)
    assert client.predict([ROW], "prueba").predictions == [[6.0]]


def test_the_client_tells_what_is_wrong(url: str, client: KerasClient) -> None:
    with pytest.raises(CallFailed, match="404: No model 'nada'") as failed:
        client.predict([ROW], "nada")
    assert failed.value.status == 404
    with KerasClient(url, "ana", "not the password") as wrong, pytest.raises(CallFailed) as failed:
        wrong.predict([ROW], "prueba")
    assert failed.value.status == 401
    with KerasClient(url) as nobody, pytest.raises(CallFailed, match="A token is needed"):
        nobody.predict([ROW], "prueba")


def test_what_serves(url: str, client: KerasClient) -> None:
    models = httpx.get(f"{url}/models").json()
    assert list(models) == ["modelos", "total", "timestamp"]
    assert {"default", "prueba"} <= set(models["modelos"])
    assert models["total"] == len(models["modelos"])
    assert client.models() == models["modelos"]
    health = httpx.get(f"{url}/health").json()
    assert list(health) == ["status", "timestamp", "modelos_activos"]
    assert health["status"] == "healthy"
    assert health["modelos_activos"] == models["total"]


def test_kept_answers(url: str) -> None:
    body = {"data": [[7.0, 7.0, 7.0]], "model_id": "prueba"}
    answers = [ask(url, body) for _ in range(8)]
    assert {answer.json()["predictions"][0][0] for answer in answers} == {21.0}
    assert "hit" in {answer.headers["x-cache"] for answer in answers}
    cleared = httpx.post(f"{url}/cache/clear", headers=bearer(url, "root"))
    assert cleared.json()["status"] == "cache cleared"
    assert re.fullmatch(STAMP, cleared.json()["timestamp"])
    assert ask(url, body).headers["x-cache"] == "miss"
    refused = httpx.post(f"{url}/cache/clear", headers=bearer(url))
    assert refused.status_code == 403
    assert httpx.post(f"{url}/cache/clear").status_code == 401
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
    history = httpx.get(f"{url}/stats").json()["historial_predicciones"]
    assert len(history) == 100
    assert list(history[-1]) == [
        "timestamp",
        "model_id",
        "n_predicciones",
        "confianza_promedio",
    ]
    assert history == sorted(history, key=lambda record: str(record["timestamp"]))
    assert datetime.fromisoformat(history[-1]["timestamp"])


def test_a_promotion_amid_cached_traffic(url: str, client: KerasClient, stack: Stack) -> None:
    first, second = register("cambio", 1.0), register("cambio", 10.0)
    tracking.promote(first)
    wait_for(lambda: "cambio" in client.models(), SECONDS)
    right = {f"keras-cambio/{first.version}": 6.0, f"keras-cambio/{second.version}": 60.0}
    heard: list[tuple[str, float, str]] = []
    enough = Event()

    def asking() -> None:
        headers = bearer(url)
        with httpx.Client(base_url=url, headers=headers, timeout=30) as http:
            while not enough.is_set():
                answer = http.post("/predict", json={"data": [ROW], "model_id": "cambio"})
                if answer.status_code == 401:
                    http.headers.update(bearer(url))
                    continue
                told = answer.headers["x-model-version"], answer.headers["x-cache"]
                heard.append((told[0], answer.json()["predictions"][0][0], told[1]))

    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(asking) for _ in range(4)]
        try:
            wait_for(lambda: any(kept == "hit" for _, _, kept in heard), SECONDS)
            tracking.promote(second)
            live = f"keras-cambio/{second.version}"
            wait_for(lambda: {told for told, _, _ in heard[-50:]} == {live}, SECONDS)
            wait_for(lambda: swaps(url, "keras-cambio") >= 4, SECONDS)  # both workers, both
            settled = len(heard) + 4  # calls that were in flight
            wait_for(lambda: len(heard) > settled + 200, SECONDS)
        finally:
            enough.set()
        for done in asked:
            done.result()
    assert all(right[told] == value for told, value, _ in heard), "a version's own answers only"
    assert {told for told, _, _ in heard[settled:]} == {live}
    assert any(kept == "hit" for told, _, kept in heard if told == live)


def swaps(url: str, model: str) -> float:
    return value(url, "ascenso_swaps_total", model=model, what="swap")


def test_models_come_and_go(url: str, client: KerasClient) -> None:
    version = register("efimero", 2.0)
    with pytest.raises(CallFailed, match="404"):
        client.predict([ROW], "efimero")
    tracking.promote(version)
    wait_for(lambda: all("efimero" in client.models() for _ in range(4)), SECONDS)
    assert client.predict([ROW], "efimero").predictions == [[12.0]]
    move(version, "Archived")
    wait_for(lambda: not any("efimero" in client.models() for _ in range(4)), SECONDS)
    with pytest.raises(CallFailed, match="404"):
        client.predict([ROW], "efimero")


def test_with_redis(stack: Stack, registry: MlflowClient, tmp_path: Path) -> None:
    with redis_server(tmp_path) as redis:
        settings = {
            "ASCENSO_ANSWERS__URL": redis,
            "ASCENSO_SECURITY__RATE_URL": redis,
            "ASCENSO_SECURITY__GUARDED": "[]",
            "ASCENSO_SECURITY__RATE_LIMIT": "40/minute",
        }
        with served(SERVICE, stack.mlflow, tmp_path, **settings) as url:
            body = {"data": [[5.0, 5.0, 5.0]], "model_id": "prueba"}
            answers = [httpx.post(f"{url}/predict", json=body) for _ in range(2)]
            assert [answer.headers["x-cache"] for answer in answers] == ["miss", "hit"]
            httpx.post(f"{url}/cache/clear").raise_for_status()
            assert httpx.post(f"{url}/predict", json=body).headers["x-cache"] == "miss"
            more = [httpx.post(f"{url}/predict", json=body) for _ in range(40)]
            refused = [answer for answer in more if answer.status_code == 429]
            assert refused
            assert 0 < int(refused[0].headers["retry-after"]) <= 60


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
