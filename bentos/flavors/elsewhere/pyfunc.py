"""Asks a version as MLflow's own scoring server does, where its packages are: with code, apart.

`start.START_PYFUNC` starts it, in a sandbox. Nothing that it says is trusted by who asks.
"""

import os
import sys
from pathlib import Path
from shutil import copytree
from tempfile import mkdtemp
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bentos.flavors.elsewhere import wire
from bentos.tensors import Batch, Column, Schema
from bentos.tensors.schema import PREDICTION

Reply: TypeAlias = wire.Ready | wire.Answers | wire.Bad | wire.Failed
KNOWN: Any = wire.Load | wire.Ask


def main() -> None:
    """Serve who started this, until that is gone."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print is no answer
    opened = Pyfunc(Path(sys.argv[2]))
    while question := wire.read(sys.stdin.buffer, KNOWN):
        try:
            wire.write(answers, opened.reply(question))
        except Exception as error:  # of answers that are no numbers, texts or lists of them
            wire.write(answers, opened.failed(error))


class Pyfunc:
    """A version that is opened when it is asked to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.schema = Schema(())
        self.model: Any = None

    def reply(self, question: wire.Load | wire.Ask) -> Reply:
        """What a question is answered with."""
        try:
            if isinstance(question, wire.Load):
                return self._load(question.schema)
            return self._answers(Batch(wire.unpacked(question.rows)))
        except BaseException as error:
            return self.failed(error)

    def failed(self, error: BaseException) -> wire.Bad | wire.Failed:
        """What an error is answered with: it is of the rows, unless the version is not open."""
        said = f"{type(error).__name__}: {error}"
        is_row = self.model is not None and not isinstance(error, MemoryError)
        return wire.Bad(said, "", None) if is_row else wire.Failed(said)

    def _load(self, schema: Schema) -> wire.Ready:
        import mlflow.pyfunc

        self.schema = schema
        self.model = mlflow.pyfunc.load_model(str(plain(self.folder)))
        return wire.Ready()

    def _answers(self, rows: Batch) -> wire.Answers:
        found = self.model.predict(given(self.schema, rows))
        return wire.Answers(wire.packed(columns(found, self.schema, rows.size)))


def plain(folder: Path) -> Path:
    """The folder by a path in which MLflow finds nothing to unquote, as %20 is a space to it."""
    if "%" not in str(folder):
        return folder
    return Path(copytree(folder, Path(mkdtemp(), "version")))


def given(schema: Schema, rows: Batch) -> Any:
    """Rows as MLflow hands them on: a table, an array, arrays by name, or a list of one a row."""
    import pandas as pd

    single = schema.single
    if single is not None:
        return rows[""] if single.shape else list(pd.Series(exact(single, rows[""])))
    if any(column.shape for column in schema.inputs):
        return dict(rows)
    table = pd.DataFrame({c.name: exact(c, rows[c.name]) for c in schema.inputs})
    if schema.positional:
        table.columns = pd.RangeIndex(len(schema.inputs))
    return table


def exact(column: Column, values: NDArray[Any]) -> NDArray[Any]:
    """Values in the dtype of the schema, where none is missing."""
    if not column.nullable or column.dtype in ("string", "binary", "json", "datetime"):
        return values
    missing = [value is None or value != value for value in values.tolist()]
    return values if any(missing) else values.astype(column.dtype)


def columns(found: Any, schema: Schema, size: int) -> dict[str, NDArray[Any]]:
    """A model's answers to so many rows by the names of the schema, or their own."""
    names = [column.name for column in schema.outputs]
    made = _named(found, size)
    if made is not None:
        known = set(made) == set(names) or len(made) != len(names)
        return made if known else dict(zip(names, made.values(), strict=True))
    values = _array(found, size)
    if values.ndim == 2 and len(names) == values.shape[1] > 1:
        return dict(zip(names, values.T, strict=True))
    flat = values.ndim == 2 and values.shape[1] == 1 and schema.outputs[:1] and not (
        schema.outputs[0].shape
    )  # fmt: skip
    name = names[0] if len(names) == 1 and names[0] else PREDICTION
    return {name: values[:, 0] if flat else values}


def _named(found: Any, size: int) -> dict[str, NDArray[Any]] | None:
    """The columns of a table, or of arrays by name."""
    if hasattr(found, "columns") and hasattr(found, "to_numpy"):
        return {str(name): _array(found[name], size) for name in found.columns}
    if isinstance(found, dict) and found and all(map(_is_list, found.values())):
        made = {str(name): _array(values, size) for name, values in found.items()}
        return made if {len(values) for values in made.values()} == {size} else None
    return None


def _is_list(value: Any) -> bool:
    return isinstance(value, list | np.ndarray)


def _array(values: Any, size: int) -> NDArray[Any]:
    """One value a row, as an array of numbers, times or objects."""
    if isinstance(values, dict | str) or not hasattr(values, "__len__"):
        values = [values]  # of models that give one answer to one row
    try:
        made = np.empty(0, object) if _holds_texts(values) else np.asarray(values)
    except ValueError:
        made = np.empty(0, object)
    if made.dtype.kind in "biufMm" and made.ndim and len(made) == size:
        return made
    held = values.tolist() if hasattr(values, "tolist") else list(values)
    objects = np.empty(len(held), object)
    objects[:] = [one.model_dump() if hasattr(one, "model_dump") else one for one in held]
    return objects


def _holds_texts(values: Any) -> bool:
    """Whether numpy would give each text the room of the longest."""
    return isinstance(values, list) and any(isinstance(one, str | bytes) for one in values)
