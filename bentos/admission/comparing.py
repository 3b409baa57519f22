"""Which answers of a model and of its graph differ, row by row."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bentos.tensors import Batch

Kind: TypeAlias = Literal["exact", "network", "far"]
Usual: TypeAlias = dict[str, NDArray[np.float64]]

# Relative to the answer, and of the usual answer where this one is nearly zero. Libraries sum in
# their own orders; a network's layers do so in float32, and far from the samples its last layers
# take small differences of large numbers.
BOUNDS: Mapping[tuple[Kind, str], tuple[float, float]] = {
    ("exact", "float64"): (1e-9, 1e-12),
    ("exact", "float32"): (1e-6, 3e-7),
    ("network", "float64"): (1e-5, 1e-5),
    ("network", "float32"): (1e-5, 1e-5),
    ("far", "float64"): (1e-3, 1e-3),
    ("far", "float32"): (1e-3, 1e-3),
}


@dataclass(frozen=True)
class Compared:
    """Which rows differ, and by how much numbers do at most, relative to the answer."""

    differs: NDArray[np.bool_]
    worst_relative: float


def compare(
    native: Batch, graph: Batch, kind: Kind = "exact", usual: Usual | None = None
) -> Compared:
    """Row by row: labels equal, numbers within the bounds, columns and shapes the same.

    `usual` keeps what a network's numbers are like in the first rows: those of later ones are not
    measured by less.
    """
    if native.names != graph.names or native.size != graph.size:
        return Compared(np.ones(native.size, bool), np.inf)
    differs = np.zeros(native.size, bool)
    worst = 0.0
    for name in native.names:
        wanted, found = native[name], graph[name]
        if wanted.shape != found.shape or (kind != "exact" and wanted.dtype != found.dtype):
            return Compared(np.ones(native.size, bool), np.inf)
        if wanted.dtype.kind != "f":
            apart = np.asarray(wanted != found, bool)
        else:
            bounds = BOUNDS[kind, "float32" if wanted.dtype == np.float32 else "float64"]
            wide = wanted.astype(np.float64)
            size = _median(wide) if kind == "exact" else _by_column(name, wide, usual)
            apart, relative = _numbers(wide, found.astype(np.float64), *bounds, size)
            worst = max(worst, relative)
        differs |= apart.reshape(len(apart), -1).any(axis=1)
    return Compared(differs, worst)


def _median(wide: NDArray[np.float64]) -> NDArray[np.float64]:
    size = np.abs(wide)
    finite = size[np.isfinite(size) & (size > 0)]
    return np.asarray(np.median(finite) if len(finite) else 0.0)


def _by_column(name: str, wide: NDArray[np.float64], usual: Usual | None) -> NDArray[np.float64]:
    """The root of the mean square of each column, which may be of a unit of its own.

    Of small columns beside large ones it is a thousandth of these, as of a class that is never so.
    """
    finite = np.where(np.isfinite(wide), wide, 0.0)
    rows = tuple(range(max(1, wide.ndim - 1)))
    size = np.asarray(np.sqrt(np.square(finite).mean(axis=rows)))
    size = np.maximum(size, size.max(initial=0.0) / 1000)
    first = size if usual is None else usual.setdefault(name, size)
    return np.asarray(np.maximum(size, first) if first.shape == size.shape else size)


def _numbers(
    wide: NDArray[np.float64], other: NDArray[np.float64], relative: float, small: float,
    usual: NDArray[np.float64],
) -> tuple[NDArray[np.bool_], float]:  # fmt: skip
    same = (wide == other) | (np.isnan(wide) & np.isnan(other))
    size = np.abs(wide)
    with np.errstate(invalid="ignore", over="ignore"):
        apart = np.where(same, 0.0, np.abs(wide - other))
    within = same | (apart <= relative * size + small * usual)
    floor = np.maximum(size, usual * small / relative)
    ratio = np.divide(apart, floor, out=np.zeros_like(apart), where=floor > 0)
    return ~within, float(np.nan_to_num(ratio, nan=np.inf).max(initial=0.0))
