"""How a batch becomes what a model itself takes: a table, a matrix, texts, or objects.

A model that was fitted to a table with names gets one again, with the dtypes that it had there.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bentos.flavors.carried import Carried, is_missing
from bentos.flavors.schemas import MEND
from bentos.refusal import Refusal
from bentos.tensors import BadInput, Batch, Column, Schema

LIBRARIES = frozenset({"sklearn", "catboost", "xgboost", "lightgbm", "training"})


class Texts:
    """The one text of each row."""

    def __init__(self, schema: Schema) -> None:
        if len(schema.inputs) != 1 or schema.inputs[0].shape not in ((), (1,)):
            raise Refusal("schema", f"the model takes one text a row, and {schema.known()}")
        self._name = schema.names[0]

    def __call__(self, batch: Batch) -> list[str]:
        """The texts. Raises BadInput for a value that is none."""
        texts: list[str] = batch[self._name].ravel().tolist()
        for row, value in enumerate(texts):
            if not isinstance(value, str):
                label = self._name or "the input"
                raise BadInput(f"{label} is {value!r}, which is no text", self._name, row)
        return texts


class Objects:
    """A dictionary of each row, without what is missing."""

    def __init__(self, schema: Schema) -> None:
        self._single = schema.single is not None

    def __call__(self, batch: Batch) -> list[dict[str, Any]]:
        """The dictionaries. Raises BadInput for what is none, or that the model cannot read."""
        if not self._single:
            names = batch.names
            rows = zip(*(column.tolist() for column in batch.values()), strict=True)
            return [
                {n: v for n, v in zip(names, row, strict=True) if not is_missing(v)}
                for row in rows
            ]
        objects: list[dict[str, Any]] = batch[""].tolist()
        for row, value in enumerate(objects):
            _check_object(row, value)
        return objects


def _check_object(row: int, value: Any) -> None:
    if not isinstance(value, dict):
        raise BadInput(f"the input is {value!r}, which is no object", "", row)
    for name, held in value.items():
        several = held if isinstance(held, list) else [held]
        plain = (str,) if isinstance(held, list) else (str, int, float, type(None))
        if not all(isinstance(one, plain) for one in several):
            known = "the model takes texts, numbers, and lists of texts"
            raise BadInput(f"{name} is {held!r}; {known}", str(name), row)


class Matrix:
    """All columns as one array: of numbers or of dates, or of objects where these are mixed."""

    def __init__(self, schema: Schema) -> None:
        self._columns = schema.inputs
        kinds = {c.numpy.kind for c in schema.inputs if not c.shape}
        self._mixed = "O" in kinds or {"M"} < kinds

    def __call__(self, batch: Batch) -> NDArray[Any]:
        """The array (rows, columns)."""
        if not self._mixed:
            return np.asarray(batch.block())
        rows = np.empty((batch.size, len(self._columns)), dtype=object)
        for at, column in enumerate(self._columns):
            rows[:, at] = as_fitted(column, batch[column.name])
        return rows


class PandasTable:
    """A pandas table under the names that the model was fitted with."""

    def __init__(
        self,
        schema: Schema,
        names: Sequence[str],
        categories: Mapping[str, Sequence[Any]] | None = None,
        strangers: bool = True,
    ) -> None:
        self._names = list(names)
        self._single = schema.single is not None and bool(schema.single.shape)
        self._columns = schema.inputs if self._single else _in_order(schema, self._names)
        if not self._single:
            _refuse_wide(self._columns)
        self._categories = dict(categories or {})
        self._strangers = strangers

    def __call__(self, batch: Batch) -> pd.DataFrame:
        """The table. Raises BadInput for a category that the model refuses."""
        if self._single and not self._categories:
            return pd.DataFrame(batch.block(), columns=self._names)
        made: dict[str, Any] = {}
        for at, name in enumerate(self._names):
            column = self._columns[0 if self._single else at]
            values = batch.block()[:, at] if self._single else batch[column.name]
            known = self._categories.get(name)
            if known is None:
                made[name] = as_fitted(column, values)
            else:
                made[name] = self._categorical(column.name or name, known, values)
        return pd.DataFrame(made)

    def _categorical(
        self, name: str, known: Sequence[Any], values: NDArray[Any]
    ) -> "pd.Categorical[Any]":
        places = {value: at for at, value in enumerate(known)}
        codes = []
        for row, value in enumerate(values.tolist()):
            code = -1 if is_missing(value) else places.get(value, -2)
            if code == -2 and not self._strangers:
                raise unknown(name, value, known, row)
            codes.append(max(code, -1))
        return pd.Categorical.from_codes(codes, categories=pd.Index(list(known)))


def _refuse_wide(columns: Sequence[Column]) -> None:
    """A table has one value a row and column. Raises Refusal for tensors of other shapes."""
    for column in columns:
        if column.shape:
            shape = [-1, *column.shape]
            said = f"the tensor {column.name!r} is {shape}, and the model takes one value a row: "
            raise Refusal("schema", f"{said}{MEND}")


def _in_order(schema: Schema, names: Sequence[str]) -> tuple[Column, ...]:
    """A schema's columns in the model's order. Raises Refusal where the names are others."""
    by_name = {column.name: column for column in schema.inputs}
    if set(names) <= by_name.keys():
        return tuple(by_name[name] for name in names)
    spaceless = {column.name.replace(" ", "_"): column for column in schema.inputs}
    if set(names) <= spaceless.keys():  # as LightGBM writes them
        return tuple(spaceless[name] for name in names)
    if schema.positional and len(schema.inputs) == len(names):
        return schema.inputs
    missing = [name for name in names if name not in by_name]
    raise Refusal("schema", f"the model was fitted to the column {missing[0]!r}; {schema.known()}")


def as_fitted(column: Column, values: NDArray[Any]) -> NDArray[Any]:
    """Values as pandas gives them: NaN for a missing text, integers where none is missing."""
    if column.dtype in ("string", "bool") and values.dtype == object:
        lacks = np.array([value is None for value in values.tolist()], bool)
        if column.dtype == "bool" and not lacks.any():
            return values.astype(bool)
        return np.where(lacks, np.nan, values) if lacks.any() else values
    whole = np.dtype(column.numpy).kind == "f" and column.dtype.startswith(("int", "uint"))
    if whole and not np.isnan(values.astype(np.float64)).any():
        return values.astype(column.dtype)
    return values


def unknown(name: str, value: Any, known: Sequence[Any], row: int) -> BadInput:
    """The error for a value that is none of those that a model knows."""
    few = ", ".join(map(repr, known[:5]))
    more = f", and {len(known) - 5} more" if len(known) > 5 else ""
    return BadInput(
        f"{name} is {value!r}, which the model does not know; it knows {few}{more}", name, row
    )


def refuse_missing(schema: Schema, batch: Batch) -> None:
    """Raise BadInput for a missing value where there may be none."""
    for column in schema.inputs:
        if column.nullable or column.dtype == "json":
            continue
        values = batch[column.name]
        if values.dtype.kind == "O":
            lacks = np.array([is_missing(value) for value in values.ravel()]).reshape(values.shape)
        elif values.dtype.kind == "f":
            lacks = np.isnan(values)
        elif values.dtype.kind == "M":
            lacks = np.isnat(values)
        else:
            continue
        if lacks.any():
            row = int(np.argwhere(lacks)[0][0])
            raise BadInput(f"{column.name or 'the input'} may not be missing", column.name, row)


def entrance(model: Any, schema: Schema, carried: Carried | None) -> Any:
    """What makes a batch the input of a model like scikit-learn's."""
    if carried is not None and carried.form == "texts":
        return Texts(schema)
    if carried is not None and carried.form == "objects":
        return Objects(schema)
    names = getattr(model, "feature_names_in_", None)
    if names is None and _is_somebodys(model) and schema.single is None and not schema.positional:
        names = schema.names
    if names is None:
        return Matrix(schema)
    given = {column.name for column in schema.inputs}
    unused = {known.name for known in carried.columns if known.unused} if carried else set()
    return PandasTable(schema, [name for name in map(str, names) if name not in unused - given])


def _is_somebodys(model: Any) -> bool:
    """Whether what sees the columns first is a class of its author, which may want a table."""
    while steps := getattr(model, "steps", None):
        model = steps[0][1]
    return type(model).__module__.partition(".")[0] not in LIBRARIES
