"""LightGBM's trees: float64, three meanings of a missing value, sets of categories.

Format: `Tree::ToString` and `Tree::NumericalDecision` in LightGBM's include/LightGBM/tree.h;
docs at https://lightgbm.readthedocs.io/en/stable/
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bentos.flavors.graphs.answers import by_probability, pair, softmax
from bentos.flavors.graphs.builder import Builder
from bentos.flavors.graphs.columns import Answer, Column, Frame
from bentos.flavors.graphs.compiled import NoGraph
from bentos.flavors.graphs.encoders import coded
from bentos.flavors.graphs.registry import estimator, no_method
from bentos.flavors.graphs.trees import LEQ, MEMBER, Tree, note, summed

NEARLY_ZERO = float(np.float32(1e-35))
IS_SET, TO_LEFT = 1, 2  # bits of a node's decision_type, and above them how it misses values
NO_MISSING, ZERO_IS_MISSING = 0, 1
SAME = (
    "regression", "regression_l1", "huber", "fair", "quantile", "mape", "lambdarank",
    "rank_xendcg", "custom",
)  # fmt: skip
POWER = ("poisson", "gamma", "tweedie")


@estimator("lightgbm.Booster")
def booster(b: Builder, model: Any, frame: Frame, method: str) -> Answer:
    """What `Booster.predict` gives: the trees up to the best iteration, through the link."""
    if method != "predict":
        raise no_method(model, method)
    raw, width, objective = _raw(b, model, frame)
    return _linked(b, raw, width, objective)


@estimator("lightgbm.LGBMRegressor", "lightgbm.LGBMRanker")
def regressor(b: Builder, model: Any, frame: Frame, method: str) -> Answer:
    """The booster's own answer."""
    return booster(b, model.booster_, frame, method)


@estimator("lightgbm.LGBMClassifier")
def classifier(b: Builder, model: Any, frame: Frame, method: str) -> Answer:
    """Probabilities, and the class with the largest."""
    raw, width, objective = _raw(b, model.booster_, frame)
    if method == "decision_function":
        return Answer(raw, width, width == 1)
    given = _linked(b, raw, width, objective)
    tensor = pair(b, given.tensor) if width == 1 else given.tensor
    return by_probability(b, model, tensor, model.classes_, method)


def _raw(b: Builder, model: Any, frame: Frame) -> tuple[str, int, str]:
    """The sums (rows, width), float64, and the objective."""
    head, *blocks = model.model_to_string().split("\nTree=")
    facts = _facts(head)
    width = int(facts["num_tree_per_iteration"])
    columns = _categories(b, model, frame)
    trees = [read(_facts(block), len(columns)) for block in blocks]
    note(b, frame, trees, narrow=False)
    rows = _entered(b, columns, trees)
    made = summed(b, rows, trees, [at % width for at in range(len(trees))], width)
    if "average_output" in facts:
        made = b.math("Div", made, float(len(trees) // width))
    return made, width, facts.get("objective", "custom")


def _facts(block: str) -> dict[str, str]:
    """The lines `name=value` of a part of the text form."""
    lines = block.split("\n\n", 1)[0].splitlines()
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


def read(facts: dict[str, str], columns: int) -> Tree:
    """One tree of the text form: inner nodes first, then leaves, which are -1, -2, ... there.

    A node for which zero is as good as missing asks the column behind the others that has it so.
    """
    if facts.get("is_linear", "0") != "0":
        raise NoGraph("LightGBM's linear trees have no exact form")
    value = _numbers(facts, "leaf_value")
    leaves = len(value)
    inner = leaves - 1
    kind = _integers(facts, "decision_type")[:inner]
    sets, how = (kind & IS_SET) > 0, kind >> 2
    feature, threshold = _integers(facts, "split_feature"), _numbers(facts, "threshold")
    left, right = (_integers(facts, name) for name in ("left_child", "right_child"))
    to_left = np.where(how == NO_MISSING, threshold >= 0, (kind & TO_LEFT) > 0) & ~sets
    zero = (how == ZERO_IS_MISSING) & ~sets
    return Tree(
        feature=_padded(np.where(zero, feature + columns, feature), leaves),
        threshold=_padded(np.where(sets, 0.0, threshold), leaves),
        yes=_padded(np.where(left < 0, inner + ~left, left), leaves),
        no=_padded(np.where(right < 0, inner + ~right, right), leaves),
        leaf=np.arange(inner + leaves) >= inner,
        missing=_padded(to_left, leaves),
        value=np.concatenate([np.zeros(inner), value])[:, None],
        mode=_padded(np.where(sets, MEMBER, LEQ).astype(np.uint8), leaves),
        members=_members(facts, np.flatnonzero(sets), threshold),
    )


def _numbers(facts: dict[str, str], name: str) -> NDArray[np.float64]:
    return np.array(facts.get(name, "").split(), dtype=np.float64)


def _integers(facts: dict[str, str], name: str) -> NDArray[np.int64]:
    return np.array(facts.get(name, "").split(), dtype=np.int64)


def _padded(inner: NDArray[Any], leaves: int) -> NDArray[Any]:
    return np.concatenate([inner, np.zeros(leaves, inner.dtype)])


def _members(
    facts: dict[str, str], nodes: NDArray[np.int64], threshold: NDArray[np.float64]
) -> tuple[tuple[int, NDArray[np.float64]], ...]:
    """The categories of each node that asks for a set: words of 32 bits."""
    bounds = _integers(facts, "cat_boundaries")
    words = _integers(facts, "cat_threshold").astype("<u4")
    made = []
    for node in nodes:
        at = int(threshold[node])
        part = words[bounds[at] : bounds[at + 1]]
        bits = np.unpackbits(part.view(np.uint8), bitorder="little")
        made.append((int(node), np.flatnonzero(bits).astype(np.float64)))
    return tuple(made)


def _categories(b: Builder, model: Any, frame: Frame) -> Frame:
    """Columns of pandas' categories by their numbers there; an unknown one is missing."""
    known = model.pandas_categorical
    if not known:
        return frame
    infos = _facts(model.model_to_string().split("\nTree=")[0])["feature_infos"].split()
    marked = [at for at, info in enumerate(infos) if not info.startswith("[")]
    text = [at for at, column in enumerate(frame) if column.text is not None]
    places = marked if len(marked) == len(known) else text
    if len(places) != len(known):
        raise NoGraph("which columns have LightGBM's categories is not known")
    made: list[Column] = []
    for at, column in enumerate(frame):
        if at in places:
            made += coded(b, column, list(known[places.index(at)]), refuses=False)
        else:
            made.append(column)
    return tuple(made)


def _entered(b: Builder, columns: Frame, trees: list[Tree]) -> str:
    """The rows as LightGBM reads them, and behind them the same with zeros missing, if asked."""
    rows = b.matrix(columns, np.float64)
    asked = {int(at) for tree in trees for at in tree.feature[tree.mode == MEMBER]}
    if asked:  # fractions of categories are cut off
        whole = b.node("Floor", rows, dtype=np.float64)
        chosen = np.isin(np.arange(len(columns)), list(asked))
        rows = b.node("Where", b.constant(chosen), whole, rows, dtype=np.float64)
    if any((tree.feature >= len(columns)).any() for tree in trees):
        size = b.node("Abs", rows, dtype=np.float64)
        zero = b.node("LessOrEqual", size, b.constant(NEARLY_ZERO), dtype=np.bool_)
        lacking = b.node("Where", zero, b.constant(np.nan), rows, dtype=np.float64)
        rows = b.concat([rows, lacking])
    return rows


def _linked(b: Builder, raw: str, width: int, objective: str) -> Answer:
    name, *options = objective.split()
    if name in ("binary", "multiclassova", "cross_entropy"):
        slopes = [float(o.split(":")[1]) for o in options if o.startswith("sigmoid:")]
        bent = b.math("Mul", raw, -(slopes or [1.0])[0])
        power = b.math("Add", b.node("Exp", bent, dtype=np.float64), 1.0)
        return Answer(b.node("Reciprocal", power, dtype=np.float64), width, width == 1)
    if name == "multiclass":
        return Answer(softmax(b, raw), width)
    if name in POWER:
        return Answer(b.node("Exp", raw, dtype=np.float64), width, width == 1)
    if name in SAME and "sqrt" not in options:
        return Answer(raw, width, width == 1)
    raise NoGraph(f"LightGBM's {objective} has no exact form")
