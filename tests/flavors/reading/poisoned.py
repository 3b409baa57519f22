"""Models that scikit-learn would follow out of their memory, or for ever, on some row."""

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.cluster import BisectingKMeans, KMeans
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    IsolationForest,
    RandomForestClassifier,
)
from sklearn.feature_extraction import DictVectorizer, FeatureHasher
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.neighbors import KernelDensity, KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    MultiLabelBinarizer,
    OneHotEncoder,
    PolynomialFeatures,
    SplineTransformer,
    StandardScaler,
)
from sklearn.svm import SVC, SVR
from sklearn.tree import DecisionTreeRegressor

from tests.flavors.reading.zoo import X, Y

Poison = Callable[[], Any]


def nodes(tree: Any, **changes: Any) -> None:
    """Change the state of a tree as no one but a file can."""
    state = tree.__getstate__()
    for name, (at, value) in changes.items():
        state["nodes"][name][at] = value
    tree.__setstate__(state)


def tree(**changes: Any) -> Poison:
    def make() -> Any:
        model = DecisionTreeRegressor(random_state=0).fit(X, Y)
        nodes(model.tree_, **changes)
        return model

    return make


def shallow() -> Any:
    model = DecisionTreeRegressor(random_state=0).fit(X, Y)
    model.tree_.__setstate__(model.tree_.__getstate__() | {"max_depth": 0})
    return model


def narrow() -> Any:
    model = DecisionTreeRegressor(random_state=0).fit(X, Y)
    model.n_features_in_ = 1
    return model


def boundless() -> Any:
    model = DecisionTreeRegressor(random_state=0).fit(X, Y)
    del model.n_features_in_
    return model


def deep_within() -> Any:
    model = make_pipeline(StandardScaler(), RandomForestClassifier(3)).fit(X, Y)
    nodes(model[-1].estimators_[2].tree_, left_child=(0, 10**6))
    return model


def forest_of_wider_trees() -> Any:
    model = RandomForestClassifier(3).fit(X, Y)
    wide = RandomForestClassifier(1).fit(np.hstack([X, X]), Y)
    model.estimators_[1] = wide.estimators_[0]
    return model


def isolation(**changes: Any) -> Poison:
    def make() -> Any:
        model = IsolationForest(n_estimators=3, max_features=0.5).fit(X)
        for name, value in changes.items():
            setattr(model, name, value)
        return model

    return make


def boosting(change: Callable[[Any], Any]) -> Poison:
    def make() -> Any:
        model = GradientBoostingClassifier(n_estimators=3).fit(X, Y)
        change(model)
        return model

    return make


def histogram(name: str, value: Any) -> Poison:
    def make() -> Any:
        model = HistGradientBoostingClassifier(max_iter=2, min_samples_leaf=5).fit(X, Y)
        model._predictors[1][2].nodes[name][0] = value
        return model

    return make


def histogram_of_nothing() -> Any:
    model = HistGradientBoostingClassifier(max_iter=2, min_samples_leaf=5).fit(X, Y)
    predictor = model._predictors[0][0]
    predictor.nodes = predictor.nodes[:0]
    return model


def ball(place: int, change: Callable[[Any], Any], kind: str = "kd_tree") -> Poison:
    def make() -> Any:
        model = KNeighborsClassifier(algorithm=kind, leaf_size=5).fit(X, Y)
        state = list(model._tree.__getstate__())
        state[place] = change(state[place])
        model._tree.__setstate__(tuple(state))
        return model

    return make


def first(name: str | None, value: Any) -> Callable[[Any], Any]:
    def change(array: Any) -> Any:
        array = np.array(array)
        (array if name is None else array[name])[0] = value
        return array

    return change


def changed(made: Callable[[], Any], **changes: Callable[[Any], Any]) -> Poison:
    """An attribute of a fitted model, changed."""

    def make() -> Any:
        model = made()
        for name, change in changes.items():
            setattr(model, name, change(getattr(model, name)))
        return model

    return make


def svc() -> Any:
    return SVC().fit(X, Y)


def neighbours() -> Any:
    return KNeighborsClassifier().fit(X, Y)


def encoder() -> Any:
    return OneHotEncoder(min_frequency=5).fit([["a"]] * 20 + [["b"]] * 9 + [["c"], ["d"]])


def words() -> Any:
    return CountVectorizer().fit(["one two", "three"])


def sparse() -> Any:
    model = make_pipeline(StandardScaler(with_mean=False), SVR()).fit(sp.csr_matrix(X), Y)
    model[-1].support_vectors_.indices[0] = 10**6
    return model


def spline() -> Any:
    model = SplineTransformer().fit(X)
    model.bsplines_[0]._c = model.bsplines_[0]._c[:2]
    return model


def bisecting() -> Any:
    model = BisectingKMeans(3).fit(X)
    model._bisecting_tree.left.center = model._bisecting_tree.left.center[:1]
    model._bisecting_tree.right.center = model._bisecting_tree.right.center[:1]
    return model


POISONED: dict[str, Poison] = {
    "tree: its own child": tree(left_child=(0, 0)),
    "tree: its own grandchild": tree(left_child=(2, 0)),
    "tree: a child beyond": tree(right_child=(0, 10**6)),
    "tree: a child below": tree(left_child=(0, -7)),
    "tree: one child": tree(left_child=(0, -1)),
    "tree: one child for two": tree(left_child=(0, 2)),
    "tree: a column beyond": tree(feature=(0, 4)),
    "tree: a column below": tree(feature=(0, -3)),
    "tree: deeper than it says": shallow,
    "tree: wider than its estimator": narrow,
    "tree: of any width": boundless,
    "forest in a pipeline": deep_within,
    "forest of wider trees": forest_of_wider_trees,
    "isolation forest: columns beyond": isolation(estimators_features_=[np.array([0, 9])] * 3),
    "isolation forest: one column less": isolation(estimators_features_=[np.array([0])] * 3),
    "isolation forest: no columns": isolation(estimators_features_=[]),
    "boosting: a start of one": boosting(lambda m: setattr(m, "init_", svr_start())),
    "boosting: no tree": boosting(lambda m: m.estimators_.__setitem__((0, 0), None)),
    "boosting: other width": boosting(lambda m: setattr(m, "n_features_in_", 2)),
    "boosting: one tree less": boosting(lambda m: setattr(m, "estimators_", m.estimators_[:, :2])),
    "histogram: its own child": histogram("left", 0),
    "histogram: a child beyond": histogram("right", 10**6),
    "histogram: a column beyond": histogram("feature_idx", 4),
    "histogram: a column below": histogram("feature_idx", -1),
    "histogram: a category": histogram("is_categorical", 1),
    "histogram: nothing": histogram_of_nothing,
    "neighbours: a point beyond": ball(1, first(None, 10**6)),
    "neighbours: points beyond": ball(2, first("idx_end", 10**6)),
    "neighbours: points below": ball(2, first("idx_start", -5)),
    "neighbours: levels beyond": ball(6, lambda n: 2 * n + 1),
    "neighbours: leaves with children": ball(2, lambda a: first_last(a)),
    "neighbours: bounds": ball(3, lambda a: np.ascontiguousarray(a[:, :2])),
    "neighbours: balls beyond": ball(1, first(None, 10**6), "ball_tree"),
    "neighbours: a class beyond": changed(neighbours, _y=first(None, 99)),
    "neighbours: other points": changed(neighbours, _fit_X=lambda a: a[:5]),
    "density: other width": changed(
        lambda: KernelDensity().fit(X), n_features_in_=lambda n: n + 3
    ),
    "vectors: one less": changed(svc, support_vectors_=lambda a: a[:-1]),
    "vectors: narrow": changed(svc, support_vectors_=lambda a: np.ascontiguousarray(a[:, :1])),
    "vectors: counted more": changed(svc, _n_support=lambda a: a + np.int32(9)),
    "vectors: weights": changed(svc, _dual_coef_=lambda a: np.ascontiguousarray(a[:, :1])),
    "vectors: intercept": changed(svc, _intercept_=lambda a: a[:1]),
    "vectors: classes": changed(svc, classes_=lambda a: np.arange(50)),
    "vectors: another machine": changed(svc, _impl=lambda a: "nu_svr"),
    "vectors: sparse": sparse,
    "centers: narrow": changed(
        lambda: KMeans(3).fit(X), cluster_centers_=lambda a: np.ascontiguousarray(a[:, :1])
    ),
    "centers: narrow tree": bisecting,
    "spline: numbers": spline,
    "one hot: groups beyond": changed(
        encoder, _default_to_infrequent_mappings=lambda a: [a[0] + 10**6]
    ),
    "one hot: columns": changed(encoder, _n_features_outs=lambda a: [1]),
    "words: a column beyond": changed(words, vocabulary_=lambda v: v | {"one": 10**6}),
    "words: files": changed(words, input=lambda v: "filename"),
    "dicts: a column beyond": changed(
        lambda: DictVectorizer().fit([{"a": 1, "b": 2}]), vocabulary_=lambda v: v | {"a": 10**6}
    ),
    "labels: a column beyond": changed(
        lambda: MultiLabelBinarizer().fit([["a", "b"]]), _cached_dict=lambda v: {"a": 10**6}
    ),
    "hashes: none": changed(lambda: FeatureHasher(), n_features=lambda n: 0),
    "powers: more columns": changed(
        lambda: PolynomialFeatures().fit(X), _n_out_full=lambda n: n + 1000
    ),
}


def svr_start() -> Any:
    """Starts with one number where three are added to."""
    return GradientBoostingClassifier(n_estimators=1).fit(X, Y > 0)


def first_last(array: Any) -> Any:
    array = np.array(array)
    array["is_leaf"][-1] = 0
    return array
