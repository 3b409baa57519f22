"""The files of XGBoost, LightGBM and CatBoost, with their trees checked.

Their compiled code follows a tree's nodes unchecked: one that leads back to itself hangs for ever.
LightGBM's text is checked before it gets it, since it reads by the lengths that stand there.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
from numpy.typing import NDArray

from bentos.flavors.mlmodel import MLmodel
from bentos.refusal import Refusal

CATBOOST = ("CatBoost", "CatBoostClassifier", "CatBoostRegressor", "CatBoostRanker")
XGBOOST = (
    "Booster", "XGBClassifier", "XGBRegressor", "XGBRanker", "XGBRFClassifier", "XGBRFRegressor",
)  # fmt: skip
TEXT = "tree\nversion="


def open_catboost(mlmodel: MLmodel) -> Any:
    """A model of a `cbm` file."""
    import catboost

    kind = str(mlmodel.options.get("model_type"))
    if kind not in CATBOOST or mlmodel.options.get("save_format", "cbm") != "cbm":
        known = ", ".join(CATBOOST)
        raise Refusal("flavor", f"a catboost {kind} cannot be served; {known} as cbm can")
    model = getattr(catboost, kind)()
    return model.load_model(str(mlmodel.file(mlmodel.options.get("data"))), format="cbm")


def open_xgboost(mlmodel: MLmodel) -> Any:
    """A booster or its scikit-learn wrapper, of a file of binary or plain JSON."""
    import xgboost

    kind = str(mlmodel.options.get("model_class", "Booster")).rpartition(".")[2]
    path = mlmodel.file(mlmodel.options.get("data"))
    if kind not in XGBOOST:
        known = ", ".join(XGBOOST)
        raise Refusal("flavor", f"an xgboost {kind} cannot be served; {known} can")
    content = path.read_bytes()
    if not content.startswith(b"{"):  # its name says nothing: MLflow 2 calls all `model.xgb`
        raise Refusal(
            "flavor",
            f"{path.name} has the old binary form of XGBoost, which it reads no more: save it "
            "with the release that wrote it as .ubj, and log that",
        )
    model = getattr(xgboost, kind)()
    model.load_model(bytearray(content))
    _check_grown(model.get_booster() if hasattr(model, "get_booster") else model)
    return model


def _check_grown(booster: Any) -> None:
    """Refuse trees of XGBoost that lead back, or outside themselves."""
    grown = json.loads(booster.save_raw("json"))["learner"]["gradient_booster"]
    for tree in grown.get("model", grown.get("gbtree", {}).get("model", {})).get("trees", ()):
        left, right, features = (
            np.array(tree[name], np.int64)
            for name in ("left_children", "right_children", "split_indices")
        )
        inner = left != -1
        check_children(left[inner], right[inner], np.flatnonzero(inner), len(left))
        _check_features(features[inner], booster.num_features())


def open_lightgbm(mlmodel: MLmodel) -> Any:
    """A booster of its text."""
    import lightgbm

    text = mlmodel.file(mlmodel.options.get("data")).read_text()
    check_text(text)
    return lightgbm.Booster(model_str=text)


def check_skops(path: Path) -> None:
    """Check LightGBM's texts in a skops file, before they are read."""
    with ZipFile(path) as archive:
        schema = json.loads(archive.read("schema.json"))
    for stored in _strings(schema):
        text = (
            json.loads(stored) if stored.startswith('"') else stored
        )  # skops writes JSON in JSON
        if TEXT in text:
            check_text(text)


def _strings(node: Any) -> Iterator[str]:
    waiting = [node]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, dict | list):
            waiting += one.values() if isinstance(one, dict) else one


def check_text(text: str) -> None:
    """Refuse trees of LightGBM that lead back, or outside themselves."""
    head, *blocks = text.split("\nTree=")
    width = int(_fact(head, "max_feature_idx")) + 1
    for block in blocks:
        leaves = int(_fact(block, "num_leaves"))
        values = _integers(block, "leaf_value", leaves)
        left, right, features, _ = (
            _integers(block, name, leaves - 1)
            for name in ("left_child", "right_child", "split_feature", "threshold")
        )
        kinds = _integers(block, "decision_type", leaves - 1)
        nodes = np.arange(leaves - 1)
        both = np.stack([left, right])
        if (both < -len(values)).any():
            raise _outside()
        ends = np.where(both < 0, leaves - 1 + ~both, both)
        check_children(ends[0], ends[1], nodes, 2 * leaves - 1)
        _check_features(features, width)
        _check_sets(block, kinds)


def check_children(
    left: NDArray[np.int64], right: NDArray[np.int64], nodes: NDArray[np.int64], count: int
) -> None:
    """Refuse a tree unless each of its nodes is the child of one at most, and the root of none."""
    children = np.concatenate([left, right])
    if ((children <= 0) | (children >= count)).any() or len(np.unique(children)) < len(children):
        raise _outside()


def _check_features(features: NDArray[np.int64], width: int) -> None:
    if ((features < 0) | (features >= width)).any():
        raise Refusal("load", "a tree of the file reads a column that is not there")


def _check_sets(block: str, kinds: NDArray[np.int64]) -> None:
    """The sets of categories lie within their words."""
    sets = (kinds & 1) == 1
    if not sets.any():
        return
    count = int(_fact(block, "num_cat"))
    places = _integers(block, "threshold", len(kinds))[sets]
    bounds = _integers(block, "cat_boundaries", count + 1)
    words = _fact(block, "cat_threshold").split()
    inside = (places >= 0).all() and (places < count).all()
    if not inside or (np.diff(bounds) < 0).any() or bounds[0] < 0 or bounds[-1] > len(words):
        raise _outside()


def _outside() -> Refusal:
    return Refusal("load", "a tree of the file points outside itself, or back")


def _fact(block: str, name: str) -> str:
    found = re.search(rf"^{name}=(.*)$", block, re.MULTILINE)
    if not found:
        raise Refusal("load", f"a tree of the file has no {name}")
    return found[1]


def _integers(block: str, name: str, count: int) -> NDArray[np.int64]:
    values = _fact(block, name).split() if count else []
    if len(values) != count:
        raise Refusal("load", f"a tree of the file has {len(values)} of {count} {name}")
    made: NDArray[np.int64] = np.array(values, np.float64).astype(np.int64)
    return made
