"""CatBoost's own predictor by the short way gives what the long way gives."""

from typing import Any

import numpy as np
import pytest
from catboost import CatBoostClassifier, CatBoostRegressor

from bentos.flavors.boosters import CatBoostPredictor, shorten
from bentos.tensors import BadInput, Batch, Column, Schema
from tests.flavors.graphs.tables import levels, purchases, target

TABLE = purchases()
VALUES = target(TABLE)
NUMBERS, TEXTS = ["price", "quantity", "when"], ["city", "kind"]
KINDS = {"quantity": "int64", "city": "string", "kind": "string", "month": "int64"}


def schema(names: list[str]) -> Schema:
    kinds: dict[str, Any] = KINDS
    return Schema(inputs=tuple(Column(name, kinds.get(name, "float64")) for name in names))


def batch(names: list[str]) -> Batch:
    columns = {name: TABLE[name].to_numpy(dtype=column.numpy) for name, column in
               zip(names, schema(names).inputs, strict=True)}  # fmt: skip
    return Batch(columns)


ORDERS = {
    "numbers": (NUMBERS, []),
    "words last": ([*NUMBERS, *TEXTS], TEXTS),
    "words first": ([*TEXTS, *NUMBERS], TEXTS),
    "whole numbers as words": ([*NUMBERS, "month", *TEXTS], ["month", *TEXTS]),
}


@pytest.mark.parametrize("order", ORDERS)
def test_answers_are_those_of_tables(order: str) -> None:
    names, words = ORDERS[order]
    options = {"iterations": 20, "verbose": False, "allow_writing_files": False}
    for model, values, method in (
        (CatBoostRegressor(**options), VALUES, "predict"),
        (CatBoostRegressor(loss_function="Poisson", **options), np.abs(VALUES), "predict"),
        (CatBoostClassifier(**options), levels(VALUES), "predict"),
        (CatBoostClassifier(**options), levels(VALUES), "predict_proba"),
    ):
        model.fit(TABLE[names], values, cat_features=words)
        expected = getattr(model, method)(TABLE[names])
        if method == "predict":
            expected = expected.ravel()  # CatBoost gives lists of one label
        found = CatBoostPredictor(model, schema(names), method)(batch(names))["prediction"]
        assert found.shape == expected.shape
        assert (found == expected).all()


def test_a_matrix_that_nobody_may_write_to() -> None:
    rows = TABLE[NUMBERS].to_numpy(np.float32)
    model = CatBoostRegressor(iterations=5, verbose=False, allow_writing_files=False)
    expected = model.fit(rows, VALUES).predict(rows)
    rows.flags.writeable = False
    predictor = CatBoostPredictor(model, Schema(inputs=(Column("", "float32", (3,)),)))
    assert (predictor(Batch({"": rows}))["prediction"] == expected).all()


def test_a_missing_number_is_none_or_nan() -> None:
    rows = TABLE[["price"]].astype(object)
    rows.iloc[3, 0] = None
    model = CatBoostRegressor(iterations=5, verbose=False, allow_writing_files=False)
    model.fit(TABLE[["price"]], VALUES)
    predictor = CatBoostPredictor(model, schema(["price"]))
    found = predictor(Batch({"price": rows["price"].to_numpy()}))["prediction"]
    assert (found == model.predict(rows.astype(float))).all()


@pytest.mark.parametrize(
    ("value", "message"), [(None, "city may not be missing"), (1.5, "city is 1.5")]
)
def test_a_category_that_is_none_is_the_callers_fault(value: Any, message: str) -> None:
    model = CatBoostRegressor(iterations=5, verbose=False, allow_writing_files=False)
    model.fit(TABLE[["price", "city"]], VALUES, cat_features=["city"])
    rows = Batch({"price": np.ones(2), "city": np.array(["Rom", value], dtype=object)})
    with pytest.raises(BadInput, match=message) as bad:
        CatBoostPredictor(model, schema(["price", "city"]))(rows)
    assert (bad.value.column, bad.value.row) == ("city", 1)


def test_the_notes_are_short() -> None:
    model = CatBoostRegressor(iterations=5, verbose=False, allow_writing_files=False)
    model.fit(TABLE[["price"]], VALUES)
    shorten(model)
    assert len(model.get_metadata()["params"]) < 500
