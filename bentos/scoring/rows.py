"""From the rows of a table to a version's answers, by the names in its signature."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, get_args

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import compute, types

from bentos.flavors.mlmodel import MLmodel
from bentos.scoring.tables import Unfit
from bentos.serving.release import Contract, Release

KINDS = {
    "double": pa.float64(),
    "float": pa.float64(),
    "long": pa.int64(),
    "integer": pa.int64(),
    "boolean": pa.bool_(),
    "string": pa.string(),
    "tensor": pa.list_(pa.float64()),
}
TENSOR = {"inputs": "row", "outputs": "answer"}  # what a tensor is called that has no name
INDEX = re.compile(r"__index_level_\d+__")  # a column that pandas writes for rows without names


class RowService(NamedTuple):
    """What a service does with the rows of its model, where it takes them as they are.

    A table gets what a call gets: the same checks before the model, the same rounding after it.
    `matrix` does what `run` does with rows that are nothing but numbers: (rows, inputs) to
    (rows, outputs).
    """

    contract: Contract
    row: type[msgspec.Struct]
    run: Callable[[Release, Sequence[Any]], Sequence[Any]]
    matrix: Callable[[Release, NDArray[np.float64]], NDArray[Any]] | None = None


def contract(model: str) -> Contract:
    """What a version of this model must take and give."""
    if service := _service(model):
        return service.contract
    from bentos.cripto.contracts import CONTRACTS

    return CONTRACTS.get(model, Contract(None, None))


@dataclass(frozen=True)
class Columns:
    """What a version takes from a table and adds to it, with MLflow's types."""

    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    keep: tuple[str, ...] = ()

    @classmethod
    def of(cls, mlmodel: MLmodel, keep: tuple[str, ...]) -> "Columns":
        """Those of a version, and the other columns of the table that go along."""
        inputs, outputs = (_signature(mlmodel, side) for side in ("inputs", "outputs"))
        if odd := sorted({*inputs, *outputs} & {*keep}) or sorted(inputs.keys() & outputs.keys()):
            raise Unfit(f"{odd} are columns of the model itself: leave them out of --keep")
        return cls(inputs, outputs, keep)

    def in_csv(self, model: str) -> dict[str, pa.DataType]:
        """How a CSV is read: a column that is kept stays text, as no type is known of it."""
        service = _service(model)
        fields = msgspec.structs.fields(service.row) if service else ()
        either = {field.name for field in fields if bool in get_args(field.type)}
        known = {name: KINDS[kind] for name, kind in self.inputs.items() if name not in either}
        return known | dict.fromkeys(self.keep, pa.string())

    def schema(self, table: pa.Schema) -> pa.Schema:
        """The scored table's. Raises Unfit for columns that are missing or foreign.

        The index that pandas wrote goes along.
        """
        outputs = [pa.field(name, KINDS[kind]) for name, kind in self.outputs.items()]
        return joined(table, dict.fromkeys(self.inputs, True), self.keep, outputs)

    def score(self, release: Release, batch: pa.RecordBatch) -> list[pa.Array]:
        """A column of answers for each output. Raises Unfit for values that it cannot take."""
        if not batch.num_rows:
            return [pa.array([], KINDS[kind]) for kind in self.outputs.values()]
        given = pa.record_batch({name: plain(batch[name]) for name in self.inputs})
        for name in given.schema.names:
            _check_finite(name, given[name])
        service = _service(release.version.name)
        answered = _called(service, release, given) if service else self._predicted(release, given)
        kinds = self.outputs.values()
        return [
            pa.array(values, KINDS[kind]) for values, kind in zip(answered, kinds, strict=True)
        ]

    def _predicted(self, release: Release, given: pa.RecordBatch) -> list[Any]:
        columns = [_values(name, kind, given[name]) for name, kind in self.inputs.items()]
        if "tensor" in self.inputs.values():
            rows = columns[0]
            if rows.shape[1:] != release.row_shape and -1 not in release.row_shape:
                raise Unfit(f"rows have the shape {rows.shape[1:]}, not {release.row_shape}")
        else:
            rows = np.column_stack(columns)
            rows = rows if rows.dtype == object else rows.astype(np.float64)
        answers = np.asarray(release.predict(rows))
        if "tensor" in self.outputs.values():
            return [answers.reshape(len(rows), -1).tolist()]
        return list(answers.reshape(len(rows), -1).T)


def joined(
    table: pa.Schema, inputs: Mapping[str, bool], keep: Sequence[str], outputs: Sequence[pa.Field]
) -> pa.Schema:
    """A table's columns and the answers; `inputs` says which of the model's columns must be there.

    Raises Unfit for columns that are missing or foreign. The index that pandas wrote goes along.
    """
    index = {name for name in table.names if INDEX.fullmatch(name)} - inputs.keys()
    wanted, found = {*inputs, *keep, *index}, set(table.names)
    if missing := sorted(name for name in wanted - found if inputs.get(name, True)):
        raise Unfit(f"the columns {missing} are missing; there are {table.names}")
    if foreign := sorted(found - wanted):
        raise Unfit(f"the model takes no columns {foreign}: drop them, or --keep them")
    if len(found) < len(table.names):
        raise Unfit(f"the columns {table.names} are not all different")
    return pa.schema([*table, *outputs], table.metadata)


def _called(service: RowService, release: Release, given: pa.RecordBatch) -> list[Any]:
    """What the service answers to these rows."""
    if service.matrix is not None and (numbers := _within(service.row, given)) is not None:
        return list(service.matrix(release, numbers).T)
    try:
        rows = msgspec.convert(given.to_pylist(), list[service.row])  # type: ignore[name-defined]
    except msgspec.ValidationError as error:
        raise Unfit(str(error)) from error
    answers = service.run(release, rows)
    return list(zip(*map(msgspec.structs.astuple, answers), strict=True))


def _within(row: type[msgspec.Struct], given: pa.RecordBatch) -> NDArray[np.float64] | None:
    """Rows of numbers, if all are within the bounds of the fields of a row."""
    columns = []
    for field in msgspec.structs.fields(row):
        kind, column = msgspec.inspect.type_info(field.type), given[field.encode_name]
        numeric = types.is_integer(column.type) or types.is_floating(column.type)
        if not isinstance(kind, msgspec.inspect.FloatType) or not numeric or column.null_count:
            return None
        if kind.gt is not None or kind.lt is not None:
            return None
        values = column.cast(pa.float64(), safe=False).to_numpy()
        low = -np.inf if kind.ge is None else kind.ge
        high = np.inf if kind.le is None else kind.le
        if not ((values >= low) & (values <= high)).all():  # its row says which
            return None
        columns.append(values)
    return np.column_stack(columns)


def _service(model: str) -> RowService | None:
    """That of the model's service, which is imported when it is asked for."""
    if model == "contugas-anomaly":
        from bentos.contugas import CONTRACT, Reading, judge, judged

        return RowService(CONTRACT, Reading, judge, judged)
    if model == "spotify-popularity":
        from bentos.spotify import CONTRACT as SPOTIFY
        from bentos.spotify import estimate
        from training.spotify.features import Song

        return RowService(SPOTIFY, Song, estimate)
    return None


def plain(column: pa.Array) -> pa.Array:
    """A column without its encoding: a category is its value, a decimal a number."""
    if types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if types.is_decimal(column.type) or types.is_float16(column.type):
        return column.cast(pa.float64())
    return column.cast(pa.string()) if types.is_string_view(column.type) else column


def _values(name: str, kind: str, column: pa.Array) -> NDArray[Any]:
    """A column as the model takes it: text as objects, and beside text numbers as they are.

    A model that knows the category 1 may know nothing of 1.0.
    """
    is_text = types.is_string(column.type) or types.is_large_string(column.type)
    if is_text != (kind == "string"):
        raise Unfit(f"the column {name!r} is {column.type}, not {kind}")
    if kind != "tensor" and column.null_count:
        raise Unfit(f"the column {name!r} has {column.null_count} nulls in a batch")
    if is_text:
        return np.asarray(column.to_pylist(), dtype=object)
    try:
        if kind != "tensor":
            column.cast(pa.float64())  # refuses whole numbers that no float64 can hold
            counted = kind == "boolean" and not types.is_boolean(column.type)
            return np.asarray(column.cast(pa.float64() if counted else KINDS[kind]))
        rows = np.array(column.to_pylist(), dtype=np.float64)
    except (ValueError, TypeError, pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise Unfit(f"the column {name!r} is {column.type}, not {kind}: {error}") from error
    if not np.isfinite(rows).all():
        raise Unfit(f"the column {name!r} has no finite numbers in a batch")
    return rows


def _check_finite(name: str, column: pa.Array) -> None:
    """A call can bring no infinity, and a null only where its service takes one."""
    if types.is_floating(column.type) or types.is_integer(column.type):
        finite = compute.fill_null(compute.is_finite(column), False)
        if not compute.all(finite).as_py():
            row = compute.index(finite, False).as_py()
            raise Unfit(f"the column {name!r} has no finite number in row {row} of a batch")


def _signature(mlmodel: MLmodel, side: str) -> dict[str, str]:
    columns = mlmodel.columns(side) or []
    found = {
        str(column.get("name") or TENSOR[side]): str(column.get("type")) for column in columns
    }
    if not found or len(found) < len(columns) or not KINDS.keys() >= set(found.values()):
        raise Unfit(f"the signature's {side} {columns} cannot be columns: {sorted(KINDS)} can")
    return found
