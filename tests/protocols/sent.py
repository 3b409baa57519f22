"""Bodies for MLflow's scoring server and for ours: those answered alike, and those not."""

import io
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import pandas as pd

JSON, CSV, PARQUET = "application/json", "text/csv", "application/vnd.apache.parquet"


class Sent(NamedTuple):
    """A body for a model: JSON unless it is text or bytes already."""

    model: str
    body: Any
    kind: str = JSON

    @property
    def content(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return (self.body if isinstance(self.body, str) else json.dumps(self.body)).encode()


def _all(model: str, *bodies: Any, kind: str = JSON) -> list[Sent]:
    return [Sent(model, body, kind) for body in bodies]


def _one(**other: Any) -> dict[str, Any]:
    """One row of the table, changed."""
    return {"dataframe_records": [ROW | other]}


ROW = {"rooms": 3, "size": 50.0, "city": "Rosario", "garden": True, "floor": 1.0}
NAMES = list(ROW)
LISTS = [list(ROW.values()), [2, 80.5, "Córdoba", False, None]]
ROWS = [dict(zip(NAMES, values, strict=True)) for values in LISTS]
TABLE = "rooms,size,city,garden,floor\n3,50,Rosario,True,1\n2,80.5,Córdoba,False,\n"
PAIRS = [[1.5, 2], [3, 4.5]]
HOME = {"rooms": 2, "size": 50.0}
TAXI = {"PU_DO": "1_1", "distance": 1.5}
RECORDS = json.dumps({"dataframe_records": ROWS})


def _split(columns: Any = NAMES, data: Any = LISTS, **more: Any) -> dict[str, Any]:
    return {"dataframe_split": {"columns": columns, "data": data, **more}}


def _parquet() -> bytes:
    file = io.BytesIO()
    pd.DataFrame([HOME]).to_parquet(file)
    return file.getvalue()


SAME: list[Sent] = [
    *_all(
        "table",
        _split(),
        _split(index=[7, 8]),
        _split(NAMES[::-1], [row[::-1] for row in LISTS]),
        {"dataframe_records": ROWS},
        {"dataframe_records": ROWS, "params": {}},
        {"dataframe_records": ROWS, "params": None},
        {"instances": ROWS},
        {"inputs": ROWS},
        {"inputs": {name: [value] for name, value in ROW.items()}},
        {"instances": {name: [value] for name, value in ROW.items()}},
        {"inputs": ROW},
        _one(rooms=2.0),
        _one(size=50),
        _one(city="Salta"),
        _one(size=None),
        _one(size=float("nan")),
        '{"dataframe_records": [{"rooms": 1, "rooms": 3, "size": 50, "city": "Rosario",'
        ' "garden": true, "floor": 1}]}',
        _one(rooms="three"),
        _one(rooms=2**70),
        _one(floor=[1]),
        _one(size=float("inf")),
        _one(city=None),
        {"dataframe_records": [{"rooms": 1}]},
        {"dataframe_records": []},
        {"dataframe_records": [1]},
        {"dataframe_records": "x"},
        {"dataframe_records": None},
        {"dataframe_records": {"columns": NAMES, "data": LISTS}},
        {"dataframe_records": ROW},
        {"instances": []},
        {"dataframe_split": [ROW]},
        {"dataframe_split": {"columns": NAMES}},
        {"dataframe_split": {"data": LISTS}},
        _split(data=5),
        _split(rows=1),
        _split(index=[1]),
        _split([*NAMES, "rooms"], [[*row, 1] for row in LISTS]),
        {"inputs": [[1, 2]]},
        {"inputs": {name: [value] * (2 - (name == "rooms")) for name, value in ROW.items()}},
        1,
        "x",
        None,
        [ROW],
        {},
        {"columns": NAMES, "data": LISTS},
        {"dataframe_records": ROWS, "instances": ROWS},
        "",
        "{",
        b"\xff{}",
        RECORDS[:-3],
        RECORDS + "x",
    ),
    Sent("table", RECORDS, f"{JSON}; charset=utf-8"),
    Sent("table", RECORDS, f"{JSON};charset=UTF-8"),
    Sent("table", TABLE, f"{CSV}; charset=utf-8"),
    *_all(
        "table",
        TABLE,
        TABLE.replace("rooms", ",rooms", 1).replace("3,5", "0,3,5").replace("2,8", "1,2,8"),
        TABLE.replace("3,", "three,", 1),
        TABLE + "1,2\n",
        TABLE.encode("latin-1"),
        "rooms\n1\n",
        "a\n1\n",
        "{}",
        "",
        kind=CSV,
    ),
    *_all(
        "one",
        {"inputs": [50, 190.5]},
        {"instances": [50, 190]},
        {"instances": [{"x": 50}]},
        {"inputs": {"x": [50]}},
        {"inputs": {"x": 50}},
        _split(["x"], [[50]]),
        {"dataframe_split": {"data": [[50]]}},
        _split(["y"], [[50]]),
        {"inputs": ["a"]},
        {"inputs": [None]},
    ),
    *_all("one", "x\n50\n", "y\n50\n", kind=CSV),
    *_all(
        "matrix",
        {"inputs": PAIRS},
        {"instances": PAIRS},
        _split(["p", "q"], PAIRS),
        {"dataframe_split": {"data": PAIRS}},
        {"dataframe_records": [{"a": 1.0, "b": 2.0}]},
        {"inputs": [[1, 2]]},
        {"inputs": [[1, 2, 3]]},
        {"inputs": [1, 2]},
        {"inputs": 1},
        {"inputs": []},
        {"inputs": [[]]},
        {"inputs": [[[1, 2]]]},
        {"inputs": [["a", "b"]]},
        {"inputs": [[None, 1]]},
        {"inputs": {"a": PAIRS}},
        '{"inputs": [[1e400, 1]]}',
    ),
    *_all(
        "places",
        {"inputs": PAIRS},
        {"instances": PAIRS},
        _split([0, 1], PAIRS),
        _split(["p", "q"], PAIRS),
        {"dataframe_split": {"data": PAIRS}},
        {"dataframe_records": [{"0": 1.5, "1": 2.0}]},
        {"inputs": PAIRS, "params": {}},
        {"inputs": PAIRS, "params": {"t": 1}},
        {"inputs": PAIRS, "params": {"t": 1.5}},
        {"inputs": PAIRS, "params": {"t": "1"}},
        {"inputs": PAIRS, "params": {"t": [1]}},
        {"inputs": [[1.5], [2.5]]},
        {"inputs": {"a": [1.5], "b": [2.0]}},
    ),
    Sent("places", "0,1\n1.5,2\n", CSV),
    *_all(
        "bare",
        {"dataframe_records": [HOME]},
        {"instances": PAIRS},
        {"inputs": PAIRS},
        {"dataframe_records": [HOME | {"size": "x"}]},
        {"dataframe_records": [HOME | {"size": None}]},
        {"inputs": [["a", "b"]]},
    ),
    *_all("bare", "rooms,size\n2,50\n", "rooms,size\n2,x\n", kind=CSV),
    *_all("texts", {"inputs": [1]}, {"inputs": [None]}, {"inputs": {"text": ["good"]}}),
    *_all("objects", {"inputs": [1]}, {"inputs": {"PU_DO": [["1_1"]]}}),
]

DIFFERENT: Mapping[str, list[Sent]] = {
    "a column, a field or a param that the model has not": [
        Sent("table", _one(extra=1)),
        Sent("table", {"dataframe_records": ROWS, "other": 1}),
        Sent("table", {"dataframe_records": ROWS, "params": {"t": 1}}),
        Sent("places", {"inputs": [[1.5, 2, 3]]}),
        Sent("places", {"inputs": PAIRS, "params": {"u": 1}}),
        Sent("bare", {"dataframe_records": [HOME], "params": {"t": 1}}),
    ],
    "params that are no object, or null where a number is wanted": [
        Sent("table", {"dataframe_records": ROWS, "params": [1]}),
        Sent("table", {"dataframe_records": ROWS, "params": "x"}),
        Sent("places", {"inputs": PAIRS, "params": {"t": None}}),
    ],
    "a value of another type, or beyond its type": [
        Sent("table", _one(rooms=1.5)),
        Sent("table", _one(rooms="3")),
        Sent("table", _one(rooms=True)),
        Sent("table", _one(rooms=1e300)),
        Sent("table", _one(size="50")),
        Sent("table", _one(city=1)),
        Sent("table", _one(garden=1)),
        Sent("table", _one(garden="true")),
        Sent("one", {"inputs": [True]}),
        Sent("matrix", {"inputs": [["1", "2"]]}),
        Sent("matrix", {"inputs": [[True, 1]]}),
    ],
    "a row with too few values": [
        Sent("table", _split(data=[LISTS[0], LISTS[1][:2]])),
    ],
    "an optional column left out": [
        Sent("table", {"dataframe_records": [{k: v for k, v in ROW.items() if k != "floor"}]}),
    ],
    "null in a column that must be there, where the model takes missing values": [
        Sent("table", _one(rooms=None)),
    ],
    "the only column's values each in a list, or one alone": [
        Sent("one", {"instances": [[50], [190]]}),
        Sent("one", {"inputs": [[50], [190]]}),
        Sent("one", {"inputs": 50}),
        Sent("one", {"instances": [1, [2]]}),
    ],
    "CSV for a tensor": [Sent("matrix", "0,1\n1.5,2\n", CSV)],
    "texts for a model of texts": [
        Sent("texts", {"inputs": ["so good", "bad"]}),
        Sent("texts", {"instances": ["good"]}),
        Sent("texts", {"inputs": "good"}),
        Sent("texts", {"inputs": [["good"]]}),
        Sent("texts", {"dataframe_split": {"data": [["good"], ["bad"]]}}),
    ],
    "texts in a table, for a model of texts": [
        Sent("texts", _split(["bad"], [["good"], ["so good"]])),
        Sent("texts", {"dataframe_records": [{"bad": "good"}, {"bad": "so good"}]}),
        Sent("texts", "bad\ngood\nso good\n", CSV),
    ],
    "columns by their names, for a model without a signature": [
        Sent("bare", _split(["size", "rooms"], [[50.0, 2]])),
        Sent("bare", {"inputs": [HOME]}),
        Sent("bare", {"instances": [HOME]}),
        Sent("bare", {"inputs": {"rooms": [2], "size": [50.0]}}),
    ],
    "objects for a `DictVectorizer`": [
        Sent("objects", {"instances": [TAXI]}),
        Sent("objects", {"inputs": [TAXI]}),
        Sent("objects", {"inputs": TAXI}),
        Sent("objects", {"dataframe_records": [TAXI]}),
        Sent("objects", _split(["PU_DO", "distance"], [["1_1", 1.5]])),
    ],
    "an answer that is no number, or infinite": [Sent("matrix", {"inputs": [[1e308, 1e308]]})],
    "Parquet": [Sent("bare", _parquet(), PARQUET)],
    "a content type in capitals": [Sent("table", RECORDS, JSON.upper())],
    "another content type, or another encoding than UTF-8": [
        Sent("table", RECORDS, f"{JSON}; charset=latin-1"),
        Sent("table", RECORDS, f"{JSON}; charset"),
        Sent("table", RECORDS, f"{JSON}; x=1"),
        Sent("table", RECORDS, "text/plain"),
        Sent("table", RECORDS, ""),
        Sent("table", RECORDS, "multipart/form-data"),
    ],
    "JSON that is nested too deeply": [
        Sent("table", "[" * 100_000),
        Sent("table", '{"inputs": ' + "[" * 100_000),
    ],
    "more rows than `limits.rows_per_call`": [Sent("one", {"inputs": [50] * 10_001})],
    "a body larger than `limits.body_bytes`": [
        Sent("one", '{"inputs": [50]}' + " " * 4 * 1024 * 1024)
    ],
    "no rows, or other columns, where MLflow asks the model and it fails": [
        Sent("table", _split(data=[])),
        Sent("table", TABLE.partition("\n")[0], CSV),
        Sent("one", {"inputs": []}),
        Sent("bare", {"inputs": []}),
        Sent("bare", {"dataframe_records": [{"rooms": 2}]}),
        Sent("bare", {"dataframe_records": [HOME | {"extra": 1}]}),
        Sent("bare", {"inputs": [[1, 2, 3]]}),
    ],
    "rows of another width or form, where MLflow's reader fails": [
        Sent("table", _split(NAMES[1:])),
        Sent("table", {"instances": LISTS}),
        Sent("table", {"inputs": "x"}),
        Sent("table", '{"instances": [NaN]}'),
        Sent("matrix", {"inputs": [[1, 2], [3]]}),
    ],
    "several values for the only column; `messages` and other forms of a chat": [
        Sent("one", {"inputs": [[1, 2]]}),
        Sent("table", {"messages": [{"role": "user", "content": "x"}]}),
    ],
}
