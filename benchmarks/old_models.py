"""Ten kinds of models as a release of scikit-learn pickles them, with what it answers.

    PYTHON benchmarks/old_models.py FOLDER [KIND ...]

It runs where only scikit-learn, pandas and YAML are installed.
"""

import json
import pickle
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from sklearn import __version__ as release
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC

ROWS = 1_000
NUMBERS = ["rooms", "area", "age", "floor"]
CITIES = ["Rosario", "Córdoba", "São Paulo", "Lima"]


def kinds() -> dict[str, tuple[Any, bool, bool]]:
    """A model of each kind; whether it takes texts and missing values; whether it classifies."""
    forest = make_pipeline(StandardScaler(), RandomForestRegressor(random_state=0))
    grid = {"randomforestregressor__n_estimators": [5, 20]}
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    texts = make_pipeline(
        SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore")
    )
    columns = ColumnTransformer([("numbers", numbers, NUMBERS), ("texts", texts, ["city"])])
    return {
        "StandardScaler, LogisticRegression": (
            make_pipeline(StandardScaler(), LogisticRegression()), False, True),
        "RandomForestClassifier": (RandomForestClassifier(30, random_state=0), False, True),
        "GradientBoostingRegressor": (GradientBoostingRegressor(random_state=0), False, False),
        "HistGradientBoostingClassifier": (
            HistGradientBoostingClassifier(max_iter=30, random_state=0), False, True),
        "ColumnTransformer, imputers, Ridge": (make_pipeline(columns, Ridge()), True, False),
        "ColumnTransformer, imputers, RandomForestClassifier": (
            make_pipeline(columns, RandomForestClassifier(20, random_state=0)), True, True),
        "GridSearchCV of a forest": (GridSearchCV(forest, grid, cv=3), False, False),
        "KMeans": (make_pipeline(StandardScaler(), KMeans(4, n_init=3, random_state=0)),
                   False, True),
        "SVC": (make_pipeline(StandardScaler(), SVC()), False, True),
        "KNeighborsRegressor": (make_pipeline(StandardScaler(), KNeighborsRegressor()),
                                False, False),
    }  # fmt: skip


def table(count: int, seed: int) -> pd.DataFrame:
    """Homes."""
    random = np.random.default_rng(seed)
    made = pd.DataFrame({name: random.normal(size=count) * 10 for name in NUMBERS})
    made["city"] = random.choice(CITIES, count)
    return made


def main() -> None:
    """Leave a version of each kind below a folder."""
    homes, asked = table(600, 0), table(ROWS, 1)
    price = homes["area"] * 2 + homes["rooms"] ** 2 + homes["city"].map(len)
    level = (price > price.median()).map({True: "dear", False: "cheap"})
    made = kinds()
    for name in sys.argv[2:] or made:
        model, mixed, classifies = made[name]
        x, rows = (homes, asked.copy()) if mixed else (homes[NUMBERS], asked[NUMBERS])
        if mixed:
            rows.loc[::7, "area"] = np.nan
        model.fit(x, level if classifies else price)
        left(Path(sys.argv[1]) / name, model, rows)


def left(folder: Path, model: Any, rows: pd.DataFrame) -> None:
    """A version as MLflow lays it out, and beside it what was asked and answered."""
    version = folder / "version"
    version.mkdir(parents=True)
    (version / "model.pkl").write_bytes(pickle.dumps(model))
    sklearn = {
        "pickled_model": "model.pkl",
        "serialization_format": "cloudpickle",
        "sklearn_version": release,
    }
    flavors = {"python_function": {"loader_module": "mlflow.sklearn"}, "sklearn": sklearn}
    (version / "MLmodel").write_text(yaml.safe_dump({"flavors": flavors}))
    stored = {"scikit-learn": release, "numpy": np.__version__, "pandas": pd.__version__}
    lines = [f"{name}=={known}\n" for name, known in stored.items()]
    (version / "requirements.txt").write_text("".join(lines))
    answers = {"prediction": np.asarray(model.predict(rows)).tolist()}
    if hasattr(model, "predict_proba"):
        answers["probabilities"] = model.predict_proba(rows).tolist()
    body = rows.astype(object).where(rows.notna(), None).to_dict("records")
    (folder / "asked.json").write_text(json.dumps({"rows": body, "answers": answers}))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
