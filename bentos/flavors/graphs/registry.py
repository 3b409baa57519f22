"""Who makes a graph of what: compilers by the name of its class.

Only the libraries' classes and our own are compiled: somebody's subclass may compute otherwise.
"""

from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

from bentos.flavors.graphs.builder import Builder
from bentos.flavors.graphs.columns import Answer, Frame
from bentos.flavors.graphs.compiled import NoGraph

Transform: TypeAlias = Callable[[Builder, Any, Frame], Frame]
Estimate: TypeAlias = Callable[[Builder, Any, Frame, str], Answer]
F = TypeVar("F", bound=Callable[..., Any])

OWNERS = ("sklearn", "xgboost", "lightgbm", "training")

TRANSFORMERS: dict[str, Transform] = {}
ESTIMATORS: dict[str, Estimate] = {}


def transformer(*names: str) -> Callable[[F], F]:
    """Register what compiles transformers of these names."""

    def register(function: F) -> F:
        TRANSFORMERS.update(dict.fromkeys(names, function))
        return function

    return register


def estimator(*names: str) -> Callable[[F], F]:
    """Register what compiles estimators of these names."""

    def register(function: F) -> F:
        ESTIMATORS.update(dict.fromkeys(names, function))
        return function

    return register


def transform(b: Builder, model: Any, frame: Frame) -> Frame:
    """The columns that a fitted transformer makes. Raises NoGraph."""
    name = own_name(model)
    if name not in TRANSFORMERS:
        raise NoGraph(f"{name} has no exact form")
    return TRANSFORMERS[name](b, model, frame)


def answer(b: Builder, model: Any, frame: Frame, method: str) -> Answer:
    """What a fitted estimator's method gives. Raises NoGraph."""
    name = own_name(model)
    if name not in ESTIMATORS:
        raise NoGraph(f"{name} has no exact form")
    return ESTIMATORS[name](b, model, frame, method)


def own_name(model: Any) -> str:
    """A known class's name: `StandardScaler`, `xgboost.Booster`. Raises NoGraph for others."""
    kind = type(model)
    package = kind.__module__.split(".")[0]
    if package not in OWNERS:
        raise NoGraph(f"{kind.__module__}.{kind.__qualname__} is not among the known classes")
    return str(kind.__name__) if package == "sklearn" else f"{package}.{kind.__name__}"


def no_method(model: Any, method: str) -> NoGraph:
    """That a method of a model has no graph."""
    return NoGraph(f"{type(model).__name__}.{method} has no exact form")


def takes_missing(model: Any) -> bool:
    """Whether an estimator says that it takes NaN."""
    if hasattr(model, "__sklearn_tags__"):
        return bool(model.__sklearn_tags__().input_tags.allow_nan)
    return bool(model._get_tags()["allow_nan"])  # before scikit-learn 1.6
