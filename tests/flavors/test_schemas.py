"""What a version says of its columns, and what rows are made up of that."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from jsonschema import Draft202012Validator
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import MultiOutputClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from bentos.flavors import examples, opening
from bentos.flavors.mlmodel import MLmodel
from bentos.flavors.opened import Opened
from bentos.flavors.opening import open_model
from bentos.flavors.samples import made_up, samples_of
from bentos.models.openapi import row_of
from bentos.protocols.rows import Rows
from bentos.tensors import BadInput, Batch, Column, Schema
from bentos.tensors.signature import SCALARS, read
from tests.flavors.kinds import CASES
from tests.flavors.logged import LEVELS, NUMERIC, PAID, SENTENCES, TABLE, VALUES, saved
from tests.serving.refusals import refused

TWO = ["price", "quantity"]


def version(folder: Path, example: Any = None, kind: str = "", **more: Any) -> MLmodel:
    """An MLmodel of a scikit-learn model, whose file is not read here."""
    content: dict[str, Any] = {"flavors": {"sklearn": {}, "python_function": {}}, **more}
    if kind:
        content["saved_input_example_info"] = {"artifact_path": "example.json", "type": kind}
        (folder / "example.json").write_text(json.dumps(example))
    (folder / "MLmodel").write_text(yaml.safe_dump(content))
    return MLmodel(folder)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Opens a model as if its file had been read."""

    def held(model: object, *args: Any, **more: Any) -> Opened:
        monkeypatch.setattr(opening, "_sklearn", lambda _, **__: opening.Found(model))
        return open_model(version(tmp_path, *args, **more))

    return held


def kinds(opened: Opened) -> list[str]:
    return [str(column) for column in opened.schema.inputs]


def rows_of(opened: Opened, folder: Path) -> Batch:
    rows, _ = samples_of(MLmodel(folder), opened)
    return rows


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


def test_made_up_rows_are_those_that_a_model_answers(held: Any, tmp_path: Path) -> None:
    model = make_pipeline(FunctionTransformer(np.log1p), Ridge()).fit(TABLE[TWO], VALUES)
    opened = held(model)
    with np.errstate(invalid="ignore"):
        made = rows_of(opened, tmp_path)
        assert made.size > 1
        bad = Batch({"price": np.array([-2.0]), "quantity": np.array([1.0])})
        with pytest.raises(BadInput, match="the model cannot take this row: Input X") as error:
            opened.predict(bad)
    assert error.value.row == 0


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


SHAPES: dict[str, tuple[Any, str, list[str]]] = {
    "a table": ({"columns": TWO, "data": [[1.5, 2], [2.5, 3]]}, "dataframe",
        ["price: float64", "quantity: int64"]),
    "missing values": ({"columns": TWO, "data": [[1.5, 2], [None, 3]]}, "dataframe",
        ["price: float64?", "quantity: int64"]),
    "columns of lists": ({"price": [1.5], "quantity": [2]}, "json_object",
        ["price: float64", "quantity: int64"]),
    "an object": ({"price": 1.5, "quantity": 2}, "json_object",
        ["price: float64", "quantity: int64"]),
    "objects": ([{"price": 1.5, "quantity": 2}], "json_object",
        ["price: float64", "quantity: int64"]),
    "an array": ([[1, 2], [3, 4]], "ndarray", ["rows: float64[2]"]),
    "one row": ([1.5, 2.5], "ndarray", ["rows: float64[2]"]),
    "a table without names": ([[1.5, 2.5]], "dataframe", ["rows: float64[2]"]),
    "a sparse matrix": ({"data": [1.5], "indices": [1], "indptr": [0, 1], "shape": [1, 2]},
        "sparse_matrix_csr", ["rows: float64[2]"]),
}  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
def test_examples_of_all_shapes(name: str, held: Any, tmp_path: Path) -> None:
    example, kind, expected = SHAPES[name]
    opened = held(LogisticRegression(max_iter=1000).fit(TABLE[TWO], PAID), example, kind)
    assert (opened.schema.source, kinds(opened)) == ("example", expected)
    if "missing" not in name:
        assert opened.predict(rows_of(opened, tmp_path)).size >= 1


@pytest.mark.parametrize("example", ["no list", {"columns": 3}, [], None, [[1], [1, 2]]])
def test_an_example_that_cannot_be_read_is_none(example: Any, held: Any) -> None:
    model = LogisticRegression(max_iter=1000).fit(TABLE[TWO], PAID)
    assert held(model, example, "ndarray").schema.source == "model"


def test_an_example_outside_the_version_is_not_read(held: Any) -> None:
    model = LogisticRegression(max_iter=1000).fit(TABLE[TWO], PAID)
    info = {"artifact_path": "../../etc/passwd", "type": "dataframe"}
    assert held(model, saved_input_example_info=info).schema.source == "model"


def test_params_beside_an_example_are_not_its_rows(held: Any) -> None:
    model = LogisticRegression(max_iter=1000).fit(TABLE[TWO], PAID)
    stored = {"inputs": {"columns": TWO, "data": [[1.5, 2]]}, "params": {"top": 3}}
    opened = held(model, stored, "dataframe")
    assert opened.schema.source == "model"


ODD: dict[str, Any] = {
    "lists": {"a": 1, "b": "", "c": 1}, "map": {"x": 1}, "vector": ["1"], "may lack": 1,
    "long": 1.5, "double": None,
}  # fmt: skip


def test_made_up_rows_are_what_callers_may_send() -> None:
    kinds: list[dict[str, Any]] = [{"type": kind, "name": kind} for kind in SCALARS]
    nested = {"type": "object", "properties": {"a": {"type": "long"}, "b": {"type": "binary"}}}
    kinds += [
        {"type": "array", "items": {"type": "array", "items": nested}, "name": "lists"},
        {"type": "map", "values": {"type": "datetime"}, "name": "map"},
        {"type": "sparkml_vector", "name": "vector"},
        {"type": "any", "name": "any"},
        {"type": "string", "name": "may lack", "required": False},
    ]
    schema = read({"inputs": json.dumps(kinds)})
    assert schema
    row = made_up(schema, None, 1)
    sent = Rows(schema, 1).encode(row, many=False)
    described = Draft202012Validator(row_of(schema))
    assert described.is_valid(json.loads(sent))
    for name, wrong in ODD.items():
        lists = {"lists": [[wrong]]} if name == "lists" else {name: wrong}
        assert not described.is_valid(json.loads(sent) | lists), name
    found = Rows(schema, 1).decode(sent).batch
    assert {name: found[name].tolist() for name in found} == {
        name: row[name].tolist() for name in row
    }


def test_binary_values_of_an_example_are_bytes(tmp_path: Path) -> None:
    example = {"columns": ["blob"], "data": [["YWI=\n"]]}
    read_back = examples.read(version(tmp_path, example, "dataframe"), None)
    assert read_back
    batch = read_back.batch(Schema((Column("blob", "binary"),)))
    assert batch
    assert batch["blob"].tolist() == [b"ab"]


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
