"""What a version says of its columns, and what rows are made up of that."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import MultiOutputClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from bentos.flavors.opening import open_model
from bentos.tensors import BadInput, Batch, Column
from tests.flavors.kinds import CASES
from tests.flavors.logged import LEVELS, NUMERIC, PAID, SENTENCES, TABLE, VALUES, saved
from tests.flavors.versions import TWO, kinds, rows_of
from tests.serving.refusals import refused


def test_a_column_that_the_model_does_not_look_at_may_be_anything(held: Any) -> None:
    apart = make_column_transformer((CountVectorizer(), "city"), (StandardScaler(), ["price"]))
    model = make_pipeline(apart, Ridge()).fit(TABLE[["price", "city", "kind"]], VALUES)
    opened = held(model)
    assert kinds(opened) == ["price: float64", "city: string", "kind: json?"]
    assert not opened.schema.column("kind").required
    given = {"price": np.array([1.0]), "city": np.array(["Rom"], object)}
    kind = np.array([None], object)
    assert opened.predict(Batch({**given, "kind": kind})).size == 1


def test_categories_are_those_of_the_encoders(held: Any) -> None:
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    cities = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder())
    apart = make_column_transformer(
        (numbers, TWO), (cities, ["city"]), (OneHotEncoder(), ["month", "paid"])
    )
    model = make_pipeline(apart, Ridge()).fit(TABLE[[*TWO, "city", "month", "paid"]], VALUES)
    opened = held(model)
    assert kinds(opened) == [
        "price: float64?", "quantity: float64?", "city: string?", "month: int64", "paid: bool",
    ]  # fmt: skip
    assert opened.schema.column("city").categories == ("Linz", "Oslo", "Rom", "Wien")
    assert opened.schema.column("month").categories == tuple(range(1, 13))


def test_columns_of_kinds_without_names_are_rows_of_lists(held: Any, tmp_path: Path) -> None:
    apart = make_column_transformer((OneHotEncoder(), [2]), (StandardScaler(), [0, 1]))
    rows = TABLE[[*TWO, "city"]].to_numpy(dtype=object)
    opened = held(make_pipeline(apart, Ridge()).fit(rows, VALUES))
    assert kinds(opened) == ["0: float64", "1: float64", "2: string"]
    assert opened.schema.positional
    few = Batch({str(at): rows[:5, at].astype(float if at < 2 else object) for at in range(3)})
    assert (opened.predict(few)["prediction"] == opened.model.predict(rows[:5])).all()


@pytest.mark.parametrize("unit", ["ns", "us"])
def test_dates_are_those_of_the_encoders(unit: str, held: Any, tmp_path: Path) -> None:
    days = np.array(["2024-01-01", "2024-02-01", "2024-03-01T12"], f"M8[{unit}]")
    table = TABLE[["price"]].assign(day=np.resize(days, len(TABLE)))
    apart = make_column_transformer((OneHotEncoder(), ["day"]), (StandardScaler(), ["price"]))
    model = make_pipeline(apart, Ridge()).fit(table, VALUES)
    signature = {"inputs": json.dumps([{"type": "double", "name": "price"},
        {"type": "datetime", "name": "day"}])}  # fmt: skip
    for opened in (held(model), held(model, signature=signature)):
        assert kinds(opened) == ["price: float64", "day: datetime"]
        assert set(rows_of(opened, tmp_path)["day"]) == set(days)
        given = Batch({"price": table["price"].to_numpy(), "day": table["day"].to_numpy("M8[ns]")})
        assert (opened.predict(given)["prediction"] == model.predict(table)).all()
        strange = Batch({"price": np.ones(1), "day": np.array(["2020-01-01"], "M8[ns]")})
        with pytest.raises(BadInput, match="Found unknown categories"):
            opened.predict(strange)
    bare = make_pipeline(OneHotEncoder(), Ridge()).fit(table[["day"]].to_numpy(), VALUES)
    opened = held(bare)
    assert kinds(opened) == ["0: datetime"]
    expected = bare.predict(days[:, None])
    assert (opened.predict(Batch({"0": days.astype("M8[ns]")}))["prediction"] == expected).all()


def test_a_search_is_what_it_found(held: Any, tmp_path: Path) -> None:
    inner = make_pipeline(StandardScaler(), LogisticRegression())
    found = GridSearchCV(inner, {"logisticregression__C": [1.0, 2.0]}, cv=2)
    opened = held(found.fit(TABLE[TWO], PAID))
    assert kinds(opened) == ["price: float64", "quantity: float64"]
    made = rows_of(opened, tmp_path)
    assert abs(float(np.mean(made["price"])) - TABLE["price"].mean()) < TABLE["price"].std()


def test_a_model_that_takes_missing_numbers(held: Any) -> None:
    model = HistGradientBoostingRegressor(max_iter=3).fit(TABLE[TWO], VALUES)
    assert kinds(held(model)) == ["price: float64?", "quantity: float64?"]


@pytest.mark.parametrize("method", ["predict_log_proba", "predict_joint_log_proba"])
def test_other_methods_that_mlflow_takes(method: str, held: Any) -> None:
    model = GaussianNB().fit(TABLE[TWO], PAID)
    opened = held(model, flavors={"sklearn": {}, "python_function": {"predict_fn": method}})
    few = Batch({name: TABLE[name].to_numpy(float)[:4] for name in TWO})
    np.testing.assert_array_equal(
        opened.predict(few)["prediction"], getattr(model, method)(TABLE[TWO][:4])
    )


def test_probabilities_of_several_outputs(held: Any) -> None:
    model = MultiOutputClassifier(LogisticRegression(max_iter=1000))
    model.fit(TABLE[TWO], np.column_stack([PAID, 1 - PAID]))
    held(model)  # the answers of `predict` are (rows, outputs)
    opened = held(
        model, flavors={"sklearn": {}, "python_function": {"predict_fn": "predict_proba"}}
    )
    assert opened.method == "predict_proba"
    made = opened.predict(Batch({name: TABLE[name].to_numpy(float)[:4] for name in TWO}))
    assert made["prediction"].shape == (4, 2, 2)


def test_a_signature_of_anything_is_none(held: Any) -> None:
    """MLflow writes it where it can infer none, as for categories."""
    anything = json.dumps([{"type": "any", "required": True}])
    labels = json.dumps([{"type": "string", "required": True}])
    model = LogisticRegression(max_iter=1000).fit(TABLE[TWO], LEVELS)
    opened = held(model, signature={"inputs": anything, "outputs": labels})
    assert kinds(opened) == ["price: float64", "quantity: float64"]
    assert opened.schema.source == "model"
    assert opened.schema.outputs == (Column("prediction", "string"),)


def test_a_signature_of_other_columns_than_the_models(held: Any) -> None:
    entries = [{"type": "double", "name": name, "required": True} for name in ("price", "weight")]
    model = LogisticRegression(max_iter=1000).fit(TABLE[TWO], PAID)
    signature = {"inputs": json.dumps(entries)}
    refused("schema", "fitted to the column 'quantity'", lambda: held(model, signature=signature))


@pytest.mark.parametrize("width", [1, 2])
def test_a_table_of_tensors_has_one_value_a_row(width: int, held: Any, tmp_path: Path) -> None:
    def tensor(name: str, *shape: int) -> dict[str, Any]:
        return {
            "type": "tensor",
            "name": name,
            "tensor-spec": {"dtype": "float64", "shape": shape},
        }

    entries = [tensor("quantity", -1, width), tensor("price", -1)]
    model = LogisticRegression(max_iter=1000).fit(TABLE[TWO], PAID)
    signature = {"inputs": json.dumps(entries)}
    if width > 1:
        wrong = r"the tensor 'quantity' is \[-1, 2\], and the model takes one value a row"
        refused("schema", wrong, lambda: held(model, signature=signature))
        return
    opened = held(model, signature=signature)
    assert rows_of(opened, tmp_path)["quantity"].shape == (32, 1)
    given = Batch({"quantity": TABLE[["quantity"]].to_numpy(float),
        "price": TABLE["price"].to_numpy(float)})  # fmt: skip
    assert (opened.predict(given)["prediction"] == model.predict(TABLE[TWO])).all()


def test_a_model_of_which_nobody_knows_the_columns(held: Any) -> None:
    class Bare:
        def predict(self, rows: Any) -> Any:
            return rows

    refused("schema", "set_signature", lambda: held(Bare()))


def test_a_text_that_is_none(held: Any) -> None:
    opened = held(make_pipeline(CountVectorizer(), LogisticRegression()).fit(SENTENCES, PAID))
    with pytest.raises(BadInput, match=r"the input is 3, which is no text") as bad:
        opened.predict(Batch({"": np.array(["good", 3], object)}))
    assert bad.value.row == 1


@pytest.mark.parametrize(
    ("value", "message"),
    [(3, "the input is 3, which is no object"), ({"city": {}}, r"city is \{\}; the model takes")],
)
def test_an_object_that_is_none(value: Any, message: str, tmp_path: Path) -> None:
    opened = open_model(saved(CASES["scikit-learn of objects"](), "neither", tmp_path))
    rows = np.empty(2, object)
    rows[:] = [{"city": "Rom"}, value]
    with pytest.raises(BadInput, match=message) as bad:
        opened.predict(Batch({"": rows}))
    assert bad.value.row == 1


def test_an_unknown_category_names_its_row_and_column(tmp_path: Path) -> None:
    case = CASES["scikit-learn by names, strict"]()
    opened = open_model(saved(case, "neither", tmp_path))
    columns = {name: TABLE[name].to_numpy()[:3] for name in ("price", "quantity")}
    cities, kind = np.array(["Rom", "Oslo", "Paris"], object), np.array(["x", "y", "z"], object)
    given = {**{k: v.astype(float) for k, v in columns.items()}, "city": cities, "kind": kind}
    with pytest.raises(BadInput, match="city is 'Paris', which the model does not know") as bad:
        opened.predict(Batch(given))
    assert (bad.value.column, bad.value.row) == ("city", 2)


def test_a_number_that_is_too_large_names_its_row_and_column(tmp_path: Path) -> None:
    opened = open_model(saved(CASES["scikit-learn, no names"](), "neither", tmp_path))
    rows = TABLE[NUMERIC].to_numpy(float)[:3].copy()
    rows[1, 2] = 1e300
    with pytest.raises(BadInput, match=r"the input is 1e\+300, which is too large") as bad:
        opened.predict(Batch({"": rows}))
    assert bad.value.row == 1


def test_lightgbms_own_categories_are_whole_numbers(held: Any) -> None:
    import lightgbm

    model = lightgbm.LGBMRegressor(n_estimators=2, verbose=-1)
    model.fit(TABLE[["price", "month"]], VALUES, categorical_feature=["month"])
    assert kinds(held(model)) == ["price: float64?", "month: int64?"]
