"""MLflow's scoring protocol, beside what MLflow's own scoring server makes of the same bodies."""

import json
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException
from mlflow.models.utils import _enforce_schema
from mlflow.types import Schema as TheirSchema

from bentos.protocols.invocations import JSON, Invocations
from bentos.tensors import BadInput, Batch, Column, Param, Schema, signature
from tests.protocols.mlflow_bodies import MATRIX, NAMED, NAMES, PLACES, RECORD, A, B, flat, rows

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of its type hints
    from mlflow.pyfunc import scoring_server

TIMES = [
    {"type": "datetime", "name": "when", "required": True},
    {"type": "binary", "name": "raw", "required": True},
]
ONE = [{"type": "double", "name": "x", "required": True}]
TEXT = [{"type": "string", "required": True}]
TENSORS = [
    {"type": "tensor", "name": "a", "tensor-spec": {"dtype": "float64", "shape": [-1, 2]}},
    {"type": "tensor", "name": "b", "tensor-spec": {"dtype": "int64", "shape": [-1, 1, 2]}},
]
NESTED = [
    {"type": "array", "items": {"type": "long"}, "name": "ids", "required": True},
    {"type": "double", "name": "x", "required": True},
]
ROWS = [list(RECORD.values()), [2, 1, "b", None, False]]
# What both read, and as the same values.
READ: list[tuple[list[dict[str, Any]], Any]] = [
    (NAMED, {"dataframe_split": {"columns": NAMES, "data": ROWS}}),
    (NAMED, {"dataframe_split": {"columns": NAMES, "index": [7, 8], "data": ROWS}}),
    (NAMED, {"dataframe_split": {"columns": NAMES[::-1], "data": [row[::-1] for row in ROWS]}}),
    (NAMED, {"dataframe_records": [RECORD, RECORD]}),
    (NAMED, {"dataframe_records": [RECORD, RECORD | {"maybe": None}]}),
    (NAMED, {"dataframe_records": [{k: v for k, v in RECORD.items() if k != "maybe"}]}),
    (NAMED, {"instances": [RECORD]}),
    (NAMED, {"inputs": [RECORD, RECORD]}),
    (NAMED, {"inputs": {k: [v, v] for k, v in RECORD.items()}}),
    (NAMED, {"instances": {k: [v] for k, v in RECORD.items()}}),
    (NAMED, {"dataframe_records": [RECORD], "params": {}}),
    (TIMES, {"dataframe_records": [{"when": "2021-02-02T12:00:00.5", "raw": "AQID"}]}),
    (TIMES, {"dataframe_split": {"columns": ["when", "raw"], "data": [["2021-02-02", "AQ==\n"]]}}),
    (ONE, {"inputs": [1.5, 2.5]}),
    (ONE, {"inputs": [1, 2]}),
    (ONE, {"instances": [1.5, 2.5]}),
    (ONE, {"instances": [{"x": 1.5}, {"x": 2}]}),
    (ONE, {"inputs": {"x": [1.5]}}),
    (ONE, {"dataframe_split": {"columns": ["x"], "data": [[1.5]]}}),
    (TEXT, {"inputs": ["a", "b"]}),
    (TEXT, {"instances": ["a", "b"]}),
    (TEXT, {"inputs": "a"}),
    (TEXT, {"dataframe_split": {"data": [["a"], ["b"]]}}),
    (PLACES, {"dataframe_split": {"columns": [0, 1], "data": A}}),
    (PLACES, {"dataframe_split": {"data": A}}),
    (PLACES, {"dataframe_split": {"columns": ["p", "q"], "data": A}}),
    (PLACES, {"dataframe_records": [{"0": 1.5, "1": 2.5}, {"1": 4.0, "0": 3.0}]}),
    (PLACES, {"inputs": A}),
    (PLACES, {"instances": A}),
    (MATRIX, {"inputs": A}),
    (MATRIX, {"instances": A}),
    (MATRIX, {"dataframe_split": {"columns": ["p", "q"], "data": A}}),
    (TENSORS, {"inputs": {"a": A, "b": B}}),
    (TENSORS, {"instances": [{"a": a, "b": b} for a, b in zip(A, B, strict=True)]}),
    (NESTED, {"inputs": [{"ids": [1, 2], "x": 1.5}, {"ids": [], "x": 2.5}]}),
    (NESTED, {"inputs": {"ids": [1, 2], "x": 1.5}}),
    (NESTED, {"dataframe_records": [{"ids": [1, 2], "x": 1.5}]}),
    (NESTED, {"dataframe_split": {"columns": ["x", "ids"], "data": [[1.5, [1]]]}}),
]
# What neither reads.
REFUSED: list[tuple[list[dict[str, Any]], Any]] = [
    (NAMED, 1),
    (NAMED, "1"),
    (NAMED, [RECORD]),
    (NAMED, {"not": "a serialized dataframe"}),
    (NAMED, {}),
    (NAMED, {"dataframe_records": [], "dataframe_split": {"data": []}}),
    (NAMED, {"dataframe_records": {"columns": NAMES, "data": ROWS}}),
    (NAMED, {"dataframe_records": "x"}),
    (NAMED, {"dataframe_split": [RECORD]}),
    (NAMED, {"dataframe_split": {"columns": NAMES}}),
    (NAMED, {"dataframe_split": {"columns": NAMES, "data": ROWS, "rows": []}}),
    (NAMED, {"dataframe_split": {"columns": NAMES, "index": [1], "data": ROWS}}),
    (NAMED, {"dataframe_split": {"columns": NAMES[1:], "data": ROWS}}),
    (NAMED, {"dataframe_split": {"data": ROWS}}),
    (NAMED, {"dataframe_split": {"columns": NAMES, "data": 5}}),
    (NAMED, {"dataframe_records": [{"n": 1}]}),
    (NAMED, {"dataframe_records": [RECORD | {"n": "one"}]}),
    (NAMED, {"inputs": {k: [v] * (2 - (k == "n")) for k, v in RECORD.items()}}),
    (NAMED, {"instances": ROWS}),
    (ONE, {"inputs": ["a"]}),
    (PLACES, {"inputs": [[1.5], [2.5]]}),
    (PLACES, {"inputs": {"a": [1.5]}}),
    (MATRIX, {"inputs": [[1, 2, 3]]}),
    (MATRIX, {"inputs": [[1, 2], [3]]}),
    (MATRIX, {"inputs": [1, 2]}),
    (TENSORS, {"inputs": {"a": A}}),
    (TENSORS, {"inputs": {"a": A, "b": A}}),
    (NESTED, {"inputs": [{"ids": ["a"], "x": 1.5}]}),
]
# What only MLflow reads, since it changes values or leaves some out.
STRICT: list[tuple[list[dict[str, Any]], Any, str]] = [
    (NAMED, {"dataframe_records": [RECORD | {"extra": 1}]}, "unknown column 'extra'"),
    (NAMED, {"dataframe_records": [RECORD | {"n": 1.5}]}, "1.5 is no integer"),
    (NAMED, {"dataframe_records": [RECORD | {"n": "1"}]}, "'1' is no integer"),
    (NAMED, {"dataframe_records": [RECORD | {"ok": 1.5}]}, "neither true nor false"),
    (NAMED, {"dataframe_records": [RECORD | {"x y": 1e300}]}, "too large for float32"),
    (NAMED, {"dataframe_records": [RECORD | {"größe": None}]}, "null is no text"),
    (NAMED, {"dataframe_records": [RECORD], "other": 1}, "unknown field 'other'"),
    (NAMED, {"dataframe_records": [RECORD], "params": {"t": 1}}, "unknown param 't'"),
    (
        NAMED,
        {"inputs": {k: v if k == "n" else [v] for k, v in RECORD.items()}},
        "column 'n': 1 is no list",
    ),
    (PLACES, {"dataframe_records": [{"0": 1, "1": 2}, {"0": 1}]}, "row 1: an object has not"),
    (ONE, {"inputs": []}, "no rows"),
    (TENSORS, {"inputs": {"a": A, "b": B[:1]}}, "not the same number of rows"),
    (PLACES, {"inputs": [[1.5, 2.5, 3.5]]}, "a list of 3 is no list of 2 values"),
]


def ours(entries: list[dict[str, Any]], body: Any) -> Batch:
    schema = signature.read({"inputs": json.dumps(entries)})
    assert schema is not None
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Invocations(schema, 100).decode(content, JSON).batch


def theirs(entries: list[dict[str, Any]], body: Any) -> Any:
    """As `mlflow.pyfunc.scoring_server.invocations` does before it asks the model."""
    schema = TheirSchema.from_json(json.dumps(entries))
    split: Any = scoring_server._split_data_and_params
    data, _ = split(json.dumps(body))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _enforce_schema(scoring_server.infer_and_parse_data(data, schema), schema)


@pytest.mark.parametrize(("entries", "body"), READ, ids=[str(at) for at in range(len(READ))])
def test_bodies_are_read_as_mlflow_reads_them(entries: list[dict[str, Any]], body: Any) -> None:
    batch, other = ours(entries, body), theirs(entries, body)
    table = other if isinstance(other, dict | pd.DataFrame) else {"": other}
    named = [name for name in batch if name in table]  # it leaves out what is optional
    missing = [name for name in batch if name not in table and name not in ("", "0", "1")]
    assert not [value for name in missing for value in flat(batch[name]) if value is not None]
    assert rows(batch, named or list(batch)) == rows(table, named or list(table))


@pytest.mark.parametrize(("entries", "body"), REFUSED)
def test_what_mlflow_refuses_is_refused(entries: list[dict[str, Any]], body: Any) -> None:
    with pytest.raises(BadInput) as raised:
        ours(entries, body)
    assert raised.value.message
    with pytest.raises((MlflowException, ValueError)):
        theirs(entries, body)


@pytest.mark.parametrize(("entries", "body", "message"), STRICT)
def test_nothing_is_changed_or_left_out(
    entries: list[dict[str, Any]], body: Any, message: str
) -> None:
    with pytest.raises(BadInput) as raised:
        ours(entries, body)
    assert message in raised.value.message
    theirs(entries, body)


def test_objects_stay_objects() -> None:
    """MLflow's server makes them a table, which a DictVectorizer cannot read."""
    protocol = Invocations(Schema((Column("", "json"),)), 10)
    rows = [{"PU_DO": "43_151", "distance": 1.5}, {"PU_DO": "1_2"}]
    for body in ({"instances": rows}, {"inputs": rows}, {"dataframe_records": rows}):
        batch = protocol.decode(json.dumps(body).encode(), JSON).batch
        assert batch[""].tolist() == rows
    assert protocol.decode(json.dumps({"inputs": rows[0]}).encode(), JSON).batch.size == 1
    split = {"dataframe_split": {"columns": ["a", "b"], "data": [["x", 1]]}}
    assert protocol.decode(json.dumps(split).encode(), JSON).batch[""].tolist() == [
        {"a": "x", "b": 1}
    ]


def test_rows_by_place_where_only_the_model_knows_names() -> None:
    """Without a signature MLflow hands them to the model as they are."""
    columns = (Column("a", "float64"), Column("b", "float64"))
    body = json.dumps({"instances": A}).encode()
    batch = Invocations(Schema(columns, source="model"), 10).decode(body, JSON).batch
    assert batch.block().tolist() == A


def test_nan_as_python_writes_it_is_missing() -> None:
    missing = ours(NAMED, {"dataframe_records": [RECORD | {"maybe": np.nan}]})
    assert np.isnan(missing["maybe"][0])
    with pytest.raises(BadInput, match="column 'x y': null is no number"):
        ours(NAMED, {"dataframe_records": [RECORD | {"x y": np.nan}]})
    assert ours(ONE, {"inputs": [-np.inf]})["x"].tolist() == [-np.inf]
    for body in (b'{"inputs": [NaN]', b'{"a":' * 100_000 + b"NaN", b"NaN", b'["Infinity'):
        with pytest.raises(BadInput):
            ours(ONE, body)


def test_params() -> None:
    params = (Param("t", "float64", 0.5), Param("stop", "string", None, (-1,)))
    protocol = Invocations(Schema((Column("x", "float64"),), params=params), 10)

    def read(given: Any) -> dict[str, Any]:
        return protocol.decode(json.dumps({"inputs": [1], "params": given}).encode(), JSON).params

    assert read({"t": 1}) == {"t": 1.0, "stop": None}
    assert read({"stop": ["a"]}) == {"t": 0.5, "stop": ["a"]}
    assert read(None) == read({}) == {"t": 0.5, "stop": None}
    for wrong, message in (
        ({"t": "1"}, "param 't': '1' is no number"),
        ({"t": None}, "param 't': null is no number"),
        ({"stop": [1]}, "1 is no text"),
        ({"u": 1}, "unknown param 'u'; there are 't', 'stop'"),
        ([], "no object"),
    ):
        with pytest.raises(BadInput, match="param") as raised:
            read(wrong)
        assert message in raised.value.message


def test_predictions() -> None:
    protocol = Invocations(Schema((Column("x", "float64"),)), 10)
    one = Batch({"quality": np.array([1.5, np.nan])})
    assert protocol.encode(one) == b'{"predictions":[1.5,null]}'
    wide = Batch({"": np.array([[0.25, 0.75]])})
    assert protocol.encode(wide) == b'{"predictions":[[0.25,0.75]]}'
    several = Batch({"a": np.array([1]), "b": np.array(["x"])})
    assert protocol.encode(several) == b'{"predictions":[{"a":1,"b":"x"}]}'


def test_bodies_cut_or_changed_anywhere_are_read_or_refused() -> None:
    body = json.dumps({"dataframe_split": {"columns": NAMES, "data": ROWS}}).encode()
    for at in range(len(body)):
        for changed in (
            body[:at],
            body[:at] + b'"' + body[at + 1 :],
            body[:at] + b"[" + body[at:],
        ):
            try:
                ours(NAMED, changed)
            except BadInput:
                continue
