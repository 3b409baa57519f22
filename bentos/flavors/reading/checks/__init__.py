"""Looks at the states of a model that was built, before compiled code gets them.

Whoever wrote a file chose every number in it. scikit-learn's compiled code follows nodes and
indices without looking: to a part that is its own, it runs for ever; beyond an array, it reads,
or writes, foreign memory.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from bentos.flavors.reading.checks import (
    encoders,
    histograms,
    neighbours,
    others,
    trees,
    vectors,
    walk,
)
from bentos.flavors.reading.errors import Damaged, Unreadable
from bentos.flavors.reading.instances import look_at
from bentos.flavors.reading.limits import LIMITS, Limits
from bentos.flavors.reading.names import HELD
from bentos.process import without_warnings

FORESTS = (
    *("RandomForestClassifier", "RandomForestRegressor", "RandomTreesEmbedding"),
    *("ExtraTreesClassifier", "ExtraTreesRegressor"),
)
HASHES = ("FeatureHasher", "HashingVectorizer")
BALLS = ("KDTree", "BallTree", "KDTree64", "BallTree64", "KDTree32", "BallTree32")
NEIGHBOURS = (
    *("KNeighborsClassifier", "KNeighborsRegressor", "KNeighborsTransformer"),
    *("RadiusNeighborsClassifier", "RadiusNeighborsRegressor", "RadiusNeighborsTransformer"),
    *("NearestNeighbors", "LocalOutlierFactor"),
)
CHECKS: dict[str, Callable[[Any], None]] = {
    "Tree": trees.check_tree,
    **dict.fromkeys(
        [
            *("DecisionTreeClassifier", "DecisionTreeRegressor"),
            *("ExtraTreeClassifier", "ExtraTreeRegressor"),
        ],
        trees.check_member,
    ),
    **dict.fromkeys(FORESTS, trees.check_forest),
    "IsolationForest": trees.check_isolation,
    "GradientBoostingClassifier": trees.check_gradient_boosting,
    "GradientBoostingRegressor": trees.check_gradient_boosting,
    "HistGradientBoostingClassifier": histograms.check_histograms,
    "HistGradientBoostingRegressor": histograms.check_histograms,
    **dict.fromkeys(BALLS, neighbours.check_made_ball),
    **dict.fromkeys(NEIGHBOURS, neighbours.check_neighbours),
    "KernelDensity": neighbours.check_density,
    **dict.fromkeys(vectors.KINDS, vectors.check_vectors),
    "BSpline": others.check_spline,
    **dict.fromkeys(("KMeans", "MiniBatchKMeans"), others.check_centers),
    "BisectingKMeans": others.check_bisecting,
    **dict.fromkeys(("CountVectorizer", "TfidfVectorizer"), encoders.check_texts),
    **dict.fromkeys(HASHES, encoders.check_hashing),
    "DictVectorizer": encoders.check_vocabulary,
    "MultiLabelBinarizer": encoders.check_labels,
    "OneHotEncoder": encoders.check_one_hot,
    "PolynomialFeatures": encoders.check_powers,
    "partial": others.check_partial,
    "FunctionTransformer": others.check_function,
    **{
        f"{form}_{kind}": others.check_sparse
        for form in ("bsr", "coo", "csc", "csr", "dia")
        for kind in ("array", "matrix")
    },
}


def check(model: object, limits: Limits = LIMITS) -> None:
    """Refuse a model that would read outside its memory, or run for ever, on some row.

    Raises `Damaged`, or `Unreviewed` where the model holds what nobody has looked at.
    """
    from bentos.flavors.reading.constructors.arrays import whole_values

    for part in walk.parts(model, limits):
        if isinstance(part, np.ndarray):
            whole_values(part)
            continue
        if walk.called(type(part)) in HELD:
            look_at(part)
        if look := CHECKS.get(type(part).__name__):
            _look(look, part)


def _look(look: Callable[[Any], None], part: Any) -> None:
    try:
        with without_warnings():
            look(part)
    except Unreadable:
        raise
    except Exception as error:
        raise Damaged(
            f"a {type(part).__name__} has no state that it works with: "
            f"{type(error).__name__}: {error}"
        ) from error
