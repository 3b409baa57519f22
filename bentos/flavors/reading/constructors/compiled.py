"""Objects of scikit-learn's compiled code, which takes whatever state it is given."""

from functools import partial
from typing import Any

import numpy as np

from bentos.flavors.reading.checks.neighbours import check_ball, check_distance
from bentos.flavors.reading.checks.trees import check_nodes
from bentos.flavors.reading.names import (
    MAKERS,
    Begun,
    Maker,
    exact,
    expect,
    imported,
    stateful,
)
from bentos.flavors.reading.parts import LOSSES


@stateful("sklearn.tree._tree.Tree")
def tree(args: tuple[Any, ...], state: Any) -> Any:
    """A tree, of nodes that were looked at."""
    expect(
        len(args) == 3
        and type(args[0]) is int
        and type(args[2]) is int
        and isinstance(args[1], np.ndarray)
        and args[1].dtype == np.intp
        and args[1].shape == (args[2],)
        and args[2] > 0
        and np.all(args[1] > 0),
        "a tree answers nothing",
    )
    expect(
        type(state) is dict and isinstance(state.get("nodes"), np.ndarray), "a tree has no nodes"
    )
    nodes, count = state["nodes"], state["node_count"]
    expect(nodes.ndim == 1 and nodes.dtype.names is not None, "a tree has no nodes")
    expect(type(count) is int and count == len(nodes), "a tree has not its nodes")
    expect(type(state["max_depth"]) is int, "a tree has no depth")
    check_nodes(nodes, args[0], state["max_depth"])
    made = imported("sklearn.tree._tree.Tree")(*args)
    made.__setstate__(state)
    return made


@stateful("sklearn.neighbors._kd_tree.newObj", "sklearn.neighbors._ball_tree.newObj")
def ball(args: tuple[Any, ...], state: Any) -> Any:
    """A KDTree or a BallTree, of nodes that were looked at."""
    (kind,) = args
    expect(
        getattr(kind, "__module__", "")
        in ("sklearn.neighbors._kd_tree", "sklearn.neighbors._ball_tree"),
        "a tree of neighbours is of another kind",
    )
    check_ball(kind.__name__, state)
    made = kind.__new__(kind)
    made.__setstate__(state)
    return made


@stateful("sklearn.metrics._dist_metrics.newObj")
def distance(args: tuple[Any, ...], state: Any) -> Any:
    """A distance between two points."""
    (kind,) = args
    expect(
        isinstance(kind, type) and kind.__module__ == "sklearn.metrics._dist_metrics",
        "a distance is of another kind",
    )
    check_distance(state)
    made = kind.__new__(kind)
    made.__setstate__(state)
    return made


def _loss(name: str, *args: Any) -> Any:
    expect(all(type(arg) in (int, float) for arg in args), f"a {name} is of something")
    return imported(name)(*args)


def _pickled_loss(name: str, kind: Any, _: Any, state: Any = None) -> Begun:
    """How Cython writes what does not write itself: the class, a number for its fields, these."""
    expect(kind is MAKERS[name] and type(state) in (tuple, type(None)), f"no {name}")
    return Begun(_loss(name, *(state or ())))


for _name in exact(LOSSES):
    _module, _, _short = _name.rpartition(".")
    _pickled = f"{_module}.__pyx_unpickle_{_short}"
    MAKERS[_name] = Maker(_name, make=partial(_loss, _name))
    MAKERS[_pickled] = Maker(_pickled, make=partial(_pickled_loss, _name))
