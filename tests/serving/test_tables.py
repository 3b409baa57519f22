"""A model that was fitted to a table is asked with one, in the values that it was fitted to."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from catboost import CatBoostClassifier
from mlflow.models import infer_signature
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from bentos.admission.judge import check_samples
from bentos.admission.manifest import read_samples
from bentos.flavors.loading import Loaded, load
from bentos.flavors.mlmodel import MLmodel
from tests.serving import versions
from training.manifest import Samples, write_manifest

with warnings.catch_warnings():  # mlflow warns about its own type hints
    warnings.simplefilter("ignore")
    import mlflow.catboost

RANDOM = np.random.default_rng(0)
PEOPLE = pd.DataFrame(
    {
        "age": RANDOM.integers(20, 70, 64),
        "zip": RANDOM.choice(["01234", "1234", "9"], 64),
        "code": RANDOM.choice([1, 2, 3], 64),
        "pay": RANDOM.normal(1000, 200, 64),
        "member": RANDOM.random(64) < 0.5,
    }
)
KIND = np.where(PEOPLE["zip"] == "01234", PEOPLE["code"], 0)
WORDS = ["zip", "code", "member"]


def admitted(save: Any, model: Any, table: pd.DataFrame, folder: Path, **options: Any) -> Loaded:
    """What loading gives of a version, whose samples it must answer as at training."""
    answers = pd.DataFrame({"kind": np.ravel(model.predict(table))})
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Hint: Inferred schema contains integer", UserWarning)
        signature = infer_signature(table, answers)
    save(model, folder / "model", signature=signature, pip_requirements=[], **options)
    write_manifest(folder / "model", Samples(table, answers), [])
    loaded = load(MLmodel(folder / "model"))
    check_samples(loaded.predict, read_samples(folder / "model"))
    return loaded


@pytest.mark.parametrize("columns", [["zip", "code", "pay", "member"], ["age", "code", "pay"]])
def test_a_pipeline_that_takes_columns_by_name(columns: list[str], tmp_path: Path) -> None:
    """Its samples are also in another order than that of the transformers."""
    words = [name for name in columns if name in WORDS]
    numbers = [name for name in columns if name not in WORDS]
    steps = [("numbers", StandardScaler(), numbers), ("words", OneHotEncoder(), words)]
    model = make_pipeline(ColumnTransformer(steps), LogisticRegression())
    model.fit(PEOPLE[columns], KIND)
    loaded = admitted(versions.save, model, PEOPLE[columns], tmp_path)
    rows = PEOPLE[columns].to_numpy()
    assert loaded.predict(rows[:9]).tolist() == model.predict(PEOPLE[columns][:9]).tolist()


@pytest.mark.parametrize("columns", [["pay", "zip", "code"], ["pay", "code"]])
def test_categories_stay_what_they_are(columns: list[str], tmp_path: Path) -> None:
    """CatBoost refuses 1.0 where it knows 1; and 1234 is not 01234."""
    words = [name for name in columns if name in WORDS]
    model = CatBoostClassifier(iterations=20, silent=True, allow_writing_files=False)
    model.fit(PEOPLE[columns], KIND, cat_features=words)
    assert len(set(np.ravel(model.predict(PEOPLE[columns])))) > 1
    admitted(mlflow.catboost.save_model, model, PEOPLE[columns], tmp_path, format="cbm")
