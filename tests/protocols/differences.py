"""Bodies that MLflow's scoring server and ours answer otherwise, by the lines of the table in
docs/protocols.md."""

import io
from collections.abc import Mapping

import pandas as pd

from tests.protocols.sent import (
    CSV,
    HOME,
    JSON,
    LISTS,
    NAMES,
    PAIRS,
    PARQUET,
    RECORDS,
    ROW,
    ROWS,
    TABLE,
    Sent,
    one_row,
    split,
)

TAXI = {"PU_DO": "1_1", "distance": 1.5}


def _parquet() -> bytes:
    file = io.BytesIO()
    pd.DataFrame([HOME]).to_parquet(file)
    return file.getvalue()


DIFFERENT: Mapping[str, list[Sent]] = {
    "a column, a field or a param that the model has not": [
        Sent("table", one_row(extra=1)),
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
        Sent("table", one_row(rooms=1.5)),
        Sent("table", one_row(rooms="3")),
        Sent("table", one_row(rooms=True)),
        Sent("table", one_row(rooms=1e300)),
        Sent("table", one_row(size="50")),
        Sent("table", one_row(city=1)),
        Sent("table", one_row(garden=1)),
        Sent("table", one_row(garden="true")),
        Sent("one", {"inputs": [True]}),
        Sent("matrix", {"inputs": [["1", "2"]]}),
        Sent("matrix", {"inputs": [[True, 1]]}),
    ],
    "a row with too few values": [
        Sent("table", split(data=[LISTS[0], LISTS[1][:2]])),
    ],
    "an optional column left out": [
        Sent("table", {"dataframe_records": [{k: v for k, v in ROW.items() if k != "floor"}]}),
    ],
    "null in a column that must be there, where the model takes missing values": [
        Sent("table", one_row(rooms=None)),
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
        Sent("texts", split(["bad"], [["good"], ["so good"]])),
        Sent("texts", {"dataframe_records": [{"bad": "good"}, {"bad": "so good"}]}),
        Sent("texts", "bad\ngood\nso good\n", CSV),
    ],
    "columns by their names, for a model without a signature": [
        Sent("bare", split(["size", "rooms"], [[50.0, 2]])),
        Sent("bare", {"inputs": [HOME]}),
        Sent("bare", {"instances": [HOME]}),
        Sent("bare", {"inputs": {"rooms": [2], "size": [50.0]}}),
    ],
    "objects for a `DictVectorizer`": [
        Sent("objects", {"instances": [TAXI]}),
        Sent("objects", {"inputs": [TAXI]}),
        Sent("objects", {"inputs": TAXI}),
        Sent("objects", {"dataframe_records": [TAXI]}),
        Sent("objects", split(["PU_DO", "distance"], [["1_1", 1.5]])),
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
        Sent("table", split(data=[])),
        Sent("table", TABLE.partition("\n")[0], CSV),
        Sent("one", {"inputs": []}),
        Sent("bare", {"inputs": []}),
        Sent("bare", {"dataframe_records": [{"rooms": 2}]}),
        Sent("bare", {"dataframe_records": [HOME | {"extra": 1}]}),
        Sent("bare", {"inputs": [[1, 2, 3]]}),
    ],
    "rows of another width or form, where MLflow's reader fails": [
        Sent("table", split(NAMES[1:])),
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
