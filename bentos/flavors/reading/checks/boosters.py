"""Models of XGBoost and LightGBM, before their own code gets them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bentos.flavors.reading.names import expect

EACH = (
    *("left_children", "right_children", "parents", "split_indices", "split_type"),
    *("split_conditions", "default_left", "base_weights", "loss_changes", "sum_hessian"),
)


def check_xgboost(model: Any) -> None:
    """Refuse trees that lead back, or outside themselves, or are others than was said."""
    learner = model["learner"]
    grown = learner["gradient_booster"]
    params = learner["learner_model_param"]
    width = int(params["num_feature"])
    groups = max(int(params["num_class"]), int(params.get("num_target", "1")), 1)
    expect(0 <= width < 2**31 and groups < 2**20, "a booster has no columns")
    if grown["name"] == "gblinear":
        weights = len(grown["model"]["weights"])
        expect(weights == (width + 1) * groups, "a booster has other weights than columns")
        return
    expect(grown["name"] in ("gbtree", "dart"), "a booster is of another kind")
    held = grown["gbtree"] if grown["name"] == "dart" else grown
    _check_forest(held["model"], width, groups)
    if grown["name"] == "dart":
        dropped = len(grown["weight_drop"])
        expect(dropped == len(held["model"]["trees"]), "a booster has other weights than trees")


def _check_forest(forest: Any, width: int, groups: int) -> None:
    trees, infos = forest["trees"], np.asarray(forest["tree_info"], dtype=np.int64)
    said = int(forest["gbtree_model_param"]["num_trees"])
    expect(len(trees) == len(infos) == said, "a booster has other trees than it says")
    expect(np.all((infos >= 0) & (infos < groups)), "a tree is for a class that is not there")
    ends = np.asarray(forest.get("iteration_indptr", [0, said]), dtype=np.int64)
    expect(
        len(ends) > 0 and ends[0] == 0 and ends[-1] == said and np.all(np.diff(ends) >= 0),
        "a booster has other iterations than trees",
    )
    for tree in trees:
        _check_tree(tree, width)
    _check_encoding(forest.get("cats"))


def _check_tree(tree: Any, width: int) -> None:
    count = int(tree["tree_param"]["num_nodes"])
    expect(tree["tree_param"]["size_leaf_vector"] in ("0", "1"), "a leaf has many answers")
    expect(count > 0 and all(len(tree[name]) == count for name in EACH), "a tree has no nodes")
    left, right = (np.asarray(tree[f"{side}_children"], np.int64) for side in ("left", "right"))
    inner = np.flatnonzero(left != -1)
    expect(np.all((left == -1) == (right == -1)), "a node of a tree has one child")
    children = np.concatenate([left[inner], right[inner]])
    expect(
        np.all((children > np.concatenate([inner, inner])) & (children < count))
        and len(np.unique(children)) == len(children),
        "a node of a tree has a child that is not behind it in the tree",
    )
    parents = np.full(count, 2**31 - 1, dtype=np.int64)
    parents[children] = np.concatenate([inner, inner])
    named = np.asarray(tree["parents"], np.int64)
    expect(np.all(named[children] == parents[children]), "a node has another parent")
    asked = np.asarray(tree["split_indices"], np.int64)[inner]
    expect(np.all((asked >= 0) & (asked < width)), f"a tree asks for a column beyond its {width}")
    _check_sets(tree, inner)


def _check_sets(tree: Any, inner: NDArray[np.int64]) -> None:
    """The categories of a node lie within those of its tree."""
    nodes, starts, sizes, values = (
        np.asarray(tree[name], np.int64)
        for name in (
            "categories_nodes",
            "categories_segments",
            "categories_sizes",
            "categories",
        )
    )
    kinds = np.asarray(tree["split_type"], np.int64)[inner]
    expect(np.all((kinds == 0) | (kinds == 1)), "a node asks in another way")
    expect(np.array_equal(nodes, inner[kinds == 1]), "a node asks for categories it has not")
    expect(
        len(starts) == len(sizes) == len(nodes)
        and np.all((starts >= 0) & (sizes > 0) & (starts + sizes <= len(values)))
        and np.all((values >= 0) & (values < 2**24)),
        "a tree asks for categories that are not there",
    )


def _check_encoding(cats: Any) -> None:
    """What the categories were called lies within the names that there are."""
    if not cats or not cats["enc"]:
        return
    ends = np.asarray(cats["feature_segments"], np.int64)
    places = np.asarray(cats["sorted_idx"], np.int64)
    counts = np.diff(ends)
    expect(
        len(counts) == len(cats["enc"]) and ends[0] == 0 and ends[-1] == len(places),
        "categories have other names than there are",
    )
    for at, (names, count) in enumerate(zip(cats["enc"], counts, strict=True)):
        one = places[ends[at] : ends[at + 1]]
        offsets = np.asarray(names.get("offsets", [*range(count), count]), np.int64)
        expect(
            count >= 0
            and np.all((one >= 0) & (one < max(count, 1)))
            and len(offsets) in (0, count + 1)
            and np.all(np.diff(offsets) >= 0)
            and (not len(offsets) or (offsets[0] == 0 and offsets[-1] <= len(names["values"])))
            and (len(offsets) > 0 or count == 0)
            and ("offsets" in names or len(names["values"]) == count),
            "categories have other names than there are",
        )


def check_lightgbm(text: str) -> None:
    """Refuse other answers than classes: as many are written as trees stand for one row.

    What the trees themselves say is looked at in `booster_files.check_text`.
    """
    head, *trees = text.split("\nTree=")
    facts = dict(line.split("=", 1) for line in head.splitlines() if "=" in line)
    classes, each = int(facts["num_class"]), int(facts["num_tree_per_iteration"])
    expect(
        0 < classes == each and len(trees) % each == 0,
        "a booster has other trees than classes",
    )
    expect(not any("\nis_linear=1" in tree for tree in trees), "linear trees are not read")
