"""Whole tables through models that have no service of their own."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from bentos.scoring.model import admitted, promoted
from bentos.scoring.schemas import SchemaColumns
from bentos.scoring.tables import Unfit
from bentos.serving.release import Release
from bentos.settings import Settings
from tests.models.conftest import Models
from tests.serving.servers import reading

with warnings.catch_warnings():  # mlflow warns about its own type hints
    warnings.simplefilter("ignore")
    import mlflow.sklearn

ROWS = {"rooms": [3.0, 1.0, 7.0], "city": ["Rosario", "Lima", "Rosario"]}
LABELS = np.array(["dear", "cheap", "dear"])


def scoring(models: Models, home: Path, name: str, *keep: str) -> tuple[Release, SchemaColumns]:
    with reading(mlflow.get_tracking_uri()) as registry:
        settings = Settings(home=home)
        release, columns = admitted(registry, promoted(registry, name, settings), settings, keep)
    assert isinstance(columns, SchemaColumns)
    return release, columns


def scored(release: Release, columns: SchemaColumns, table: dict[str, Any]) -> list[Any]:
    batch = pa.record_batch(table)
    schema = columns.schema(batch.schema)
    answers = columns.score(release, batch)
    made = pa.Table.from_arrays([*batch.columns, *answers], schema=schema)
    rows: list[Any] = made.select(list(columns.outputs)).to_pylist()
    return rows


def test_a_table_gets_what_calls_get(models: Models, tmp_path: Path) -> None:
    name = "scored by columns"
    encoder = make_column_transformer((OneHotEncoder(), ["city"]), remainder="passthrough")
    model = make_pipeline(encoder, LogisticRegression()).fit(pd.DataFrame(ROWS), LABELS)
    models.log(model, name, mlflow.sklearn, serialization_format="cloudpickle")
    models.promote(name)
    rows = [dict(zip(ROWS, row, strict=True)) for row in zip(*ROWS.values(), strict=True)]
    answers = models.served(name, rows)
    release, columns = scoring(models, tmp_path, name, "client")
    table = ROWS | {"client": ["a", "b", "c"], "__index_level_0__": [5, 6, 7]}
    assert scored(release, columns, table) == answers
    cities = pa.array(ROWS["city"]).dictionary_encode()
    assert scored(release, columns, table | {"city": cities}) == answers
    with pytest.raises(Unfit, match="'rooms'"):
        columns.schema(pa.schema({"city": pa.string(), "client": pa.string()}))
    with pytest.raises(Unfit, match=r"foreign|takes no columns \['street'\]"):
        columns.schema(pa.record_batch(table | {"street": ["x", "y", "z"]}).schema)
    with pytest.raises(Unfit, match="row 1, column 'rooms'"):
        scored(release, columns, table | {"rooms": [1.0, None, 2.0]})
    assert columns.in_csv(name) == {
        "rooms": pa.float64(), "city": pa.string(), "client": pa.string(),
    }  # fmt: skip


def test_columns_without_names_count_in_their_order(models: Models, tmp_path: Path) -> None:
    name = "scored by order"
    model = LinearRegression().fit([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], [0.0, 2.0, 5.0])
    example = np.array([[1.0, 2.0]])
    models.log(model, name, mlflow.sklearn, serialization_format="skops", input_example=example)
    models.promote(name)
    answers = models.served(name, [[1.0, 2.0], [3.0, 4.0]])
    release, columns = scoring(models, tmp_path, name, "id")
    table = {"id": ["a", "b"], "x": [1.0, 3.0], "y": [2.0, 4.0]}
    assert scored(release, columns, table) == answers
    with pytest.raises(Unfit, match="columns"):
        columns.schema(pa.schema({"id": pa.string(), "x": pa.float64()}))
