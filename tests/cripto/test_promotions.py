"""One of five models is promoted, and the others stay as they are."""

from threading import Event, Thread
from typing import Any

import httpx
import pytest

from bentos.cripto.messages import MODELS
from tests.cripto.bench import Bench, outlook, versions
from tests.stack import wait_for


class Calls:
    """Asks for the outlook again and again, from entering to leaving."""

    def __init__(self, url: str, threads: int = 4) -> None:
        self.answers: list[dict[str, Any]] = []
        self.errors: list[str] = []
        self._url = url
        self._leaving = Event()
        self._threads = [Thread(target=self._go_on) for _ in range(threads)]

    def __enter__(self) -> "Calls":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._leaving.set()
        for thread in self._threads:
            thread.join()

    def _go_on(self) -> None:
        with httpx.Client(base_url=self._url, timeout=60, trust_env=False) as client:
            while not self._leaving.wait(0.01):
                answer = client.get("/symbol/BTC")
                if answer.status_code == 200:
                    self.answers.append(answer.json())
                else:
                    self.errors.append(answer.text)


@pytest.mark.parametrize("model", ["regressor_gbr", "classifier_rf"])
def test_a_promotion_under_load_changes_that_model_alone(
    second: Bench, url: str, client: httpx.Client, model: str
) -> None:
    before = outlook(client)["modelos"]
    with Calls(url) as calls:
        wait_for(lambda: len(calls.answers) > 20, 120)
        second.point(model, "2")
        try:
            wait_for(lambda: calls.answers[-1]["modelos"][model]["versao"] == "2", 120)
            promoted = len(calls.answers)
            wait_for(lambda: len(calls.answers) > promoted + 20, 120)
        finally:
            second.point(model, "1")
        wait_for(lambda: calls.answers[-1]["modelos"][model]["versao"] == "1", 120)
    assert not calls.errors
    first, other = (
        next(seen["modelos"][model] for seen in calls.answers if versions(seen)[model] == version)
        for version in ("1", "2")
    )
    assert not same(first, other)
    expected = {"1": before, "2": before | {model: other}}
    for seen in calls.answers:
        by_version = expected[versions(seen)[model]]
        assert all(same(answer, by_version[name]) for name, answer in seen["modelos"].items())


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """As good as equal: float32 sums differ in their last digits with the size of a batch."""
    return one == other | {
        name: pytest.approx(value, rel=1e-6)
        for name, value in other.items()
        if isinstance(value, float)
    }


def test_reload_tells_what_changed(second: Bench, client: httpx.Client) -> None:
    """The poll may be quicker than the call: then nothing is left to change."""
    second.point("regressor_lin", "2")
    try:
        body = client.post("/reload").json()
        assert body["alterados"] in ({"regressor_lin": "2"}, {})
        assert versions(outlook(client)) == dict.fromkeys(MODELS, "1") | {"regressor_lin": "2"}
    finally:
        second.point("regressor_lin", "1")
        client.post("/reload")
