"""The contract of cripto, as `bentoml serve bentos.cripto:Cripto` keeps it."""

from datetime import UTC, datetime
from pathlib import Path

import httpx
import pandas as pd
import pytest
import skops.io

from bentos.cripto.messages import MODELS
from tests.cripto.bench import outlook, registered
from tests.e2e.service import status
from tests.stack import Stack, wait_for
from tests.web.scrape import value
from training.cripto.features import features


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
    body = client.get("/models").json()
    since = datetime.fromisoformat(body.pop("last_loaded"))
    assert since.utcoffset() is not None
    assert since <= datetime.now(UTC)
    assert body == {
        "total_models": 5,
        "models": list(MODELS),
        "versions": dict.fromkeys(MODELS, "1"),
    }


def test_all_five_answer_as_they_do_without_the_service(
    client: httpx.Client, folder: Path, prices: pd.DataFrame
) -> None:
    given = outlook(client)
    assert (given["ativo"], given["total_modelos"], given["dados_sinteticos"]) == ("BTC", 5, False)
    assert given["ultimo_dado"] == str(prices["date"].iloc[-1].date())
    assert given["timestamp"].endswith("Z")
    assert abs(datetime.now(UTC) - datetime.fromisoformat(given["timestamp"])).seconds < 60
    assert list(given["modelos"]) == list(MODELS)
    row = features(prices).to_numpy()[-1:]
    for name, kind in MODELS.items():
        (path,) = (folder / "home" / "cache" / registered(name)).glob("1-*/model.skops")
        model = skops.io.load(path, trusted=skops.io.get_untrusted_types(file=path))
        answer = given["modelos"][name]
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


def test_made_prices_are_marked(client: httpx.Client) -> None:
    given = outlook(client, "ETH")
    assert given["dados_sinteticos"]
    assert given["ultimo_dado"] == "2024-12-31"


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


def test_the_stack_answers_on_made_coins(stack: Stack) -> None:
    wait_for(lambda: status(f"{stack.api}/cripto/symbol/BTC") == 200, 120)
    body = httpx.get(f"{stack.api}/cripto/symbol/BTC", timeout=60).json()
    assert body["dados_sinteticos"]
    assert not [model for model in body["modelos"].values() if "erro" in model]
    welcome = httpx.get(f"{stack.api}/cripto/", timeout=60).json()
    assert welcome["message"] == "Cripto Prediction API"
