"""Bodies for MLflow's scoring server and for ours, which both answer alike."""

import json
from typing import Any, NamedTuple

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


def one_row(**other: Any) -> dict[str, Any]:
    """One row of the table, changed."""
    return {"dataframe_records": [ROW | other]}


ROW = {"rooms": 3, "size": 50.0, "city": "Rosario", "garden": True, "floor": 1.0}
NAMES = list(ROW)
LISTS = [list(ROW.values()), [2, 80.5, "Córdoba", False, None]]
ROWS = [dict(zip(NAMES, values, strict=True)) for values in LISTS]
TABLE = "rooms,size,city,garden,floor\n3,50,Rosario,True,1\n2,80.5,Córdoba,False,\n"
PAIRS = [[1.5, 2], [3, 4.5]]
HOME = {"rooms": 2, "size": 50.0}
RECORDS = json.dumps({"dataframe_records": ROWS})


def split(columns: Any = NAMES, data: Any = LISTS, **more: Any) -> dict[str, Any]:
    """Rows as a table of names and lists."""
    return {"dataframe_split": {"columns": columns, "data": data, **more}}


SAME: list[Sent] = [
    *_all(
        "table",
        split(),
        split(index=[7, 8]),
        split(NAMES[::-1], [row[::-1] for row in LISTS]),
        {"dataframe_records": ROWS},
        {"dataframe_records": ROWS, "params": {}},
        {"dataframe_records": ROWS, "params": None},
        {"instances": ROWS},
        {"inputs": ROWS},
        {"inputs": {name: [value] for name, value in ROW.items()}},
        {"instances": {name: [value] for name, value in ROW.items()}},
        {"inputs": ROW},
        one_row(rooms=2.0),
        one_row(size=50),
        one_row(city="Salta"),
        one_row(size=None),
        one_row(size=float("nan")),
        '{"dataframe_records": [{"rooms": 1, "rooms": 3, "size": 50, "city": "Rosario",'
        ' "garden": true, "floor": 1}]}',
        one_row(rooms="three"),
        one_row(rooms=2**70),
        one_row(floor=[1]),
        one_row(size=float("inf")),
        one_row(city=None),
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
        split(data=5),
        split(rows=1),
        split(index=[1]),
        split([*NAMES, "rooms"], [[*row, 1] for row in LISTS]),
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
        split(["x"], [[50]]),
        {"dataframe_split": {"data": [[50]]}},
        split(["y"], [[50]]),
        {"inputs": ["a"]},
        {"inputs": [None]},
    ),
    *_all("one", "x\n50\n", "y\n50\n", kind=CSV),
    *_all(
        "matrix",
        {"inputs": PAIRS},
        {"instances": PAIRS},
        split(["p", "q"], PAIRS),
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
        split([0, 1], PAIRS),
        split(["p", "q"], PAIRS),
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
