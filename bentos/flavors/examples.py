"""The input example that MLflow stored beside a model, as columns.

It stores examples, too, of which it could infer no signature: dictionaries, categories, texts.
Format: https://mlflow.org/docs/latest/ml/model/signatures/#input-examples
"""

import json
from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bentos.flavors.carried import Carried, dtype_of, is_missing
from bentos.flavors.mlmodel import MLmodel
from bentos.refusal import Refusal
from bentos.tensors import Batch, Column, Schema

TENSORS = "tf-serving"
MOST_ROWS = 100
MOST_VALUES = 10_000_000  # of a sparse example


@dataclass(frozen=True)
class Example:
    """The rows of an example, with the columns that they show."""

    columns: tuple[Column, ...]
    values: Mapping[str, list[Any]]
    positional: bool = False

    def schema(self) -> Schema:
        """The columns as callers send them."""
        return Schema(self.columns, source="example", positional=self.positional)

    def suits(self, carried: Carried) -> bool:
        """Whether the model can take these columns."""
        if carried.form != "columns" or carried.own:
            return True
        single = self.columns[0] if len(self.columns) == 1 else None
        width = len(carried.columns)
        if single is not None and single.shape:
            return single.shape == (width,)
        names = {name.replace(" ", "_") for name in self.values} | self.values.keys()
        if carried.named and not self.positional:
            return {known.name for known in carried.columns if not known.unused} <= names
        return len(self.columns) == width

    def batch(self, schema: Schema, most: int = MOST_ROWS) -> Batch | None:
        """The first rows in the columns of a schema, or None where they do not fit."""
        try:
            named = self._named(schema)
            return Batch({c.name: array(named[c.name][:most], c) for c in schema.inputs})
        except (KeyError, TypeError, ValueError):
            return None

    def _named(self, schema: Schema) -> dict[str, list[Any]]:
        """The values by the schema's columns: those of their names, else those of their places."""
        lists = list(self.values.values())
        if set(schema.names) <= self.values.keys():
            return {name: self.values[name] for name in schema.names}
        if schema.single is not None and schema.single.shape:
            return {"": [list(row) for row in zip(*lists, strict=True)]}
        if schema.single is None and tuple(self.values) == ("",):
            return _apart(self.values[""], schema)
        return dict(zip(schema.names, lists, strict=True))


def _apart(rows: list[Any], schema: Schema) -> dict[str, list[Any]]:
    if rows and isinstance(rows[0], dict):
        return {name: [row.get(name) for row in rows] for name in schema.names}
    return dict(zip(schema.names, map(list, zip(*rows, strict=True)), strict=True))


def array(values: list[Any], column: Column) -> Any:
    """The array of a column, in which None is what its dtype has for missing."""
    wanted = column.numpy
    if wanted.kind == "O" and not column.shape:
        if column.dtype == "binary":
            values = [b64decode(value) if isinstance(value, str) else value for value in values]
        made = np.empty(len(values), dtype=object)
        made[:] = [None if is_missing(value) else value for value in values]
        return made
    if wanted.kind == "f":
        return np.array(values, dtype=np.float64).astype(wanted)
    return np.array(values).astype(wanted)


def read(mlmodel: MLmodel, carried: Carried | None) -> Example | None:
    """The stored example, in the form that the model takes; None where there is none."""
    info = mlmodel.content.get("saved_input_example_info")
    if not isinstance(info, dict):
        return None
    try:
        stored = json.loads(mlmodel.file(info.get("artifact_path")).read_bytes())
        if info.get("params") in ("true", True):
            stored = stored["inputs"]
        if info.get("format") == TENSORS and stored.keys() == {"inputs"}:
            stored = stored["inputs"]  # as clients of MLflow 2 write them
        return _read(stored, str(info.get("type")), carried)
    except (Refusal, AttributeError, KeyError, IndexError, TypeError, ValueError):
        return None  # it only helps


def _read(stored: Any, kind: str, carried: Carried | None) -> Example | None:
    if kind == "dataframe":
        if isinstance(stored, dict) and "columns" in stored:
            return _table(_columns(stored["columns"], stored["data"]))
        return _rows(stored["data"] if isinstance(stored, dict) else stored, carried)
    if kind.startswith("sparse"):
        return _rows(_dense(stored, kind), carried)
    if kind == "ndarray":
        return _tensors(stored) if isinstance(stored, dict) else _tensor(stored, carried)
    return _json(stored, carried)


def _json(stored: Any, carried: Carried | None) -> Example | None:
    objects = carried is not None and carried.form == "objects"
    if isinstance(stored, dict):
        lists = all(isinstance(value, list) for value in stored.values())
        if lists and not objects and len({len(value) for value in stored.values()}) == 1:
            return _table(stored)
        stored = [stored]
    if not isinstance(stored, list):
        stored = [stored]
    if stored and all(isinstance(row, dict) for row in stored):
        if objects:
            return Example((Column("", "json"),), {"": stored})
        names = dict.fromkeys(name for row in stored for name in row)
        return _table({name: [row.get(name) for row in stored] for name in names})
    return _rows(stored, carried)


def _rows(rows: list[Any], carried: Carried | None) -> Example | None:
    """Rows without names: lists of numbers, mixed lists, or single values."""
    if not rows:
        return None
    if not isinstance(rows[0], list):
        width = len(carried.columns) if carried else 1
        if width == len(rows) > 1:
            return _rows([rows], carried)
        return Example((_column("", rows),), {"": rows})
    flat = [value for row in rows for value in row]
    if any(isinstance(value, list) for value in flat) or dtype_of(
        [value for value in flat if not is_missing(value)]
    ) in ("int64", "float64"):
        return _tensor(rows, carried)
    columns = _columns(range(len(rows[0])), rows)
    return Example(
        tuple(_column(name, values) for name, values in columns.items()), columns, positional=True
    )


def _tensor(values: list[Any], carried: Carried | None) -> Example | None:
    if not values or not isinstance(values[0], list):
        return _rows(values, carried)
    return Example((_tensor_column("", values),), {"": values})


def _tensors(stored: Mapping[str, list[Any]]) -> Example:
    columns = tuple(_tensor_column(name, values) for name, values in stored.items())
    return Example(columns, stored)


def _tensor_column(name: str, values: list[Any]) -> Column:
    made = np.array(values)
    if made.dtype == object:
        made = np.array(values, dtype=np.float64)
    lacks = made.dtype.kind == "f" and bool(np.isnan(made).any())
    dtype = dtype_of(made.ravel()[:1].tolist())
    return Column(name, dtype, made.shape[1:], nullable=lacks)


def _table(columns: Mapping[str, list[Any]]) -> Example:
    made = tuple(_column(name, values) for name, values in columns.items())
    return Example(made, columns)


def _column(name: str, values: Sequence[Any]) -> Column:
    present = [value for value in values if not is_missing(value)]
    return Column(name, dtype_of(present), nullable=len(present) < len(values))


def _columns(names: Any, rows: list[list[Any]]) -> dict[str, list[Any]]:
    lists = zip(*rows, strict=True)
    return {str(name): list(values) for name, values in zip(names, lists, strict=True)}


def _dense(stored: Mapping[str, Any], kind: str) -> list[Any]:
    from scipy import sparse

    rows, columns = (int(size) for size in stored["shape"])
    if rows * columns > MOST_VALUES:
        raise ValueError("too many values")
    make = sparse.csr_matrix if kind.endswith("csr") else sparse.csc_matrix
    parts = (stored["data"], stored["indices"], stored["indptr"])
    made: list[Any] = make(parts, shape=(rows, columns)).toarray().tolist()
    return made
