"""Tables and tensors as other servers' clients send them: with names, or without."""

from collections.abc import Mapping, Sequence
from typing import Any

from bentos.protocols.elements import show
from bentos.protocols.table import Table
from bentos.tensors import BadInput, Batch, Mismatch


class Frames:
    """Makes batches of what came as a frame, or as the values of a tensor.

    A model of unnamed columns takes a frame by position, whatever its columns are called: it
    knows no names that could be compared.
    """

    def __init__(self, table: Table) -> None:
        self._table = table
        self._schema = table.schema
        self._single = table.schema.single
        self._named = self._single is None and not table.schema.positional

    def of_lists(self, names: Sequence[str] | None, rows: Sequence[Any]) -> Batch:
        """Rows as lists of values in the order of `names`. Raises BadInput."""
        if names is None and self._named:
            raise Mismatch(f"the rows have no column names; {self._schema.known()}")
        self._table.sized(len(rows))
        if names is not None:
            self._table.same_width(rows, len(names))
            if twice := next((name for name in names if names.count(name) > 1), None):
                raise Mismatch(f"the column {show(twice)} is there twice", twice)
        if self._single is not None:
            return self._table.of_columns({"": [self._value(names, row) for row in rows]})
        if names is None or not self._named or tuple(names) == self._schema.names:
            return self._table.of_lists(rows)
        columns = zip(names, zip(*rows, strict=True), strict=True)
        return self._table.of_columns(dict(columns))

    def of_objects(self, rows: Sequence[Any]) -> Batch:
        """Rows as objects of columns. Raises BadInput."""
        self._table.sized(len(rows))
        if self._named:
            return self._table.of_objects(rows, many=True)
        if self._single is not None and self._single.dtype == "json":
            return self._table.of_columns({"": rows})
        first = rows[0]
        for at, row in enumerate(rows):
            if not isinstance(row, dict) or row.keys() != first.keys():
                message = f"row {at}: {show(row)} has not the columns of row 0"
                raise BadInput(message, row=at)
        return self.of_lists(list(first), [[row[name] for name in first] for row in rows])

    def of_columns(self, columns: Mapping[str, Any]) -> Batch:
        """Columns as lists; if none is a list, they are one row. Raises BadInput."""
        if not self._named:
            raise BadInput("this model's columns have no names: send rows as lists")
        described = any(column.dtype == "json" for column in self._schema.inputs)
        if described or not any(isinstance(values, list) for values in columns.values()):
            return self._table.of_objects([columns], many=False)
        for name, values in columns.items():
            if not isinstance(values, list):
                raise BadInput(f"column {show(name)}: {show(values)} is no list", name)
        return self._table.of_columns(columns)

    def of_values(self, values: Sequence[Any]) -> Batch:
        """One value a row: for one column itself, for several a list. Raises BadInput."""
        self._table.sized(len(values))
        inputs = self._schema.inputs
        if len(inputs) == 1 and not self._schema.positional:
            if inputs[0].shape == () and inputs[0].dtype != "json":
                values = [_unwrapped(value) for value in values]
            return self._table.of_columns({inputs[0].name: values})
        if self._named and self._schema.source == "signature":
            known = self._schema.known()
            raise Mismatch(f"{show(values[0])} is no object of columns; {known}", row=0)
        return self._table.of_lists(values)

    def _value(self, names: Sequence[str] | None, row: list[Any]) -> Any:
        """A row of a frame, as the one input that the model has."""
        column = self._table.readers[0].spec
        if column.dtype == "json" and names is not None:
            kind = column.spec["type"] if column.spec else "object"
            if kind in ("object", "map"):
                return dict(zip(names, row, strict=True))
        scalar = column.shape == () and column.dtype != "json"
        return _unwrapped(row) if scalar or _lies_inside(row) else row


def _unwrapped(value: Any) -> Any:
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _lies_inside(row: Any) -> bool:
    """Whether a row is one cell that holds a list."""
    return isinstance(row, list) and len(row) == 1 and isinstance(row[0], list)
