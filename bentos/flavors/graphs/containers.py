"""What holds other transformers and estimators: pipelines, columns apart, searches."""

from typing import Any

import numpy as np

from bentos.flavors.graphs import functions
from bentos.flavors.graphs.answers import as_numbers
from bentos.flavors.graphs.builder import Builder
from bentos.flavors.graphs.columns import Answer, Frame
from bentos.flavors.graphs.compiled import NoGraph
from bentos.flavors.graphs.registry import answer, estimator, no_method, transform, transformer

SEARCHES = (
    "GridSearchCV", "RandomizedSearchCV", "HalvingGridSearchCV", "HalvingRandomSearchCV",
)  # fmt: skip


@estimator("Pipeline")
def pipeline(b: Builder, model: Any, frame: Frame, method: str) -> Answer:
    """Each step takes what the one before it gives."""
    return answer(b, model.steps[-1][1], _steps(b, model.steps[:-1], frame), method)


@transformer("Pipeline")
def pipeline_transform(b: Builder, model: Any, frame: Frame) -> Frame:
    """The same for a pipeline that only transforms."""
    return _steps(b, model.steps, frame)


def _steps(b: Builder, steps: list[tuple[str, Any]], frame: Frame) -> Frame:
    for _, step in steps:
        frame = frame if step in (None, "passthrough") else transform(b, step, frame)
    return frame


@transformer("FeatureUnion")
def union(b: Builder, model: Any, frame: Frame) -> Frame:
    """All transformers' columns side by side, weighed where there are weights."""
    if model.transformer_weights:
        raise NoGraph("a FeatureUnion with weights has no exact form")
    made: list[Frame] = []
    for _, step in model.transformer_list:
        if step != "drop":
            made.append(frame if step == "passthrough" else transform(b, step, frame))
    return sum(made, ())


@transformer("ColumnTransformer")
def apart(b: Builder, model: Any, frame: Frame) -> Frame:
    """Each transformer's own columns, then theirs side by side."""
    made: list[Frame] = []
    for name, step, _ in model.transformers_:
        if isinstance(step, str) and step == "drop":
            continue
        chosen = tuple(frame[at] for at in model._transformer_to_input_indices[name])
        if chosen:
            passes = isinstance(step, str) and step == "passthrough"
            made.append(chosen if passes else transform(b, step, chosen))
    return sum(made, ())


@estimator(*SEARCHES)
def search(b: Builder, model: Any, frame: Frame, method: str) -> Answer:
    """The best of those tried."""
    return answer(b, model.best_estimator_, frame, method)


@estimator("FixedThresholdClassifier", "TunedThresholdClassifierCV")
def threshold(b: Builder, model: Any, frame: Frame, method: str) -> Answer:
    """Probabilities are the estimator's own; classes by another threshold have no form yet."""
    if method == "predict":
        raise no_method(model, method)
    return answer(b, model.estimator_, frame, method)


@estimator("TransformedTargetRegressor")
def transformed_target(b: Builder, model: Any, frame: Frame, method: str) -> Answer:
    """The regressor's answer, transformed back."""
    if method != "predict":
        raise no_method(model, method)
    inner = answer(b, model.regressor_, frame, method)
    back = _inverse(b, model.transformer_, as_numbers(b, inner))
    return Answer(back, inner.width, model._training_dim == 1 and inner.width == 1)


def _inverse(b: Builder, model: Any, tensor: str) -> str:
    kind = type(model).__name__
    if kind == "FunctionTransformer":
        if model.inverse_func is None:
            return tensor
        make, _ = functions.FUNCTIONS[functions.named(model.inverse_func)]
        return make(b, tensor)
    if kind in ("StandardScaler", "RobustScaler"):
        scale = model.scale_
        center = model.mean_ if kind == "StandardScaler" else model.center_
        tensor = tensor if scale is None else b.in_place("Mul", tensor, scale)
        return tensor if center is None else b.in_place("Add", tensor, center)
    if kind == "MinMaxScaler":
        return b.in_place("Div", b.in_place("Sub", tensor, model.min_), model.scale_)
    if kind == "MaxAbsScaler":
        return b.in_place("Mul", tensor, model.scale_)
    raise NoGraph(f"a target transformed by {kind} has no exact form")


@estimator("MultiOutputRegressor")
def outputs(b: Builder, model: Any, frame: Frame, method: str) -> Answer:
    """One estimator for each output."""
    if method != "predict":
        raise no_method(model, method)
    each = [as_numbers(b, answer(b, member, frame, method)) for member in model.estimators_]
    return Answer(b.concat(each), len(each))


@estimator("DummyRegressor")
def dummy(b: Builder, model: Any, frame: Frame, method: str) -> Answer:
    """The same for every row."""
    if method != "predict" or model.n_outputs_ != 1 or not frame:
        raise no_method(model, method)
    zero = b.math("Mul", b.matrix(frame[:1], np.float64), 0.0)
    return Answer(b.math("Add", zero, np.ravel(model.constant_)), 1, True)
