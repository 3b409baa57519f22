"""One estimator: of scikit-learn, XGBoost, LightGBM or CatBoost, alone or in a bundle.

A bundle is a dict of `model`, and perhaps `scaler` and `features`.
"""

import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bentos.cli.errors import Failed
from bentos.cli.importing.brought import Brought, Tried, chosen, found_in, rows_of
from bentos.cli.importing.items import Item
from bentos.cli.importing.served import served
from bentos.flavors import reading
from bentos.flavors.columns import carried
from training.data import Dataset
from training.errors import InputError
from training.manifest import Samples

BUNDLE = {"model", "scaler", "features"}
LIBRARIES: Mapping[str, tuple[str, ...]] = {
    "xgboost": ("xgboost-cpu", "numpy"),
    "lightgbm": ("lightgbm", "numpy"),
    "catboost": ("catboost", "numpy"),
}


def found(item: Item, columns: Sequence[str]) -> Brought:
    """An item as a model; `columns` are those that the user named. Raises Failed."""
    model, features = _parts(item)
    if not hasattr(model, "predict"):
        raise Failed(f"{item.file} holds a {item.what}, which predicts nothing")
    known = carried(model)
    if known is None or known.form != "columns":
        raise Failed(f"{item.file}: a {type(model).__name__} takes no columns; log it with MLflow")
    own = [column.name for column in known.columns] if known.named else []
    names = own or list(features) or list(columns)
    module = type(model).__module__.partition(".")[0]

    def sample(dataset: Dataset) -> Tried:
        rows = rows_of(dataset, names, len(known.columns))
        answers = _asked(model, rows, bool(own))
        at = chosen(answers)
        return Tried(len(rows), Samples(rows.iloc[at], answers[at]))

    def text(dataset: Dataset) -> list[str]:
        names_there = found_in(dataset, names, len(known.columns))
        pairs = zip(names_there, known.columns, strict=True)
        return [name for name, column in pairs if column.dtype == "string"]

    libraries = LIBRARIES.get(module, ("scikit-learn", "numpy", "skops"))
    return Brought(type(model).__name__, sample, _saver(model, module), served, libraries, text)


def _parts(item: Item) -> tuple[Any, Sequence[str]]:
    """The estimator, behind the scaler of its bundle, and the columns that the bundle names."""
    bundle = item.content
    if not isinstance(bundle, dict):
        return bundle, ()
    if "model" not in bundle or set(bundle) - BUNDLE:
        raise Failed(
            f"{item.file} holds a {item.what}; a dict of {', '.join(sorted(BUNDLE))} is known, "
            "and a threshold in contugas' layout alone"
        )
    model, scaler = bundle["model"], bundle.get("scaler")
    if scaler is not None:
        from sklearn.pipeline import Pipeline

        model = Pipeline([("scaler", scaler), ("model", model)])
    return model, [str(name) for name in bundle.get("features", ())]


def _asked(model: Any, rows: pd.DataFrame, named: bool) -> NDArray[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that some of the parts do not know
        try:
            answers = np.asarray(model.predict(rows if named else rows.to_numpy()))
        except Exception as error:
            raise InputError(
                f"{type(model).__name__} does not answer the rows: {error}"
            ) from error
    if answers.ndim == 2 and answers.shape[1] == 1:
        return answers[:, 0]
    return answers


def _saver(model: Any, module: str) -> Callable[[Path, Samples], None]:
    def save(path: Path, samples: Samples) -> None:
        from mlflow.models import infer_signature

        flavor = module if module in LIBRARIES else "sklearn"
        options = _format(model) if flavor == "sklearn" else {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of integers that might lack values some day
            signature = infer_signature(samples.inputs, samples.outputs)
            write = import_module(f"mlflow.{flavor}").save_model
            write(model, str(path), signature=signature, pip_requirements=[], **options)

    return save


def _format(model: Any) -> dict[str, Any]:
    """skops, where the reader reads that back; else a pickle, which is read as data."""
    import skops.io

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.skops")
        skops.io.dump(model, path)
        try:
            reading.read_skops(path)
        except reading.Unreadable:
            return {"serialization_format": "cloudpickle"}
        names = skops.io.get_untrusted_types(file=path)
        return {"serialization_format": "skops", "skops_trusted_types": names}
