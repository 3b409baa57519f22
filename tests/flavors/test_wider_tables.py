"""Models fitted to a table of which they look at some columns only, logged with those alone."""

import warnings
from pathlib import Path

import mlflow.sklearn
import numpy as np
import pandas as pd
import pytest
from mlflow.models import infer_signature
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from bentos.refusal import Refusal
from bentos.tensors import Batch
from tests.admission.judged import BY_SCHEMA, admitted

TABLE = pd.DataFrame(
    {
        "note": ["-"] * 40,
        "rooms": np.arange(40.0),
        "city": ["Rosario", "Salta"] * 20,
        "price": np.arange(40.0) ** 2,
    }
)
USED = TABLE[["city", "rooms"]]


def fitted(*columns: list[str] | list[int]) -> Pipeline:
    texts, numbers = columns
    used = make_column_transformer((OneHotEncoder(), texts), (StandardScaler(), numbers))
    return make_pipeline(used, RandomForestRegressor(5, random_state=0)).fit(TABLE, TABLE.price)


@pytest.mark.parametrize("columns", [(["city"], ["rooms"]), ([2], [1])], ids=["names", "places"])
def test_columns_that_nothing_looks_at_may_be_left_out(
    tmp_path: Path, columns: tuple[list[str], list[str]]
) -> None:
    model = fitted(*columns)
    release = admitted(logged(model, tmp_path), BY_SCHEMA)
    assert release.schema
    assert release.schema.names == ("city", "rooms")
    rows = Batch({name: USED[name].to_numpy() for name in ("city", "rooms")})
    (answers,) = release.predict(rows).values()
    assert np.allclose(answers, model.predict(USED))


def test_columns_that_it_looks_at_may_not(tmp_path: Path) -> None:
    model = LinearRegression().fit(TABLE[["rooms", "price"]], TABLE.price)
    with pytest.raises(Refusal, match="the model was fitted to the column 'price'"):
        admitted(logged(model, tmp_path, TABLE[["rooms"]]), BY_SCHEMA)


def logged(model: Pipeline | LinearRegression, place: Path, rows: pd.DataFrame = USED) -> Path:
    folder = place / "model"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.sklearn.save_model(
            model,
            folder,
            signature=infer_signature(rows, TABLE.price.to_numpy()),
            serialization_format="cloudpickle",
            pip_requirements=[],
        )
    return folder
