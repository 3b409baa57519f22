"""What the app answers while it lacks models, prices, or both."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest

from bentos.cripto.service import Outlooks
from bentos.settings import Settings
from bentos.web.app import App
from bentos.web.auth.gate import Gate
from tests.cripto.bench import outlook
from tests.memory import release
from tests.web.serving import serving
from training.cripto.prices import to_csv
from training.cripto.settings import Settings as Training
from training.cripto.settings import Synthetic
from training.cripto.synthetic import synthetic
from training.settings import read_settings

NOT_LOADED = "Modelos não carregados. Tente novamente em alguns segundos."


@pytest.fixture
def outlooks(tmp_path: Path) -> Outlooks:
    """The service, without registry and store."""
    return Outlooks(Settings(home=tmp_path))


@pytest.fixture
def bare(outlooks: Outlooks) -> Iterator[httpx.Client]:
    app = App("cripto", outlooks.endpoints, outlooks.following, Gate(Settings()))
    with serving(app) as url, httpx.Client(base_url=url, timeout=60) as client:
        yield client


def know(outlooks: Outlooks, coins: pd.DataFrame) -> None:
    files = {f"{symbol}/daily.csv": to_csv(coin) for symbol, coin in coins.groupby("symbol")}
    outlooks.coins.update(files, set(files))


def halves(rows: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.full((len(rows), 2), 0.5)


def test_before_the_first_load(bare: httpx.Client) -> None:
    for path in ("/symbol/BTC", "/symbol/XYZ"):
        answer = bare.get(path)
        assert (answer.status_code, answer.json()) == (503, {"detail": NOT_LOADED})
        assert answer.headers["retry-after"]
    answer = bare.get("/health")
    assert answer.status_code == 503
    assert answer.json() == {
        "status": "unhealthy",
        "models_loaded": False,
        "total_models": 0,
        "models": [],
        "versions": {},
    }
    body = bare.get("/models").json()
    assert body == {"total_models": 0, "models": [], "versions": {}, "last_loaded": None}
    assert bare.get("/symbol/%20").status_code == 400


def test_before_the_first_prices(outlooks: Outlooks, bare: httpx.Client) -> None:
    outlooks.slots["classifier_rf"].swap(release("1", halves))
    answer = bare.get("/symbol/BTC")
    assert answer.status_code == 503
    assert answer.json()["detail"] == "Preços não carregados. Tente novamente em alguns segundos."


def test_a_model_that_fails_stands_in_the_answer(outlooks: Outlooks, bare: httpx.Client) -> None:
    def fail(rows: object) -> np.ndarray[Any, np.dtype[np.float64]]:
        raise ZeroDivisionError

    know(outlooks, synthetic(Synthetic(days=60, seed=1)))
    outlooks.slots["classifier_rf"].swap(release("7", halves))
    outlooks.slots["regressor_rf"].swap(release("3", fail))
    given = outlook(bare)
    assert given["total_modelos"] == len(given["modelos"]) == 5
    good = {
        "predicao": 0,
        "probabilidade": 0.5,
        "modelo": "classifier_rf",
        "tipo": "classifier",
        "versao": "7",
    }
    assert given["modelos"]["classifier_rf"] == good
    failed = given["modelos"]["regressor_rf"]
    assert failed.keys() == {"modelo", "tipo", "erro"}
    assert failed["erro"].startswith("Internal error; see the service's log, id ")
    waiting = given["modelos"]["regressor_gbr"]["erro"]
    assert waiting.startswith("No version of cripto-regressor-gbr serves yet")
    assert bare.get("/health").json()["versions"] == {"regressor_rf": "3", "classifier_rf": "7"}


def test_a_coin_of_one_day_is_answered(outlooks: Outlooks, bare: httpx.Client) -> None:
    made = synthetic(read_settings("cripto", Training).synthetic)
    know(outlooks, made.groupby("symbol").tail(1))
    outlooks.slots["classifier_rf"].swap(release("1", halves))
    assert outlook(bare)["modelos"]["classifier_rf"]["probabilidade"] == 0.5
