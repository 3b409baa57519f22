"""Transformers that make other features of numbers: products, bins, chosen columns, components."""

from itertools import chain
from typing import Any

import numpy as np

from bentos.flavors.graphs.builder import Builder
from bentos.flavors.graphs.columns import Frame, reaches
from bentos.flavors.graphs.compiled import NoGraph
from bentos.flavors.graphs.registry import takes_missing, transformer


@transformer("PolynomialFeatures")
def polynomial(b: Builder, model: Any, frame: Frame) -> Frame:
    """Products of columns: each is that of its first factors times its last."""
    b.refuse_missing(frame)
    tensor, reach = b.matrix(frame), reaches(frame)
    dtype = b.types[tensor]
    products: list[str] = []
    far: list[float] = []
    known: dict[tuple[int, ...], str] = {}
    for powers in model.powers_:
        factors = tuple(chain.from_iterable([at] * int(n) for at, n in enumerate(powers)))
        far.append(float(np.prod(reach[list(factors)])) if factors else 1.0)
        products.append(_product(b, tensor, factors, known, dtype))
    return b.frame(b.concat(products), np.array(far))


def _product(
    b: Builder,
    tensor: str,
    factors: tuple[int, ...],
    known: dict[tuple[int, ...], str],
    dtype: Any,
) -> str:
    if factors not in known:
        if not factors:
            zero = b.math("Mul", b.select(tensor, [0]), 0.0)
            known[factors] = b.math("Add", zero, 1.0)
        elif len(factors) == 1:
            known[factors] = b.select(tensor, factors)
        else:
            first = _product(b, tensor, factors[:-1], known, dtype)
            last = _product(b, tensor, factors[-1:], known, dtype)
            known[factors] = b.math("Mul", first, last)
    return known[factors]


@transformer("KBinsDiscretizer")
def bins(b: Builder, model: Any, frame: Frame) -> Frame:
    """The number of edges at or below each value, as it is or one-hot."""
    b.refuse_missing(frame)
    tensor = b.matrix(frame)
    dtype = b.types[tensor]
    made, far = [], []
    for at, (column, edges) in enumerate(zip(frame, model.bin_edges_, strict=True)):
        inner = np.asarray(edges[1:-1], dtype=np.float64)
        b.note(column, inner)
        value = b.cast(b.select(tensor, [at]), np.float64)
        above = b.node("GreaterOrEqual", value, b.constant(inner[None]), dtype=np.bool_)
        number = b.reduce("ReduceSum", b.cast(above, dtype))
        if model.encode == "ordinal":
            made.append(number)
            far.append(float(len(inner)))
        else:
            ids = b.constant(np.arange(len(inner) + 1)[None], dtype)
            made.append(b.cast(b.node("Equal", number, ids, dtype=np.bool_), dtype))
            far += [1.0] * (len(inner) + 1)
    return b.frame(b.concat(made), np.array(far))


@transformer(
    "SelectKBest",
    "SelectPercentile",
    "SelectFpr",
    "SelectFdr",
    "SelectFwe",
    "GenericUnivariateSelect",
    "VarianceThreshold",
    "SelectFromModel",
    "RFE",
    "RFECV",
    "SequentialFeatureSelector",
)
def selected(b: Builder, model: Any, frame: Frame) -> Frame:
    """Some of the columns."""
    if not takes_missing(model):
        b.refuse_missing(frame)
    return tuple(column for column, kept in zip(frame, model.get_support(), strict=True) if kept)


@transformer("PCA")
def pca(b: Builder, model: Any, frame: Frame) -> Frame:
    """`X @ components.T - mean @ components.T`, divided by deviations where it whitens."""
    tensor = projected(b, frame, model.components_.T, None)
    components = np.asarray(model.components_, dtype=np.float64)
    shift = np.reshape(model.mean_, (1, -1)) @ model.components_.T
    tensor = b.in_place("Sub", tensor, shift)
    reach = np.abs(components) @ reaches(frame) + np.abs(shift[0])
    if model.whiten:
        scale = np.sqrt(model.explained_variance_)
        least = np.finfo(scale.dtype).eps
        scale[scale < least] = least
        tensor, reach = b.in_place("Div", tensor, scale), reach / scale
    return b.frame(tensor, reach)


@transformer("TruncatedSVD")
def svd(b: Builder, model: Any, frame: Frame) -> Frame:
    """`X @ components.T`."""
    tensor = projected(b, frame, model.components_.T, None)
    return b.frame(tensor, np.abs(model.components_) @ reaches(frame))


def projected(b: Builder, frame: Frame, weights: Any, offset: Any) -> str:
    """`X @ weights + offset`, in the dtype that numpy would take for it."""
    b.refuse_missing(frame)
    tensor = b.matrix(frame)
    matrix = np.atleast_2d(weights)
    wide = np.result_type(b.types[tensor], matrix.dtype)
    if wide != np.float64:
        raise NoGraph("products in float32 depend on the order of their sums")
    tensor = b.math("MatMul", b.cast(tensor, wide), matrix)
    return tensor if offset is None else b.in_place("Add", tensor, offset)
