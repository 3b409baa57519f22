"""What XGBoost's, LightGBM's and CatBoost's models carry of their columns.

XGBoost keeps pandas' categories in its file since 3.1, LightGBM always does; CatBoost keeps only
their hashes.
"""

import json
import re
from collections.abc import Sequence
from typing import Any

from bentos.flavors.carried import Carried, Known
from bentos.refusal import Refusal
from bentos.tensors import Dtype

MOST_NEAR = 1000
TYPES: dict[str, Dtype] = {"int": "int64", "i": "bool"}


def of_booster(module: str, model: Any) -> Carried:
    """The columns of a booster of one of the three libraries."""
    return {"xgboost": xgboost, "lightgbm": lightgbm, "catboost": catboost}[module](model)


def xgboost(model: Any) -> Carried:
    """By `feature_names`, `feature_types` and, in newer files, the categories."""
    booster = model.get_booster() if hasattr(model, "get_booster") else model
    names, types = booster.feature_names, booster.feature_types
    width = int(booster.num_features())
    columns = [Known(str(at if names is None else names[at])) for at in range(width)]
    for column, kind in zip(columns, types or (), strict=False):
        column.dtype = TYPES.get(kind, "float64")
    if "c" in (types or ()):
        kept = booster.get_categories(export_to_arrow=True)
        known = dict(kept.to_arrow()) if kept is not None else {}
        for column, kind in zip(columns, types, strict=True):
            if kind == "c":
                _categories(column, known.get(column.name))
    learner = json.loads(booster.save_raw("json"))["learner"]
    for tree in learner["gradient_booster"].get("model", {}).get("trees", ()):
        _turns(columns, tree["split_indices"], tree["split_conditions"], tree["left_children"])
    return Carried(tuple(columns), named=names is not None)


def _categories(column: Known, values: Any) -> None:
    if values is None:
        raise Refusal(
            "schema",
            f"the file does not keep the categories of {column.name!r}, which XGBoost writes "
            "since 3.1: train it again with that, and log it as it is",
        )
    if any(not text.isascii() for text in _bytes(values)):
        raise Refusal(
            "schema",
            f"XGBoost cut the categories of {column.name!r} off, since it counts letters for "
            "bytes: train it with ASCII, or let scikit-learn encode them in a pipeline",
        )
    column.know(values.to_pylist())


def _bytes(values: Any) -> Sequence[bytes]:
    """Texts of Arrow as they lie there, which may be no UTF-8."""
    import pyarrow

    if not pyarrow.types.is_string(values.type):
        return ()
    made: Sequence[bytes] = values.cast(pyarrow.binary()).to_pylist()
    return made


def _turns(
    columns: list[Known], features: Sequence[int], values: Sequence[float], left: Sequence[int]
) -> None:
    for at, value, child in zip(features, values, left, strict=True):
        if child != -1 and columns[at].categories is None and len(columns[at].near) < MOST_NEAR:
            columns[at].near.append(float(value))


def lightgbm(model: Any) -> Carried:
    """By the names, which have `_` for spaces, and `pandas_categorical`."""
    booster = getattr(model, "booster_", model)
    names = booster.feature_name()
    numbered = names == [f"Column_{at}" for at in range(len(names))]
    columns = [Known(str(at) if numbered else name) for at, name in enumerate(names)]
    text = booster.model_to_string(num_iteration=-1)
    known = booster.pandas_categorical or ()
    for at, place in enumerate(category_places(text)):
        columns[place].dtype = "int64"  # what LightGBM takes where pandas named no categories
        if at < len(known):
            columns[place].know(known[at])
    for feature, threshold in zip(
        re.findall(r"^split_feature=(.*)$", text, re.MULTILINE),
        re.findall(r"^threshold=(.*)$", text, re.MULTILINE),
        strict=True,
    ):
        splits = [int(at) for at in feature.split()]
        _turns(columns, splits, [float(v) for v in threshold.split()], [0] * len(splits))
    return Carried(tuple(columns), named=not numbered)


def category_places(text: str) -> list[int]:
    """Which columns of a LightGBM model are categories, by its text form."""
    listed = re.search(r"^\[categorical_feature: ([\d,]+)\]$", text, re.MULTILINE)
    if listed:
        return [int(at) for at in listed[1].split(",")]
    infos = re.search(r"^feature_infos=(.*)$", text, re.MULTILINE)
    parts = infos[1].split() if infos else []
    return [at for at, info in enumerate(parts) if info != "none" and not info.startswith("[")]


def catboost(model: Any) -> Carried:
    """By the names, and the places of categories and texts."""
    names = [str(name) for name in model.feature_names_]
    numbered = names == [str(at) for at in range(len(names))]
    columns = [Known(name) for name in names]
    for at in (*model.get_cat_feature_indices(), *model.get_text_feature_indices()):
        columns[at].dtype = "string"
    numbers = [column for column in columns if column.dtype == "float64"]
    for at, borders in model.get_borders().items():
        if at < len(numbers):
            numbers[at].near = [float(value) for value in borders[:MOST_NEAR]]
    return Carried(tuple(columns), named=not numbered)
