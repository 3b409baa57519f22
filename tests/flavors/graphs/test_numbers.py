"""Models of a matrix of numbers answer as graphs as they answer themselves."""

from typing import Any

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    BaggingRegressor,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import (
    Lasso,
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    Ridge,
    RidgeClassifier,
    SGDClassifier,
)
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import (
    Binarizer,
    FunctionTransformer,
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    PolynomialFeatures,
    PowerTransformer,
    RobustScaler,
    StandardScaler,
)
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from bentos.flavors.graphs import NoGraph, Session, compile_model
from bentos.tensors import Batch, Column, Schema
from tests.flavors.graphs.tables import MATRIX, arrays, levels, matrix, proved, purchases, target

X = matrix()
VALUES = target(purchases())
LEVELS = levels(VALUES)
HIGH = np.greater(VALUES, np.median(VALUES))


def scaled(estimator: Any) -> Any:
    return make_pipeline(StandardScaler(), estimator)


REGRESSORS = {
    "robust, boosted": make_pipeline(RobustScaler(), GradientBoostingRegressor(n_estimators=20)),
    "forest": scaled(RandomForestRegressor(20)),
    "tree": DecisionTreeRegressor(),
    "histogram": HistGradientBoostingRegressor(max_iter=20),
    "components, forest": scaled(make_pipeline(PCA(3, whiten=True), RandomForestRegressor(5))),
    "products": scaled(make_pipeline(PolynomialFeatures(2), Ridge())),
    "lasso": make_pipeline(MaxAbsScaler(), Lasso(0.01)),
    "powers": make_pipeline(PowerTransformer(), LinearRegression()),
    "logarithm": make_pipeline(FunctionTransformer(np.log1p), StandardScaler(), Ridge()),
    "target": TransformedTargetRegressor(
        scaled(RandomForestRegressor(5)), func=np.log1p, inverse_func=np.expm1
    ),
    "target scaled": TransformedTargetRegressor(scaled(Ridge()), transformer=StandardScaler()),
    "bagged": BaggingRegressor(n_estimators=5),
    "bagged lines": scaled(BaggingRegressor(Ridge(), n_estimators=5)),
    "voting": VotingRegressor(
        [("line", scaled(Ridge())), ("forest", RandomForestRegressor(5))], weights=[1, 2]
    ),
    "stacked": StackingRegressor(
        [("line", scaled(Ridge())), ("forest", RandomForestRegressor(5))], cv=2
    ),
    "union": make_pipeline(
        StandardScaler(), FeatureUnion([("all", "passthrough"), ("two", TruncatedSVD(2))]), Ridge()
    ),
    "counts": scaled(PoissonRegressor()),
    "mean": DummyRegressor(),
}
CLASSIFIERS = {
    "forest": scaled(RandomForestClassifier(20)),
    "extra trees": ExtraTreesClassifier(10),
    "tree": DecisionTreeClassifier(),
    "boosted": GradientBoostingClassifier(n_estimators=10),
    "histogram": HistGradientBoostingClassifier(max_iter=10),
    "logistic": scaled(LogisticRegression()),
    "one against others": scaled(SGDClassifier(loss="log_loss", random_state=0)),
    "chosen": make_pipeline(MinMaxScaler(), SelectKBest(k=2), LogisticRegression()),
    "bins": make_pipeline(
        KBinsDiscretizer(4, quantile_method="averaged_inverted_cdf"), LogisticRegression()
    ),
    "normalized": make_pipeline(Normalizer(), Binarizer(threshold=1e-8), LogisticRegression()),
    "adaptive": AdaBoostClassifier(n_estimators=5),
    "bagged": BaggingClassifier(n_estimators=5, max_features=0.5),
    "voting": VotingClassifier(
        [("line", scaled(LogisticRegression())), ("forest", RandomForestClassifier(5))],
        voting="soft",
    ),
    "stacked": StackingClassifier(
        [("line", scaled(LogisticRegression())), ("forest", RandomForestClassifier(5))],
        passthrough=True,
        cv=2,
        final_estimator=RandomForestClassifier(5),
    ),
    "calibrated": CalibratedClassifierCV(RandomForestClassifier(5), cv=2),
}
EXACT = {"robust, boosted", "forest", "tree", "histogram", "bagged"}


@pytest.mark.parametrize("name", REGRESSORS)
def test_numbers(name: str) -> None:
    model = REGRESSORS[name].fit(X, np.abs(VALUES))
    native = arrays(model.predict, MATRIX)
    proof = proved(model, "predict", MATRIX, Batch.of_block(MATRIX.names, X), native)
    assert proof.holds, proof
    assert proof.whole
    if name in EXACT:
        assert proof.worst_relative == 0


@pytest.mark.parametrize("classes", [LEVELS, HIGH], ids=["text", "bool"])
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classes_and_probabilities(name: str, classes: Any) -> None:
    model = CLASSIFIERS[name].fit(X, classes)
    samples = Batch.of_block(MATRIX.names, X)
    for method in ("predict", "predict_proba"):
        native = arrays(getattr(model, method), MATRIX)
        proof = proved(model, method, MATRIX, samples, native)
        assert proof.holds, proof


@pytest.mark.parametrize("name", ["boosted", "histogram", "logistic", "adaptive"])
def test_scores(name: str) -> None:
    for classes in (LEVELS, HIGH):
        model = CLASSIFIERS[name].fit(X, classes)
        native = arrays(model.decision_function, MATRIX)
        samples = Batch.of_block(MATRIX.names, X)
        proof = proved(model, "decision_function", MATRIX, samples, native)
        assert proof.holds, proof


def test_votes_of_classifiers() -> None:
    members = [
        ("line", scaled(LogisticRegression())),
        ("forest", RandomForestClassifier(5)),
        ("tree", DecisionTreeClassifier(max_depth=2)),
    ]
    model = VotingClassifier(members, voting="hard").fit(X, LEVELS)
    samples = Batch.of_block(MATRIX.names, X)
    proof = proved(model, "predict", MATRIX, samples, arrays(model.predict, MATRIX))
    assert proof.holds, proof


@pytest.mark.parametrize("method", ["predict", "decision_function", "score_samples"])
def test_outliers_are_those_of_the_model_also_at_the_threshold(method: str) -> None:
    model = IsolationForest(n_estimators=20, contamination=0.1, random_state=0).fit(X)
    # The threshold lies between the scores of training rows: some are equal to it.
    model.offset_ = float(np.sort(model.score_samples(X))[40])
    samples = Batch.of_block(MATRIX.names, X)
    native = arrays(getattr(model, method), MATRIX)
    assert proved(model, method, MATRIX, samples, native).holds
    if method == "predict":
        session = Session(compile_model(model, MATRIX, method).proto.SerializeToString())
        assert (session(samples)["prediction"] == model.predict(X)).all()


def test_several_outputs() -> None:
    both = np.column_stack([VALUES, VALUES**2])
    for estimator in (LinearRegression(), RandomForestRegressor(5), MultiOutputRegressor(Ridge())):
        model = scaled(estimator).fit(X, both)
        native = arrays(model.predict, MATRIX)
        proof = proved(model, "predict", MATRIX, Batch.of_block(MATRIX.names, X), native)
        assert proof.holds, proof


def test_trees_trained_with_missing_values_send_them_where_they_went() -> None:
    schema = Schema(inputs=tuple(Column(name, "float64", nullable=True) for name in MATRIX.names))
    rows = X.copy()
    rows[np.random.default_rng(0).random(rows.shape) < 0.2] = np.nan
    for model in (RandomForestRegressor(10), HistGradientBoostingRegressor(max_iter=10)):
        model.fit(rows, VALUES)
        samples = Batch.of_block(MATRIX.names, rows)
        proof = proved(model, "predict", schema, samples, arrays(model.predict, schema))
        assert proof.holds, proof
        assert not proof.refused


def test_a_model_that_takes_no_missing_values_gets_none() -> None:
    schema = Schema(inputs=tuple(Column(name, "float64", nullable=True) for name in MATRIX.names))
    model = scaled(GradientBoostingRegressor(n_estimators=3)).fit(X, VALUES)
    samples = Batch.of_block(MATRIX.names, X)
    proof = proved(model, "predict", schema, samples, arrays(model.predict, schema))
    assert proof.holds, proof
    assert proof.refused


@pytest.mark.parametrize("dtype", ["float32", "int64"])
def test_columns_of_other_dtypes(dtype: Any) -> None:
    schema = Schema(inputs=tuple(Column(name, dtype) for name in MATRIX.names))
    rows = X.astype(dtype)
    samples = Batch.of_block(MATRIX.names, rows)
    for scaler in (StandardScaler(), RobustScaler(), MinMaxScaler(clip=True)):
        model = make_pipeline(scaler, RandomForestRegressor(10)).fit(rows, VALUES)
        proof = proved(model, "predict", schema, samples, arrays(model.predict, schema))
        assert proof.holds, proof
        assert proof.worst_relative == 0


def test_products_in_float32_have_no_exact_form() -> None:
    rows = X.astype(np.float32)
    schema = Schema(inputs=tuple(Column(name, "float32") for name in MATRIX.names))
    model = scaled(Ridge()).fit(rows, VALUES.astype(np.float32))
    with pytest.raises(NoGraph, match="float32"):
        compile_model(model, schema, "predict")


class OwnScaler(StandardScaler):  # type: ignore[misc]
    """Computes otherwise than its name says."""

    def transform(self, X: Any) -> Any:
        return super().transform(X) + 1


def test_what_has_no_exact_form_says_why() -> None:
    for model, reason in (
        (make_pipeline(OwnScaler(), Ridge()), "OwnScaler is not among the known classes"),
        (make_pipeline(FunctionTransformer(np.cbrt), Ridge()), "'cbrt' has no exact form"),
        (scaled(RidgeClassifier()), "predict_proba has no exact form"),
    ):
        classify = hasattr(model[-1], "decision_function")
        model.fit(X, HIGH if classify else VALUES)
        with pytest.raises(NoGraph, match=reason):
            compile_model(model, MATRIX, "predict_proba" if classify else "predict")


def test_the_schema_has_the_columns_of_the_model() -> None:
    model = scaled(Ridge()).fit(X, VALUES)
    for column, reason in (
        (Column("", "float64"), "takes 4 columns, and the schema has 1"),
        (Column("", "float64", (2, 2)), r"\[2, 2\] are no columns"),
        (Column("when", "datetime"), "'when' is datetime"),
    ):
        with pytest.raises(NoGraph, match=reason):
            compile_model(model, Schema(inputs=(column,)), "predict")
