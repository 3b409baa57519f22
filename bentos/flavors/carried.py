"""What a fitted model itself carries of the columns that go into it.

Nearly every model does: names, widths, categories, and numbers near which it was trained.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from bentos.tensors import Column, Dtype, Schema

Form: TypeAlias = Literal["columns", "texts", "objects"]


@dataclass
class Known:
    """What a model knows of one column; `near` are numbers, words or dates of its training.

    An `unused` column was there at the training, and the model does not look at it.
    """

    name: str
    dtype: Dtype = "float64"
    shape: tuple[int, ...] = ()
    categories: tuple[Any, ...] | None = None
    near: list[Any] = field(default_factory=list)
    unused: bool = False

    def know(self, values: Sequence[Any]) -> None:
        """Note the column's categories, and the dtype that they have."""
        present = [value for value in values if not is_missing(value)]
        self.categories = tuple(present)
        self.dtype = dtype_of(present)

    def column(self) -> Column:
        """As a column of a schema."""
        if self.unused:
            return Column(self.name, "json", required=False, nullable=True)
        return Column(self.name, self.dtype, self.shape, categories=self.categories)


@dataclass(frozen=True)
class Carried:
    """The columns of a model: `named` by the training, or only numbered.

    A model of `texts` or of `objects` takes one of them a row. `own` says that the dtypes are the
    model's own, as those of a network, and not what was made of a table.
    """

    columns: tuple[Known, ...]
    named: bool = True
    form: Form = "columns"
    outputs: tuple[Column, ...] = ()
    own: bool = False

    def schema(self) -> Schema:
        """The columns as callers send them."""
        columns = tuple(known.column() for known in self.columns)
        if self.form != "columns" or self.named or self.own:
            return Schema(columns, self.outputs, source="model")
        if all(column.dtype == "float64" for column in columns):
            matrix = Column("", "float64", (len(columns),))
            return Schema((matrix,), self.outputs, source="model")
        return Schema(columns, self.outputs, source="model", positional=True)

    def of(self, name: str, at: int) -> Known | None:
        """What is known of a schema's column, by its name or else its place."""
        if self.form != "columns":
            return None
        for known in self.columns:
            if known.name in (name, name.replace(" ", "_")):  # LightGBM changes spaces
                return known
        return self.columns[at] if at < len(self.columns) and not self.named else None


def dtype_of(values: Sequence[Any]) -> Dtype:
    """The dtype that holds these values, of which none is missing."""
    kinds = {type(value) for value in values}
    if not kinds or kinds <= {int, float}:
        return "int64" if kinds == {int} else "float64"
    if kinds == {bool}:
        return "bool"
    return "string" if kinds == {str} else "json"


def is_missing(value: Any) -> bool:
    """Whether a value is None or NaN."""
    return value is None or (isinstance(value, float) and value != value)
