"""The contract of cripto, as `bentoml serve bentos.cripto:Cripto` keeps it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import boto3
import httpx
import numpy as np
import pandas as pd
import pytest
import skops.io
from dotenv import dotenv_values

from bentos import cripto
from bentos.cripto import MODELS
from deploy.local.settings import BUCKET, ROOT
from tests.memory import release
from tests.services import served
from tests.stack import Stack, wait_for
from tests.web.scrape import value
from tests.web.serving import serving
from training.cripto.features import features
from training.cripto.prices import read, to_csv
from training.cripto.settings import Settings, Synthetic
from training.cripto.synthetic import synthetic
from training.settings import PATH, read_settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ALIAS = "tested"
REAL = ROOT.parent / "shared" / "data" / "cripto" / "coin_Bitcoin.csv"
PREFIX = "tested-cripto"
DATA = f"s3://{BUCKET}/{PREFIX}"
NOT_LOADED = "Modelos não carregados. Tente novamente em alguns segundos."


@dataclass(frozen=True)
class Bench:
    """The stack's registry and store, of which these tests use an alias and a prefix."""

    stack: Stack
    s3: "S3Client"
    env: dict[str, str]

    def put(self, name: str, table: pd.DataFrame) -> None:
        """Write a file of prices."""
        self.s3.put_object(Bucket=BUCKET, Key=f"{PREFIX}/{name}", Body=to_csv(table))

    def point(self, model: str, version: str) -> None:
        """Promote: let the alias point to a version."""
        httpx.post(
            f"{self.stack.mlflow}/api/2.0/mlflow/registered-models/alias",
            json={"name": registered(model), "alias": ALIAS, "version": version},
        ).raise_for_status()

    def train(self, *arguments: str) -> None:
        """Run the trainer, as a person does."""
        subprocess.run(
            [sys.executable, "-m", "training.cripto", *arguments],
            env=os.environ | self.env | {"MLFLOW_TRACKING_URI": self.stack.mlflow},
            cwd=ROOT,
            capture_output=True,
            check=True,
        )


def registered(model: str) -> str:
    return f"cripto-{model.replace('_', '-')}"


@pytest.fixture(scope="module")
def prices() -> pd.DataFrame:
    """Bitcoin's real prices where they are at hand."""
    if REAL.exists():
        return read(str(REAL)).table
    made = synthetic(Synthetic(days=400, seed=5))
    return made[made["symbol"] == "BTC"].reset_index(drop=True)


@pytest.fixture(scope="module")
def bench(stack: Stack, prices: pd.DataFrame) -> Bench:
    """Prices in the store, and two versions of each model, the alias pointing to the first."""
    keys = dotenv_values(stack.settings.secrets)
    env = {
        "AWS_ENDPOINT_URL": stack.settings.s3,
        "AWS_ACCESS_KEY_ID": str(keys["AWS_ACCESS_KEY_ID"]),
        "AWS_SECRET_ACCESS_KEY": str(keys["AWS_SECRET_ACCESS_KEY"]),
        "AWS_DEFAULT_REGION": "us-east-1",
        "ASCENSO_DATA": DATA,
    }
    s3 = boto3.client(
        "s3",
        endpoint_url=env["AWS_ENDPOINT_URL"],
        aws_access_key_id=env["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=env["AWS_SECRET_ACCESS_KEY"],
        region_name="us-east-1",
    )
    bench = Bench(stack, s3, env)
    bench.put("BTC/daily.csv", prices)
    bench.put("ETH/synthetic.csv", synthetic(Synthetic(days=60, seed=5)).query("symbol == 'ETH'"))
    for model in MODELS:
        bench.point(model, "1")
    return bench


@pytest.fixture(scope="module")
def second(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """With a second version of each model, of a few trees and the tested prices."""
    text = PATH.read_text()
    for name, trees in (("forest_trees: 60", 5), ("boosting_trees: 80", 5), ("folds: 5", 2)):
        assert name in text
        text = text.replace(name, f"{name.partition(':')[0]}: {trees}")
    config = tmp_path_factory.mktemp("config") / "training.yaml"
    config.write_text(text)
    bench.train("--config", str(config), "--data", f"{DATA}/")
    return bench


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cripto")


@pytest.fixture(scope="module")
def url(bench: Bench, folder: Path) -> Iterator[str]:
    channels = json.dumps({registered(model): {"alias": ALIAS} for model in MODELS})
    settings = bench.env | {
        "ASCENSO_CHANNELS": channels,
        "ASCENSO_REGISTRY__POLL_SECONDS": "0.3",
        "ASCENSO_SERVICES__CORS_ORIGINS": '["https://coins.example.com"]',
    }
    with served("bentos.cripto:Cripto", bench.stack.mlflow, folder, **settings) as url:
        wait_for(lambda: httpx.get(f"{url}/symbol/BTC").status_code == 200, 30)
        yield url


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        yield client


def outlook(client: httpx.Client, symbol: str = "BTC") -> dict[str, Any]:
    answer = client.get(f"/symbol/{symbol}")
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def versions(told: dict[str, Any]) -> dict[str, str]:
    return {name: model["versao"] for name, model in told["modelos"].items()}


def test_welcome(client: httpx.Client) -> None:
    assert client.get("/").json() == {
        "message": "Cripto Prediction API",
        "version": "1",
        "docs": "/docs",
        "health": "/health",
    }


def test_health(client: httpx.Client) -> None:
    answer = client.get("/health")
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "healthy",
        "models_loaded": True,
        "total_models": 5,
        "models": list(MODELS),
        "versions": dict.fromkeys(MODELS, "1"),
    }


def test_models(client: httpx.Client) -> None:
    told = client.get("/models").json()
    since = datetime.fromisoformat(told.pop("last_loaded"))
    assert since.utcoffset() is not None
    assert since <= datetime.now(UTC)
    assert told == {
        "total_models": 5,
        "models": list(MODELS),
        "versions": dict.fromkeys(MODELS, "1"),
    }


def test_all_five_answer_as_they_do_without_the_service(
    client: httpx.Client, folder: Path, prices: pd.DataFrame
) -> None:
    told = outlook(client)
    assert (told["ativo"], told["total_modelos"], told["dados_sinteticos"]) == ("BTC", 5, False)
    assert told["ultimo_dado"] == str(prices["date"].iloc[-1].date())
    assert told["timestamp"].endswith("Z")
    assert abs(datetime.now(UTC) - datetime.fromisoformat(told["timestamp"])).seconds < 60
    assert list(told["modelos"]) == list(MODELS)
    row = features(prices).to_numpy()[-1:]
    for name, kind in MODELS.items():
        (path,) = (folder / "home" / "cache" / registered(name)).glob("1-*/model.skops")
        model = skops.io.load(path, trusted=skops.io.get_untrusted_types(file=path))
        answer = told["modelos"][name]
        assert (answer["modelo"], answer["tipo"], answer["versao"]) == (name, kind, "1")
        if kind == "regressor":
            price = prices["close"].iloc[-1] * (1 + model.predict(row)[0])
            assert answer["predicao"] == pytest.approx(price, rel=1e-5)
            assert answer.keys() == {"predicao", "modelo", "tipo", "versao"}
        else:
            rise = model.predict_proba(row)[0, 1]
            assert answer["probabilidade"] == pytest.approx(rise, rel=1e-4)
            assert answer["predicao"] == int(rise > 0.5)
            assert type(answer["predicao"]) is int
            assert answer.keys() == {"predicao", "probabilidade", "modelo", "tipo", "versao"}


@pytest.mark.parametrize("spelled", ["btc", "%20Btc%20", "BTC", "%09btc%0a"])
def test_a_symbol_is_trimmed_and_in_capitals(client: httpx.Client, spelled: str) -> None:
    assert outlook(client, spelled)["ativo"] == "BTC"


def test_made_prices_are_told(client: httpx.Client) -> None:
    told = outlook(client, "ETH")
    assert told["dados_sinteticos"]
    assert told["ultimo_dado"] == "2024-12-31"


@pytest.mark.parametrize("path", ["/symbol", "/symbol/", "/symbol/%20", "/symbol/%09%0a"])
def test_a_blank_symbol_is_a_400(client: httpx.Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 400
    assert answer.json() == {"detail": "Símbolo do ativo é obrigatório"}


@pytest.mark.parametrize("symbol", ["XYZ", "BTC/USD", "..%2FBTC", "%00", "ñandú", "b" * 5000])
def test_an_unknown_symbol_is_a_404_with_the_known_ones(client: httpx.Client, symbol: str) -> None:
    answer = client.get(f"/symbol/{symbol}")
    assert answer.status_code == 404
    detail = answer.json()["detail"]
    assert detail.startswith("Sem dados para o ativo ")
    assert ". Ativos conhecidos: BTC, ETH" in detail
    assert len(detail) < 400


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_reload(client: httpx.Client, method: str) -> None:
    answer = client.request(method, "/reload")
    assert answer.status_code == 200
    assert answer.json() == {
        "message": "Modelos recarregados com sucesso",
        "total_models": 5,
        "models": list(MODELS),
        "alterados": {},
    }


@pytest.mark.parametrize(("method", "path"), [("POST", "/symbol/BTC"), ("DELETE", "/reload")])
def test_other_methods_are_refused(client: httpx.Client, method: str, path: str) -> None:
    answer = client.request(method, path)
    assert answer.status_code == 405
    assert "is not allowed; use " in answer.json()["detail"]


def test_what_all_services_have(client: httpx.Client) -> None:
    report = client.get("/releases").json()
    assert report["degraded"] is None
    assert [slot["model"] for slot in report["releases"]] == [registered(m) for m in MODELS]
    assert all(slot["live"]["runs"] == "onnx" for slot in report["releases"])
    document = client.get("/openapi.json").json()
    reload = document["paths"]["/reload"]
    schema = reload["post"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert schema == {"$ref": "#/components/schemas/Reloaded"}
    assert set(document["paths"]) >= {"/", "/health", "/models", "/symbol/{ativo}", "/releases"}
    assert client.get("/docs").status_code == client.get("/redoc").status_code == 200
    origin = {"origin": "https://coins.example.com"}
    assert client.get("/health", headers=origin).headers["access-control-allow-origin"]


def test_calls_and_batches_are_counted(url: str, client: httpx.Client) -> None:
    seen = {"service": "cripto", "route": "symbol", "status": "200"}
    before = value(url, "ascenso_requests_total", **seen)
    rows = {model: batched(url, model) for model in MODELS}
    outlook(client)
    assert value(url, "ascenso_requests_total", **seen) == before + 1
    assert {model: batched(url, model) for model in MODELS} == {m: n + 1 for m, n in rows.items()}


def batched(url: str, model: str) -> float:
    return value(url, "ascenso_batch_rows_sum", model=registered(model))


def test_new_rows_are_seen_without_a_restart(
    bench: Bench, client: httpx.Client, prices: pd.DataFrame
) -> None:
    before = outlook(client)
    day = prices.iloc[[-1]].assign(date=prices["date"].iloc[-1] + pd.Timedelta(days=1))
    day[["open", "high", "low", "close"]] *= 1.1
    bench.put("BTC/next.csv", day)
    bench.put("NEW/daily.csv", prices.assign(symbol="NEW"))
    try:
        tomorrow = str(day["date"].iloc[0].date())
        wait_for(lambda: outlook(client)["ultimo_dado"] == tomorrow, 10)
        after = outlook(client)
        for name in ("regressor_rf", "regressor_gbr", "regressor_lin"):
            old, new = (told["modelos"][name]["predicao"] for told in (before, after))
            assert new / old == pytest.approx(1.1, abs=0.05)
        wait_for(lambda: client.get("/symbol/NEW").status_code == 200, 10)
    finally:
        for name in ("BTC/next.csv", "NEW/daily.csv"):
            bench.s3.delete_object(Bucket=BUCKET, Key=f"{PREFIX}/{name}")
    wait_for(lambda: outlook(client)["modelos"] == before["modelos"], 10)
    assert client.get("/symbol/NEW").status_code == 404


def test_a_file_that_cannot_be_read_leaves_what_was_known(
    bench: Bench, client: httpx.Client, folder: Path
) -> None:
    before = outlook(client)["modelos"]
    bench.s3.put_object(Bucket=BUCKET, Key=f"{PREFIX}/BTC/broken.csv", Body=b"a,b\n1,2\n")
    log = folder / "service.log"
    try:
        wait_for(lambda: "BTC/broken.csv has no column" in log.read_text(), 10)
        assert outlook(client)["modelos"] == before
    finally:
        bench.s3.delete_object(Bucket=BUCKET, Key=f"{PREFIX}/BTC/broken.csv")


class Calls:
    """Asks for the outlook again and again, from entering to leaving."""

    def __init__(self, url: str, threads: int = 4) -> None:
        self.told: list[dict[str, Any]] = []
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
                    self.told.append(answer.json())
                else:
                    self.errors.append(answer.text)


@pytest.mark.parametrize("model", ["regressor_gbr", "classifier_rf"])
def test_a_promotion_under_load_changes_that_model_alone(
    second: Bench, url: str, client: httpx.Client, model: str
) -> None:
    before = outlook(client)["modelos"]
    with Calls(url) as calls:
        wait_for(lambda: len(calls.told) > 20, 30)
        second.point(model, "2")
        try:
            wait_for(lambda: calls.told[-1]["modelos"][model]["versao"] == "2", 30)
            promoted = len(calls.told)
            wait_for(lambda: len(calls.told) > promoted + 20, 30)
        finally:
            second.point(model, "1")
        wait_for(lambda: calls.told[-1]["modelos"][model]["versao"] == "1", 30)
    assert not calls.errors
    first, other = (
        next(told["modelos"][model] for told in calls.told if versions(told)[model] == version)
        for version in ("1", "2")
    )
    assert not same(first, other)
    expected = {"1": before, "2": before | {model: other}}
    for told in calls.told:
        by_version = expected[versions(told)[model]]
        assert all(same(answer, by_version[name]) for name, answer in told["modelos"].items())


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
        told = client.post("/reload").json()
        assert told["alterados"] in ({"regressor_lin": "2"}, {})
        assert versions(outlook(client)) == dict.fromkeys(MODELS, "1") | {"regressor_lin": "2"}
    finally:
        second.point("regressor_lin", "1")
        client.post("/reload")


def test_s3_and_mlflow_down_at_the_next_start(
    bench: Bench, url: str, client: httpx.Client, folder: Path, tmp_path: Path
) -> None:
    """Prices and models last on disk: a restart answers, and says what it cannot reach."""
    expected = outlook(client)
    down = bench.env | {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_MAX_ATTEMPTS": "1",
        "ASCENSO_HOME": str(folder / "home"),
        "ASCENSO_CHANNELS": json.dumps({registered(m): {"alias": ALIAS} for m in MODELS}),
    }
    with served("bentos.cripto:Cripto", "http://127.0.0.1:9", tmp_path, **down) as again:
        wait_for(lambda: httpx.get(f"{again}/symbol/BTC").status_code == 200, 30)
        told = httpx.get(f"{again}/symbol/BTC").json()
        assert told["modelos"] == expected["modelos"]
        assert told["ultimo_dado"] == expected["ultimo_dado"]
        for trouble in ("cannot list s3://", "MLflow at http://127.0.0.1:9 does not answer"):
            wait_for(partial(degraded, again, trouble), 30)


def degraded(url: str, trouble: str) -> bool:
    return trouble in str(httpx.get(f"{url}/releases").json()["degraded"])


def test_the_stack_answers_on_made_coins(stack: Stack) -> None:
    wait_for(lambda: httpx.get(f"{stack.api}/cripto/symbol/BTC").status_code == 200, 30)
    told = httpx.get(f"{stack.api}/cripto/symbol/BTC").json()
    assert told["dados_sinteticos"]
    assert not [model for model in told["modelos"].values() if "erro" in model]
    assert httpx.get(f"{stack.api}/cripto/").json()["message"] == "Cripto Prediction API"


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> Iterator[httpx.Client]:
    """The app without registry and store."""
    for slot in cripto.slots.values():
        monkeypatch.setattr(slot, "live", None)
    monkeypatch.setattr(cripto.coins, "_known", {})
    with serving(cripto.app) as url, httpx.Client(base_url=url) as client:
        yield client


def know(coins: pd.DataFrame) -> None:
    files = {f"{symbol}/daily.csv": to_csv(coin) for symbol, coin in coins.groupby("symbol")}
    cripto.coins.update(files, set(files))


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
    told = bare.get("/models").json()
    assert told == {"total_models": 0, "models": [], "versions": {}, "last_loaded": None}
    assert bare.get("/symbol/%20").status_code == 400


def test_before_the_first_prices(bare: httpx.Client) -> None:
    cripto.slots["classifier_rf"].live = release("1", halves)
    answer = bare.get("/symbol/BTC")
    assert answer.status_code == 503
    assert answer.json()["detail"] == "Preços não carregados. Tente novamente em alguns segundos."


def test_a_model_that_fails_stands_in_the_answer(bare: httpx.Client) -> None:
    def fail(rows: object) -> np.ndarray[Any, np.dtype[np.float64]]:
        raise ZeroDivisionError

    know(synthetic(Synthetic(days=60, seed=1)))
    cripto.slots["classifier_rf"].live = release("7", halves)
    cripto.slots["regressor_rf"].live = release("3", fail)
    told = outlook(bare)
    assert told["total_modelos"] == len(told["modelos"]) == 5
    good = {
        "predicao": 0,
        "probabilidade": 0.5,
        "modelo": "classifier_rf",
        "tipo": "classifier",
        "versao": "7",
    }
    assert told["modelos"]["classifier_rf"] == good
    failed = told["modelos"]["regressor_rf"]
    assert failed.keys() == {"modelo", "tipo", "erro"}
    assert failed["erro"].startswith("Internal error; see the service's log, id ")
    waiting = told["modelos"]["regressor_gbr"]["erro"]
    assert waiting.startswith("No version of cripto-regressor-gbr serves yet")
    assert bare.get("/health").json()["versions"] == {"regressor_rf": "3", "classifier_rf": "7"}


def test_a_coin_of_one_day_is_answered(bare: httpx.Client) -> None:
    made = synthetic(read_settings("cripto", Settings).synthetic)
    know(made.groupby("symbol").tail(1))
    cripto.slots["classifier_rf"].live = release("1", halves)
    assert outlook(bare)["modelos"]["classifier_rf"]["probabilidade"] == 0.5
