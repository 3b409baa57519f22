"""What scikit-learn's models carry of their columns.

A pipeline is followed as long as its steps keep the columns apart.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from bentos.flavors.carried import Carried, Known

MOST_NEAR = 1000
SCALERS = ("MaxAbsScaler", "MinMaxScaler", "RobustScaler", "StandardScaler")
INNER = (
    "best_estimator_", "regressor_", "estimator_", "_preprocessor", "calibrated_classifiers_",
    "named_estimators_", "estimators_", "estimator",
)  # fmt: skip
POINTS = ("cluster_centers_", "support_vectors_", "theta_", "means_", "_fit_X", "quantiles_")


def scikit(model: object) -> Carried | None:
    """The columns of a scikit-learn model, or of one that is like it."""
    head = first_step(model)
    if hasattr(head, "build_analyzer"):
        words = list(getattr(head, "vocabulary_", {}))[:MOST_NEAR]
        return Carried((Known("", "string", near=words),), form="texts")
    if type(head).__name__ == "DictVectorizer":
        return Carried((Known("", "json", near=list(head.feature_names_)),), form="objects")
    width = getattr(model, "n_features_in_", None)
    if not isinstance(width, int | np.integer):
        return None
    names = getattr(model, "feature_names_in_", None)
    columns = [Known(str(at if names is None else names[at])) for at in range(int(width))]
    learn(model, columns)
    return Carried(tuple(columns), named=names is not None)


def first_step(model: Any) -> Any:
    """The part of a model that first gets the rows."""
    if hasattr(model, "steps"):
        for _, step in model.steps:
            if step is not None and not isinstance(step, str):
                return first_step(step)
    if hasattr(model, "transformer_list"):
        return first_step(model.transformer_list[0][1])
    return next((first_step(part) for part in _inner(model)), model)


def learn(model: Any, columns: Sequence[Known]) -> None:
    """Note what a fitted model knows of the columns that it takes."""
    if hasattr(model, "steps"):
        _learn_steps(model.steps, columns)
    elif hasattr(model, "transformers_"):
        _learn_apart(model, columns)
    elif hasattr(model, "transformer_list"):
        for _, part in model.transformer_list:
            learn(part, columns)
    else:
        _note(model, columns)
        for part in _inner(model):
            if getattr(part, "n_features_in_", len(columns)) == len(columns):
                learn(part, columns)


def _learn_steps(steps: Sequence[tuple[str, Any]], columns: Sequence[Known]) -> None:
    """Those of a pipeline, up to the first that mixes columns; imputers know the least."""
    imputers = []
    for _, step in steps:
        if type(step).__name__ == "SimpleImputer":
            imputers.append(step)
        else:
            learn(step, columns)
        if not _keeps(step, len(columns)):
            break
    for imputer in imputers:
        learn(imputer, columns)


def _learn_apart(model: Any, columns: Sequence[Known]) -> None:
    """Each part of a ColumnTransformer knows some of the columns."""
    used: set[int] = set()
    for _, part, picked in model.transformers_:
        if isinstance(part, str) and part == "drop":
            continue
        used.update(_places(model, picked))
        chosen = [columns[at] for at in _places(model, picked)]
        if hasattr(part, "build_analyzer"):
            chosen[0].dtype, chosen[0].near = "string", list(part.vocabulary_)[:MOST_NEAR]
        learn(part, chosen)
    for at, column in enumerate(columns):
        column.unused = at not in used


def _inner(model: Any) -> Iterator[Any]:
    """The fitted models that a model gives its own rows to."""
    for name in INNER:
        held = getattr(model, name, None)
        if isinstance(held, dict):
            held = list(held.values())
        for part in np.ravel(np.array(held, dtype=object)).tolist() if held is not None else ():
            if hasattr(part, "__dict__") and not hasattr(part, "tree_") and _is_fitted(part):
                yield part
        if held is not None:
            return


def _is_fitted(part: Any) -> bool:
    return any(name.endswith("_") and not name.startswith("_") for name in vars(part)) or any(
        hasattr(part, name) for name in ("steps", "estimator", "transformers_")
    )


def _keeps(step: Any, width: int) -> bool:
    """Whether a step gives the columns that it gets, each by itself."""
    if step is None or isinstance(step, str):
        return True
    name = type(step).__name__
    if name in SCALERS:
        return True
    if name == "SimpleImputer":
        return step.indicator_ is None and len(step.get_feature_names_out()) == width
    return False


def _places(model: Any, picked: Any) -> list[int]:
    """The numbers of the columns that a part of a ColumnTransformer gets."""
    if isinstance(picked, slice):
        return list(range(model.n_features_in_))[picked]
    several = [picked] if isinstance(picked, str | int) else list(picked)
    if several and isinstance(several[0], bool | np.bool_):
        return np.flatnonzero(several).tolist()
    names = list(getattr(model, "feature_names_in_", ()))
    return [names.index(one) if isinstance(one, str) else int(one) for one in several]


def _note(model: Any, columns: Sequence[Known]) -> None:
    if model is None or isinstance(model, str):
        return
    if hasattr(model, "categories_"):
        for column, values in zip(columns, model.categories_, strict=False):
            if values.dtype.kind == "M":
                column.dtype, column.near = "datetime", list(values[~np.isnat(values)])
            else:
                column.know(values.tolist())
    if np.dtype(getattr(model, "_fit_dtype", None)).kind == "O":  # an imputer of texts
        for column in columns:
            column.dtype = "string"
    for column, values in zip(columns, _near(model, len(columns)), strict=False):
        if not column.near:
            column.near = [float(value) for value in np.ravel(values)[:MOST_NEAR]]


def _near(model: Any, width: int) -> Sequence[Any]:
    """For each column, numbers near those that a model was fitted to."""
    held = vars(model)
    name = type(model).__name__
    if name == "StandardScaler" or name == "RobustScaler":
        middle = held.get("mean_" if name == "StandardScaler" else "center_")
        scale = held.get("scale_")
        middle = np.zeros(width) if middle is None else middle
        scale = np.ones(width) if scale is None else scale
        return list(np.stack([middle - scale, middle, middle + scale], axis=1))
    if name == "MinMaxScaler":
        return list(np.linspace(held["data_min_"], held["data_max_"], 5).T)
    if name == "MaxAbsScaler":
        return list(np.linspace(-held["max_abs_"], held["max_abs_"], 5).T)
    if name == "SimpleImputer" and held["statistics_"].dtype.kind == "f":
        return list(np.outer(np.nan_to_num(held["statistics_"]), [0.5, 1.0, 1.5]))
    if "bin_edges_" in held:
        return list(held["bin_edges_"])
    for points in POINTS:
        rows = held.get(points)
        if isinstance(rows, np.ndarray) and rows.ndim == 2 and rows.dtype.kind == "f":
            return list(rows.T) if rows.shape[1] == width else ()
    return _turns(model, width)


def _turns(model: Any, width: int) -> Sequence[Any]:
    """For each column, the thresholds of a model's trees."""
    from bentos.flavors.booster_columns import of_booster

    module = type(model).__module__.partition(".")[0]
    if module in ("xgboost", "lightgbm", "catboost"):
        known = of_booster(module, model)
        return [column.near for column in known.columns] if known else ()
    turns: list[list[float]] = [[] for _ in range(width)]
    for feature, threshold in _nodes(model):
        for at, value in zip(feature.tolist(), threshold.tolist(), strict=True):
            if 0 <= at < width and len(turns[at]) < MOST_NEAR and np.isfinite(value):
                turns[at].append(value)
    return turns if any(turns) else ()


def _nodes(model: Any) -> Iterator[tuple[Any, Any]]:
    """Which column each node of each tree asks, and for what."""
    trees = [model] if hasattr(model, "tree_") else getattr(model, "estimators_", ())
    for tree in np.ravel(np.array(trees, dtype=object)).tolist():
        if hasattr(tree, "tree_"):
            yield tree.tree_.feature, tree.tree_.threshold
    for stage in getattr(model, "_predictors", ()):
        for predictor in stage:
            nodes = predictor.nodes[(predictor.nodes["is_leaf"] == 0)]
            yield nodes["feature_idx"], nodes["num_threshold"]
