"""Models are promoted, archived, and made anew, while clients call."""

import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import NamedTuple

import httpx
import pytest
from click.testing import CliRunner, Result

from bentos.cli import main
from bentos.keras_api.client import CallFailed, KerasClient
from mlflow import MlflowClient
from tests.keras_api.networks import ROW, SECONDS, ask, both, move, register, workers
from tests.stack import Stack, wait_for
from tests.web.guarded import bearer
from tests.web.scrape import value
from training import tracking


class Heard(NamedTuple):
    """One answer, and when its call began."""

    began: float
    answer: float
    version: str
    cache: str


def test_a_promotion_amid_cached_traffic(url: str, client: KerasClient, stack: Stack) -> None:
    first, second = register("cambio", 1.0), register("cambio", 10.0)
    tracking.promote(first)
    wait_for(lambda: both(url, "cambio"), SECONDS)
    right = {f"keras-cambio/{first.version}": 6.0, f"keras-cambio/{second.version}": 60.0}
    live = f"keras-cambio/{second.version}"
    heard: list[Heard] = []
    enough = Event()

    def asking() -> None:
        headers = bearer(url)
        with httpx.Client(base_url=url, headers=headers, timeout=60) as http:
            while not enough.is_set():
                began = time.monotonic()
                answer = http.post("/predict", json={"data": [ROW], "model_id": "cambio"})
                if answer.status_code == 401:
                    http.headers.update(bearer(url))
                    continue
                named = (answer.headers[name] for name in ("x-model-version", "x-cache"))
                heard.append(Heard(began, answer.json()["predictions"][0][0], *named))

    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(asking) for _ in range(4)]
        try:
            wait_for(lambda: any(call.cache == "hit" for call in heard), SECONDS)
            tracking.promote(second)
            wait_for(lambda: swaps(url, "keras-cambio") >= 4, SECONDS)  # both workers, both
            settled = time.monotonic()
            wait_for(lambda: sum(call.began > settled for call in heard) > 200, SECONDS)
        finally:
            enough.set()
        for done in asked:
            done.result()
    assert all(right[call.version] == call.answer for call in heard), "its own answers only"
    assert {call.version for call in heard if call.began > settled} == {live}
    assert any(call.cache == "hit" for call in heard if call.version == live)


def swaps(url: str, model: str) -> float:
    return value(url, "ascenso_swaps_total", model=model, what="swap")


def test_models_come_and_go(url: str, client: KerasClient) -> None:
    version = register("efimero", 2.0)
    with pytest.raises(CallFailed, match="404"):
        client.predict([ROW], "efimero")
    tracking.promote(version)
    wait_for(lambda: both(url, "efimero"), SECONDS)
    assert "efimero" in client.models()
    assert client.predict([ROW], "efimero").predictions == [[12.0]]
    move(version, "Archived")
    wait_for(lambda: workers(url, "efimero") == 0, SECONDS)
    assert "efimero" not in client.models()
    with pytest.raises(CallFailed, match="404"):
        client.predict([ROW], "efimero")


def test_the_command_promotes_a_model_that_nobody_knows_yet(url: str, stack: Stack) -> None:
    def ascenso(*arguments: str) -> Result:
        addresses = {"ASCENSO_URL": url, "MLFLOW_TRACKING_URI": stack.mlflow}
        return CliRunner().invoke(main, arguments, env=addresses)

    version = register("primero", 2.0)
    result = ascenso("promote", version.name, str(version.version))
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[-1] == "keras_api serves keras-primero/1"
    wait_for(lambda: both(url, "primero"), SECONDS)
    move(version, "Archived")
    wait_for(lambda: workers(url, "primero") == 0, SECONDS)
    assert "vacated" in ascenso("history", version.name).output
    refused = ascenso("rollback", version.name)
    assert (refused.exit_code, "is promoted" in refused.stderr) == (1, True)


def test_a_name_of_another_alphabet(url: str, registry: MlflowClient) -> None:
    version = register("renamed", 2.0)
    registry.rename_registered_model(version.name, "keras-房价")
    move(registry.get_model_version("keras-房价", version.version), "Production")
    wait_for(lambda: both(url, "房价"), SECONDS)
    for _ in range(4):  # new answers and kept ones
        answer = ask(url, {"data": [ROW], "model_id": "房价"})
        assert answer.status_code == 200, answer.text
        assert answer.json()["predictions"] == [[12.0]]
        assert answer.headers["x-model-version"] == "keras-%E6%88%BF%E4%BB%B7/1"
    registry.delete_registered_model("keras-房价")
