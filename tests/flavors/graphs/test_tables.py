"""Pipelines of columns with text, categories and missing values answer as they do themselves."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.feature_selection import SelectKBest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    StandardScaler,
    TargetEncoder,
)

from bentos.flavors.graphs import NoGraph, Session, compile_model
from bentos.tensors import BadInput, Batch, Column
from tests.flavors.graphs.tables import (
    NUMBERS,
    SCHEMA,
    TEXTS,
    batch,
    framed,
    lacking,
    levels,
    nullable,
    proved,
    purchases,
    target,
)

TABLE = purchases()
LACKING = lacking(TABLE)
LEVELS = levels(target(TABLE))
NULLABLE = nullable(SCHEMA, "price", "quantity", "city", "kind")
NAMES, WORDS = list(NUMBERS), list(TEXTS)


def columns(encoder: Any, **options: Any) -> ColumnTransformer:
    parts = [("numbers", StandardScaler(), NAMES), ("words", encoder, WORDS)]
    return ColumnTransformer(parts, **options)


WHOLE = {
    "ignored": make_pipeline(
        columns(OneHotEncoder(handle_unknown="ignore")), LogisticRegression(max_iter=200)
    ),
    "refused": make_pipeline(
        columns(OneHotEncoder(), remainder="passthrough"), RandomForestClassifier(5)
    ),
    "infrequent": make_pipeline(
        columns(
            OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=0.05, drop="first"),
            remainder="passthrough",
        ),
        GradientBoostingClassifier(n_estimators=5),
    ),
    "numbered": make_pipeline(
        columns(OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)),
        ExtraTreesClassifier(5),
    ),
    "by target": make_pipeline(
        columns(TargetEncoder(), remainder="passthrough"), RandomForestClassifier(5)
    ),
    "numbers as categories": make_pipeline(
        ColumnTransformer(
            [
                ("hot", OneHotEncoder(handle_unknown="ignore"), ["month"]),
                ("mixed", OneHotEncoder(), ["month", "city"]),
                ("numbered", OrdinalEncoder(), ["quantity"]),
                ("rest", "passthrough", ["price", "paid"]),
                ("nothing", "drop", ["when"]),
            ]
        ),
        RandomForestClassifier(5),
    ),
    "searched": GridSearchCV(
        make_pipeline(
            columns(OneHotEncoder(handle_unknown="ignore")),
            SelectKBest(k=4),
            RandomForestClassifier(5),
        ),
        {"randomforestclassifier__max_depth": [3, None]},
        cv=2,
    ),
}
WITH_GAPS = {
    "filled": make_pipeline(
        ColumnTransformer(
            [
                (
                    "numbers",
                    make_pipeline(
                        SimpleImputer(strategy="median", add_indicator=True), StandardScaler()
                    ),
                    NAMES,
                ),
                (
                    "words",
                    make_pipeline(
                        SimpleImputer(strategy="most_frequent"),
                        OneHotEncoder(handle_unknown="ignore"),
                    ),
                    WORDS,
                ),
            ],
            remainder="passthrough",
        ),
        RandomForestClassifier(5),
    ),
    "selected": make_pipeline(
        ColumnTransformer(
            [
                (
                    "numbers",
                    make_pipeline(SimpleImputer(), MinMaxScaler()),
                    make_column_selector(dtype_include="number"),
                ),
                (
                    "words",
                    make_pipeline(
                        SimpleImputer(strategy="constant", fill_value="none"), OneHotEncoder()
                    ),
                    make_column_selector(dtype_exclude=["number", "bool"]),
                ),
            ]
        ),
        LogisticRegression(max_iter=200),
    ),
    "a category of their own": make_pipeline(
        ColumnTransformer(
            [
                ("numbers", SimpleImputer(), NAMES),
                ("words", OneHotEncoder(handle_unknown="ignore"), WORDS),
            ]
        ),
        RandomForestClassifier(5),
    ),
    "histogram": make_pipeline(
        columns(
            OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan),
            remainder="passthrough",
        ),
        HistGradientBoostingClassifier(max_iter=10, categorical_features=[4, 5]),
    ),
    "refused": make_pipeline(
        ColumnTransformer([("numbers", StandardScaler(), NAMES)]),
        HistGradientBoostingClassifier(max_iter=10),
    ),
}


@pytest.mark.parametrize("name", WHOLE)
def test_whole_tables(name: str) -> None:
    model = WHOLE[name].fit(TABLE, LEVELS)
    for method in ("predict", "predict_proba"):
        native = framed(getattr(model, method), SCHEMA)
        proof = proved(model, method, SCHEMA, batch(TABLE, SCHEMA), native)
        assert proof.holds, proof


@pytest.mark.parametrize("name", WITH_GAPS)
def test_tables_with_missing_values(name: str) -> None:
    model = WITH_GAPS[name].fit(LACKING, LEVELS)
    native = framed(model.predict_proba, NULLABLE)
    proof = proved(model, "predict_proba", NULLABLE, batch(LACKING, NULLABLE), native)
    assert proof.holds, proof


def test_categories_of_pandas() -> None:
    """HistGradientBoosting that takes categories from the table's own dtypes."""
    table = LACKING.astype(dict.fromkeys(WORDS, "category"))
    model = HistGradientBoostingClassifier(max_iter=10).fit(table, LEVELS)

    def predict(rows: pd.DataFrame) -> Any:
        for name in WORDS:
            words = rows[name].astype(object)
            rows[name] = pd.Categorical(words, categories=table[name].cat.categories)
        return model.predict_proba(rows)

    native = framed(predict, NULLABLE)
    proof = proved(model, "predict_proba", NULLABLE, batch(LACKING, NULLABLE), native)
    assert proof.holds, proof


def test_an_unknown_category_is_the_callers_fault() -> None:
    model = WHOLE["refused"].fit(TABLE, LEVELS)
    session = Session(compile_model(model, SCHEMA, "predict").proto.SerializeToString())
    rows = dict(batch(TABLE, SCHEMA).rows(0, 3))
    rows["city"] = np.array(["Rom", "Atlantis", "Rom"], dtype=object)
    with pytest.raises(BadInput, match="city is 'Atlantis', which the model does not know") as bad:
        session(Batch(rows))
    assert (bad.value.column, bad.value.row) == ("city", 1)


def test_an_unknown_number_is_the_callers_fault() -> None:
    model = WHOLE["numbers as categories"].fit(TABLE, LEVELS)
    session = Session(compile_model(model, SCHEMA, "predict").proto.SerializeToString())
    rows = dict(batch(TABLE, SCHEMA).rows(0, 3))
    rows["quantity"] = np.array([1, 2, 999])
    with pytest.raises(BadInput, match="quantity is a category that the model does not") as bad:
        session(Batch(rows))
    assert (bad.value.column, bad.value.row) == ("quantity", 2)


def test_text_among_numbers_has_no_graph() -> None:
    numbers = TABLE.assign(city=1.0, kind=2.0)
    model = RandomForestClassifier(3).fit(numbers, LEVELS)
    with pytest.raises(NoGraph, match="numbers are made of the text column 'city'"):
        compile_model(model, SCHEMA, "predict")


def test_labels_come_back_as_they_are() -> None:
    for classes in (LEVELS, LEVELS == "low", np.where(LEVELS == "low", 7, -1)):
        model = WHOLE["ignored"].fit(TABLE, classes)
        session = Session(compile_model(model, SCHEMA, "predict").proto.SerializeToString())
        answers = session(batch(TABLE, SCHEMA))["prediction"]
        assert answers.tolist() == model.predict(TABLE).tolist()
        assert answers.dtype == (object if classes.dtype == object else classes.dtype)
        assert answers.shape == (len(TABLE),)


def test_the_schema_names_what_comes_out() -> None:
    model = WHOLE["ignored"].fit(TABLE, LEVELS)
    outputs = tuple(Column(name, "float64") for name in ("high", "low", "middle"))
    schema = type(SCHEMA)(inputs=SCHEMA.inputs, outputs=outputs)
    session = Session(compile_model(model, schema, "predict_proba").proto.SerializeToString())
    answers = session(batch(TABLE, schema).rows(0, 2))
    assert answers.names == ("high", "low", "middle")
    assert np.allclose(answers.block(), model.predict_proba(TABLE[:2]), rtol=1e-12)
