"""The params of a signature, in the query of a call."""

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
from mlflow.models import infer_signature
from starlette.types import Message
from xgboost import XGBClassifier

from bentos.models import page
from bentos.models.calls import Row, run
from bentos.models.doors import Predictions
from bentos.models.openapi import document, parameters
from bentos.serving.slot import Slot
from bentos.serving.table import Table
from bentos.settings import Channel, LimitSettings
from bentos.tensors import Param
from bentos.web.errors import UnprocessableBody
from tests.admission.judged import BY_SCHEMA, admitted
from tests.memory import Tally

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import mlflow.pyfunc
    import mlflow.xgboost

pytestmark = pytest.mark.anyio
PARAMS = {"output_margin": True, "top": 3, "share": 0.5, "label": "a", "stop": ["x"]}
TABLE = pd.DataFrame({"x": np.arange(40.0), "y": np.arange(40.0) % 7})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose answers MLflow gives as margins, by the default of a param."""
    made = tmp_path_factory.mktemp("params") / "model"
    model = XGBClassifier(n_estimators=4).fit(TABLE, TABLE["x"] > 20)
    signature = infer_signature(TABLE, np.ones(40, np.float32), params=PARAMS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.xgboost.save_model(model, str(made), signature=signature, pip_requirements=["x"])
    return made


@pytest.fixture(scope="module")
def door(folder: Path) -> Predictions:
    slot = Slot[Row, Row](
        "m", BY_SCHEMA, run, Channel(alias="champion"), LimitSettings(), Tally(), join=Table.join
    )
    slot.swap(admitted(folder, BY_SCHEMA))
    return Predictions(slot, 60)


async def asked(door: Predictions, query: str) -> Any:
    """The answers to the table's rows, with a query."""
    body = TABLE.to_json(orient="records").encode()

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    headers = [(b"content-type", b"application/json")]
    scope = {"type": "http", "headers": headers, "query_string": query.encode()}
    _, _, given = await door.answer(scope, receive)
    return msgspec.json.decode(given)


@pytest.mark.parametrize("query", [
    "", "top=5&share=1e3&label=3&stop=%5B%22y%22%5D", "output_margin=true", "proba=true&top=1",
])  # fmt: skip
async def test_answers_are_those_of_mlflow(door: Predictions, folder: Path, query: str) -> None:
    wanted = mlflow.pyfunc.load_model(str(folder)).predict(TABLE)
    assert wanted.min() < 0  # margins
    given = await asked(door, query)
    np.testing.assert_allclose([row["prediction"] for row in given], wanted, rtol=1e-6)
    assert ("probabilities" in given[0]) == ("proba" in query)


@pytest.mark.parametrize(("query", "name", "message"), [
    ("top=1.5", "top", "param 'top': 1.5 is no integer"),
    ("top=many", "top", "param 'top': 'many' is no integer"),
    ("stop=x", "stop", "param 'stop': 'x' is no list"),
    ("tip=1", "tip", "unknown param 'tip'; there are 'output_margin', 'top', 'share', "),
    ("share=NaN", "share", "param 'share': 'NaN' is no number"),
    ("share=-Infinity", "share", "param 'share': '-Infinity' is no number"),
    ("share=1e999", "share", "param 'share': '1e999' is no number"),
    ("share=" + "9" * 400, "share", "is too large for float64"),
    ("top=1&top=2", "top", "Given more than once"),
    ("output_margin=false", "output_margin", "is false, and this version answers with true alone"),
    ("proba=maybe", "proba", "Expected `bool`, got 'maybe'"),
])  # fmt: skip
async def test_a_wrong_one_is_named(
    door: Predictions, query: str, name: str, message: str
) -> None:
    with pytest.raises(UnprocessableBody) as wrong:
        await asked(door, query)
    (problem,) = wrong.value.detail
    assert (problem.loc, message in problem.msg) == (["query", name], True), problem.msg


async def test_the_document_has_them(door: Predictions) -> None:
    assert door.slot.live
    made = document("m", door.slot.live)["paths"]["/predict"]["post"]["parameters"]
    known = {each["name"]: each.get("schema") for each in made}
    assert known["top"] == {"type": "integer", "format": "int64", "default": 3}
    assert known["output_margin"] == {"type": "boolean", "const": True}
    items = {"type": "array", "items": {"type": "string"}, "default": ["x"]}
    assert known["stop"]["type"] == "string"  # of JSON, as the query has it
    assert known["stop"]["contentSchema"] == items
    assert known.keys() == {"proba", *PARAMS}


async def test_a_param_named_as_the_flag_comes_first(door: Predictions) -> None:
    """The query then sets the param, and asks for no probabilities."""
    live = door.slot.live
    assert live
    assert live.schema
    params = (*live.schema.params, Param("proba", "float64", 0.5))
    changed = replace(live, schema=msgspec.structs.replace(live.schema, params=params))
    slot = Slot[Row, Row](
        "m", BY_SCHEMA, run, Channel(alias="champion"), LimitSettings(), Tally(), join=Table.join
    )
    slot.swap(changed)
    own = Predictions(slot, 60)
    given = await asked(own, "proba=0.25")
    assert given == await asked(door, "")
    with pytest.raises(UnprocessableBody) as wrong:
        await asked(own, "proba=true")
    assert "param 'proba': true is no number" in str(wrong.value.detail)
    (one,) = [each for each in parameters(changed) if each["name"] == "proba"]
    assert one["schema"] == {"type": "number", "format": "double", "default": 0.5}
    asked_so, asked_else = page.asking(door.slot), page.asking(slot)
    assert asked_so
    assert asked_so.proba
    assert asked_else
    assert not asked_else.proba
