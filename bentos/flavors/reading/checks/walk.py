"""Everything that a model holds, however deep, and nothing that is not known."""

from collections import OrderedDict, defaultdict
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from bentos.flavors.reading.errors import Damaged, Unreviewed
from bentos.flavors.reading.limits import Limits
from bentos.flavors.reading.names import HELD, Held, Maker, Unbuilt, exact, expect, imported
from bentos.flavors.reading.old_names import current
from bentos.flavors.reading.parts import DISTANCES, FUNCTIONS, LOSSES, TYPES

PLAIN = (str, bytes, bytearray, int, float, complex, bool, type(None), slice, range)
MAPPINGS = (dict, OrderedDict, defaultdict)
COMPILED = (
    exact(LOSSES)
    | exact(DISTANCES)
    | {
        "sklearn.tree._tree.Tree",
        "scipy.interpolate._interpolate.interp1d",  # no name to read: it is made again from points
        *(
            f"sklearn.neighbors._{module}.{name}{precision}"
            for module, name in (("kd_tree", "KDTree"), ("ball_tree", "BallTree"))
            for precision in ("", "64", "32")
        ),
    }
)
# Checked when they were made, from bytes; a skops file may not name them.
BOOSTERS = {
    *("xgboost.core.Booster", "lightgbm.basic.Booster", "catboost.core.CatBoost"),
    *(f"catboost.core.CatBoost{task}" for task in ("Classifier", "Regressor", "Ranker")),
}
SINGLE = {"pandas.api.typing.NAType", "numpy.ma.MaskedConstant"}
NUMPY = (np.generic, np.dtype, np.random.RandomState, np.random.Generator)
VALUES = exact(FUNCTIONS) | exact(TYPES)


def called(kind: type) -> str:
    """The exact name of a class."""
    return f"{current(kind.__module__)}.{kind.__qualname__}"


def parts(model: Any, limits: Limits) -> list[Any]:
    """All that a model holds, inner parts before what holds them. Raises Unreviewed for others."""
    order: list[Any] = []
    seen = {id(model)}
    waiting: list[tuple[Any, Iterator[Any]]] = [(model, within(model))]
    while waiting:
        for one in waiting[-1][1]:
            if type(one) not in PLAIN and id(one) not in seen:
                seen.add(id(one))
                waiting.append((one, within(one)))
                break
        else:
            order.append(waiting.pop()[0])
        if len(waiting) > limits.depth or len(seen) > limits.objects:
            raise Damaged(f"the model has parts in parts, {limits.depth} deep, or too many")
    _weigh(order, limits)
    return order


def _weigh(order: list[Any], limits: Limits) -> None:
    """Refuse what is small here and huge when it is written: the same part in parts of parts."""
    sizes: dict[int, int] = {}
    for part in order:
        inner = (sizes.get(id(one), 1) for one in within(part) if type(one) not in PLAIN)
        sizes[id(part)] = size = 1 + sum(inner)
        expect(size <= limits.objects, "the model holds the same parts over and over")


def within(part: Any) -> Iterator[Any]:
    """What a part holds. Raises Unreviewed for a part that nobody knows."""
    kind = type(part)
    if kind in PLAIN or isinstance(part, NUMPY):
        return iter(())
    if kind in MAPPINGS:
        return iter([*part, *part.values()])
    if kind in (list, tuple, set, frozenset):
        return iter(part)
    if isinstance(part, np.ndarray):
        return _elements(part)
    if kind is partial:
        return iter([part.func, *part.args, part.keywords])
    if isinstance(part, Held | Maker | Unbuilt):
        raise Damaged(f"the model holds {part.name}, where a value should be")
    return _attributes(part, called(kind))


def _attributes(part: Any, name: str) -> Iterator[Any]:
    if name in HELD:
        return iter([*vars(part).values(), *(part.values() if isinstance(part, dict) else ())])
    if name == "sklearn.impute._iterative._ImputerTriplet":
        return iter(part)
    if name in COMPILED | BOOSTERS or name in (
        "pandas.api.typing.NAType",
        "numpy.ma.MaskedConstant",
    ):
        return iter(())
    if callable(part) and _value(part):
        return iter(())
    raise Unreviewed(name)


def _elements(array: Any) -> Iterator[Any]:
    if type(array) not in (np.ndarray, np.ma.MaskedArray):
        raise Unreviewed(called(type(array)))
    # What a mask hides is there all the same.
    return iter(np.ravel(array.view(np.ndarray)).tolist()) if array.dtype.hasobject else iter(())


def _value(part: Any) -> bool:
    """Whether a function or a type is one that a model may hold."""
    name = getattr(part, "__qualname__", getattr(part, "__name__", ""))
    module = current(getattr(part, "__module__", None) or "numpy")
    for full in (f"{module}.{name}", f"numpy.{name}"):
        if full in VALUES and imported(full) is part:
            return True
    return False
