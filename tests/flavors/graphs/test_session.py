"""What comes in at a graph's door, and what does not."""

import threading
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, PolynomialFeatures, StandardScaler

from bentos.flavors.graphs import Session, compile_model
from bentos.tensors import BadInput, Batch, Column, Schema
from tests.flavors.graphs.tables import MATRIX, levels, matrix, purchases, target

X = matrix()
VALUES = target(purchases())
FOREST = make_pipeline(StandardScaler(), RandomForestRegressor(5)).fit(X, VALUES)


def session(model: Any, schema: Schema, method: str = "predict") -> Session:
    return Session(compile_model(model, schema, method).proto.SerializeToString())


def test_a_matrix_without_names() -> None:
    for shape in ((4,), (-1,)):
        answers = session(FOREST, Schema(inputs=(Column("", "float64", shape),)))
        assert answers(Batch({"": X}))["prediction"].tolist() == FOREST.predict(X).tolist()


def test_columns_in_any_order_and_of_several_dtypes() -> None:
    schema = Schema(inputs=tuple(Column(n, "float64", nullable=n == "x1") for n in MATRIX.names))
    rows = {name: X[:, at] for at, name in enumerate(MATRIX.names)}
    rows["x1"] = rows["x1"].astype(np.int64)
    rows["x3"] = rows["x3"].astype(object)
    answers = session(FOREST, schema)(Batch(dict(reversed(rows.items()))))
    assert answers["prediction"].tolist() == FOREST.predict(X).tolist()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.nan, "x2 may not be missing"),
        (np.inf, "x2 is inf; the model takes numbers from"),
        (-np.inf, "x2 is -inf"),
        (1e39, "x2 is 1e\\+39; the model takes numbers from -3.4e\\+38 to 3.4e\\+38"),
    ],
)
def test_what_the_model_would_refuse_is_refused_by_name(value: float, message: str) -> None:
    rows = X[:3].copy()
    rows[1, 2] = value
    with pytest.raises(BadInput, match=message) as bad:
        session(FOREST, MATRIX)(Batch.of_block(MATRIX.names, rows))
    assert (bad.value.column, bad.value.row) == ("x2", 1)


def test_numbers_whose_products_would_not_fit_are_refused() -> None:
    model = make_pipeline(PolynomialFeatures(3), RandomForestRegressor(3)).fit(X / 1e9, VALUES)
    rows = X[:2] / 1e9
    answers = session(model, MATRIX)
    answers(Batch.of_block(MATRIX.names, rows))
    rows[1, 0] = 1e13
    with pytest.raises(BadInput, match=r"x0 is 1000.*; the model takes numbers"):
        answers(Batch.of_block(MATRIX.names, rows))


def test_integers_that_float64_cannot_hold_are_refused() -> None:
    schema = Schema(inputs=tuple(Column(name, "int64") for name in MATRIX.names))
    model = RandomForestRegressor(3).fit(X.astype(np.int64), VALUES)
    rows = X[:2].astype(np.int64)
    rows[1, 3] = 2**53 + 2
    with pytest.raises(BadInput, match="x3 is"):
        session(model, schema)(Batch.of_block(schema.names, rows))


def test_text_may_be_missing_where_the_model_takes_that() -> None:
    schema = Schema(inputs=(Column("city", "string", nullable=True),))
    for missing, takes in ((None, True), (float("nan"), True), (7, False)):
        cities = np.array(["Rom", "Wien", np.nan], dtype=object)[:, None]
        model = make_pipeline(OneHotEncoder(handle_unknown="ignore"), Ridge()).fit(
            cities, range(3)
        )
        rows = Batch({"city": np.array(["Rom", missing], dtype=object)})
        answers = session(model, schema)
        if not takes:
            with pytest.raises(BadInput, match="city is 7, which is no text"):
                answers(rows)
            continue
        expected = model.predict(cities[[0, 2]])
        assert np.allclose(answers(rows)["prediction"], expected, rtol=1e-12)


def test_many_rows_run_in_parts() -> None:
    classes = levels(VALUES)
    model = RandomForestClassifier(50, max_depth=3).fit(X, classes)
    rows = np.tile(X, (50, 1))
    answers = session(model, MATRIX, "predict_proba")
    answers._most = 999
    found = answers(Batch.of_block(MATRIX.names, rows))["prediction"]
    assert (found == model.predict_proba(rows)).all()


def test_threads_may_call_at_once() -> None:
    answers, expected = session(FOREST, MATRIX), FOREST.predict(X)
    wrong: list[int] = []

    def call(at: int) -> None:
        for _ in range(20):
            part = Batch.of_block(MATRIX.names, X[at : at + 50])
            if answers(part)["prediction"].tolist() != expected[at : at + 50].tolist():
                wrong.append(at)

    threads = [threading.Thread(target=call, args=(at,)) for at in (0, 50, 100, 150)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
