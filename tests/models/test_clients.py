"""Clients of other makers, unchanged, with a model whose names hold spaces, dots and unicode."""

import asyncio
import importlib
from pathlib import Path
from typing import Any

import bentoml
import httpx
import openapi_python_client
import openapi_spec_validator
import pandas as pd
import pytest
from bentoml.exceptions import BentoMLException, NotFound
from mlflow.models import infer_signature
from openapi_python_client.config import Config, ConfigFile, MetaType
from sklearn.linear_model import LinearRegression

import mlflow
from bentos.protocols.arrow_stream import MEDIA_TYPE
from tests.models.conftest import Models
from tests.models.test_models import HOMES, PRICE, SKOPS

NAME = "Home prices v1.2 (São Paulo)"
TABLE = HOMES.rename(columns={"rooms": "año.de obra"})
ROWS: list[Any] = TABLE.head(5).to_dict("records")
WRONG = [ROWS[0], ROWS[1] | {"size m²": "large"}]


@pytest.fixture(scope="module")
def answers(models: Models) -> Any:
    """What the rows protocol answers to ROWS."""
    model = LinearRegression().fit(TABLE, PRICE)
    signature = infer_signature(TABLE, pd.DataFrame({"precio (€)": PRICE}))
    models.log(model, NAME, mlflow.sklearn, signature=signature, **SKOPS)
    models.promote(NAME)
    return models.served(NAME, ROWS)


def test_bentomls_client(models: Models, answers: Any) -> None:
    with bentoml.SyncHTTPClient(models.url) as client:
        assert client.predict(name=NAME, rows=ROWS) == answers
        assert client.predict(NAME, ROWS[0]) == answers[0]
        for name, rows, kind, status, words in (
            (NAME, WRONG, BentoMLException, 422, "row 1, column 'size m²': 'large' is no number"),
            (NAME, {"x": 1}, BentoMLException, 422, "unknown column 'x'"),
            (NAME, [], BentoMLException, 422, "there are no rows"),
            ("nobody", ROWS, NotFound, 404, "No model 'nobody' is promoted"),
            (7, ROWS, BentoMLException, 422, "Expected `str`, got `int`"),
        ):
            with pytest.raises(kind) as raised:
                client.predict(name=name, rows=rows)
            assert raised.value.error_code == status
            assert words in raised.value.message


def test_bentomls_asynchronous_client(models: Models, answers: Any) -> None:
    async def ask() -> list[Any]:
        async with bentoml.AsyncHTTPClient(models.url) as client:
            calls = [client.predict(name=NAME, rows=row) for row in ROWS]
            return list(await asyncio.gather(*calls))

    assert asyncio.run(ask()) == answers


def test_errors_of_the_native_door_are_those_of_the_rows_protocol(
    models: Models, answers: Any
) -> None:
    said = httpx.post(f"{models.url}/predict", json={"name": NAME, "rows": WRONG})
    (problem,) = said.json()["detail"]
    assert (said.status_code, problem["loc"]) == (422, ["body", "rows", 1, "size m²"])
    good = httpx.post(f"{models.url}/predict", json={"name": NAME, "rows": ROWS})
    assert good.headers["x-model-version"].endswith("/1")
    text = httpx.post(f"{models.url}/predict", content=b"x", headers={"content-type": "text/csv"})
    assert text.status_code == 415


def test_a_generated_client(
    models: Models, answers: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = httpx.get(models.place(NAME, "openapi.json"))
    openapi_spec_validator.validate(document.json())
    (tmp_path / "openapi.json").write_bytes(document.content)
    config = Config.from_sources(
        ConfigFile(post_hooks=[]), MetaType.NONE, tmp_path / "openapi.json", "utf-8",
        False, tmp_path / "homes",
    )  # fmt: skip
    said = openapi_python_client.generate(config=config)
    assert [one.detail for one in said] == [f"Unsupported content type {MEDIA_TYPE}"]
    monkeypatch.syspath_prepend(tmp_path)
    homes = importlib.import_module("homes")
    schemas = importlib.import_module("homes.models")
    predict = importlib.import_module("homes.api.default.predict")

    with homes.Client(base_url=models.place(NAME, "")) as client:
        rows = [schemas.Row(año_de_obra=row["año.de obra"], size_m=row["size m²"]) for row in ROWS]
        given = predict.sync(client=client, body=rows)
        assert [answer.to_dict() for answer in given] == answers
        assert predict.sync(client=client, body=rows[0]).precio == answers[0]["precio (€)"]
        rows[1].size_m = "large"
        wrong = predict.sync_detailed(client=client, body=rows)
    assert wrong.status_code == 422
    assert wrong.parsed.detail[0].loc == ["body", 1, "size m²"]
