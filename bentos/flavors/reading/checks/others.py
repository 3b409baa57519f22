"""What else compiled code, or a file of the machine, would be reached through."""

from typing import Any

import numpy as np

from bentos.flavors.reading.checks.trees import width_of
from bentos.flavors.reading.names import expect


def check_sparse(matrix: Any) -> None:
    """Refuse a sparse matrix that points outside itself: products read there."""
    expect(
        all(isinstance(part, np.ndarray) for part in vars(matrix).values() if _is_array(part)),
        "a sparse matrix is of no arrays",
    )
    shape = matrix._shape
    expect(
        type(shape) is tuple
        and len(shape) in (1, 2)
        and all(isinstance(n, int | np.integer) and n >= 0 for n in shape),
        "a sparse matrix has no shape",
    )
    if matrix.format in ("csr", "csc", "bsr"):
        matrix.check_format(full_check=True)
    elif matrix.format == "coo":
        matrix._check()
    else:
        matrix.tocoo()._check()


def _is_array(part: Any) -> bool:
    return hasattr(part, "__array__")


def check_spline(spline: Any) -> None:
    """Refuse a spline of other knots than coefficients."""
    held = vars(spline)
    knots, numbers = held.get("_t", held.get("t")), held.get("_c", held.get("c"))
    degree, axis = held["k"], held["axis"]
    expect(
        isinstance(knots, np.ndarray)
        and isinstance(numbers, np.ndarray)
        and knots.ndim == 1
        and knots.dtype == np.float64
        and numbers.dtype.kind in "fc"
        and isinstance(degree, int | np.integer)
        and 0 <= degree < 100
        and axis == 0
        and numbers.ndim > 0
        and len(knots) - degree - 1 > degree
        and len(numbers) >= len(knots) - degree - 1
        and np.all(np.diff(knots) >= 0)
        and np.all(np.isfinite(knots)),
        "a spline has no knots",
    )


def check_centers(model: Any) -> None:
    """Centers have the columns that a row has."""
    centers = vars(model).get("cluster_centers_")
    if centers is None:
        return
    expect(
        isinstance(centers, np.ndarray)
        and centers.ndim == 2
        and centers.shape[1] == width_of(model)
        and centers.dtype.kind == "f",
        f"the centers have not {vars(model).get('n_features_in_')} columns",
    )


def check_bisecting(model: Any) -> None:
    """Each center has the columns of a row, and no part of the tree is its own."""
    check_centers(model)
    root = vars(model).get("_bisecting_tree")
    waiting, seen = [root] if root is not None else [], set()
    while waiting:
        node = waiting.pop()
        expect(id(node) not in seen, "a BisectingKMeans has a tree within itself")
        seen.add(id(node))
        center = np.asarray(node.center)
        expect(
            center.shape == (width_of(model),) and center.dtype.kind == "f",
            "a center has other columns than a row",
        )
        waiting += [one for one in (node.left, node.right) if one is not None]
        expect((node.left is None) == (node.right is None), "a node has one child")


def check_function(model: Any) -> None:
    """A function applies to columns; it is not given more than a number of decimals."""
    for arguments in (vars(model).get("kw_args"), vars(model).get("inv_kw_args")):
        plain = (int, float, str, bool, type(None))
        expect(
            arguments is None
            or (
                type(arguments) is dict
                and all(type(value) in plain for value in arguments.values())
            ),
            "a FunctionTransformer gives its function something",
        )


def check_partial(part: Any) -> None:
    """HistGradientBoosting leaves `check_array` with two arguments beside categories."""
    from sklearn.utils.validation import check_array

    expect(
        part.func is check_array
        and part.args == ()
        and part.keywords.keys() <= {"dtype", "ensure_all_finite", "force_all_finite"},
        "a partial is of another function than check_array",
    )
