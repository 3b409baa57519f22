"""An input example of many rows shows what is usual, with the model's answers to it."""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

from bentos.admission import usual
from bentos.admission.usual import leave_usual
from bentos.drift.reference import BESIDE, FILE, Numbers, read
from bentos.flavors.mlmodel import MLmodel
from bentos.tensors import Column, Schema
from tests.admission.judged import BY_SCHEMA, admitted

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import mlflow.sklearn


def saved(folder: Path, rows: int) -> Path:
    """A model that doubles, with an example of so many rows."""
    X = pd.DataFrame({"x": np.linspace(0, 1, rows)})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.sklearn.save_model(
            LinearRegression().fit(X, 2 * X["x"]), folder / "model", input_example=X,
            serialization_format="skops", pip_requirements=["scikit-learn"],
        )  # fmt: skip
    return folder / "model"


def test_an_example_of_many_rows_is_a_reference(tmp_path: Path) -> None:
    admitted(saved(tmp_path, 600), BY_SCHEMA)
    found = read(tmp_path / "place" / FILE)
    assert found
    assert found.rows == 600
    x, y = found.inputs["x"], found.outputs["prediction"]
    assert isinstance(x, Numbers)
    assert isinstance(y, Numbers)
    assert (x.low, x.high, x.missing) == (0.0, 1.0, 0.0)
    assert y.high == pytest.approx(2.0)


def test_one_of_few_rows_is_none(tmp_path: Path) -> None:
    admitted(saved(tmp_path, 100), BY_SCHEMA)
    assert not (tmp_path / "place" / FILE).exists()


def test_what_the_training_wrote_counts_instead(tmp_path: Path) -> None:
    folder = saved(tmp_path, 600)
    (folder / BESIDE).parent.mkdir()
    (folder / BESIDE).write_text("{}")
    leave_usual(MLmodel(folder), None, Schema((Column("x", "float64"),)), lambda x: x, tmp_path)
    assert not (tmp_path / FILE).exists()


def test_a_slow_model_is_not_asked_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usual, "SECONDS", 0.0)
    admitted(saved(tmp_path, 600), BY_SCHEMA)
    assert not (tmp_path / "place" / FILE).exists()
