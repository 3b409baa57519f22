"""From the rows of a table to the answers of a version that is asked by its schema."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa
from pyarrow import types

from bentos.protocols.arrow_columns import written_as
from bentos.protocols.arrow_stream import ArrowStream
from bentos.protocols.rows import Rows
from bentos.scoring.rows import INDEX, joined, plain
from bentos.scoring.tables import BATCH_ROWS, Unfit
from bentos.serving.release import Release
from bentos.tensors import BadInput, Column, Schema

CSV = {"bool": pa.bool_(), "string": pa.string(), "datetime": pa.string()}


@dataclass(frozen=True)
class SchemaColumns:
    """What such a version takes from a table and adds to it.

    Columns go by name. Where the model's have none, those of the table that are not kept count in
    their order.
    """

    asked: Schema
    outputs: Mapping[str, pa.DataType]
    keep: tuple[str, ...] = ()

    @classmethod
    def of(cls, release: Release, keep: tuple[str, ...]) -> "SchemaColumns":
        """Those of a version; what it adds is seen from its answer to its example."""
        if release.schema is None:
            raise TypeError(f"{release} has no schema")
        example = Rows(release.schema, 1).decode(release.example).batch
        outputs = {
            name or "prediction": pa.array(column.tolist()).type
            for name, column in release.predict(example).items()
        }
        names = set(release.schema.names) if _is_named(release.schema) else set()
        if odd := sorted({*names, *outputs} & {*keep}) or sorted(names & outputs.keys()):
            raise Unfit(f"{odd} are columns of the model itself: leave them out of --keep")
        return cls(release.schema, outputs, keep)

    def in_csv(self, model: str) -> dict[str, pa.DataType]:
        """How a CSV is read: a column that is kept stays text, as no type is known of it."""
        known = self.asked.inputs if _is_named(self.asked) else ()
        return {column.name: _in_csv(column) for column in known if not column.shape} | (
            dict.fromkeys(self.keep, pa.string())
        )

    def schema(self, table: pa.Schema) -> pa.Schema:
        """The scored table's. Raises Unfit for columns that are missing or foreign."""
        outputs = [pa.field(name, kind) for name, kind in self.outputs.items()]
        if _is_named(self.asked):
            wanted = {column.name: column.required for column in self.asked.inputs}
            return joined(table, wanted, self.keep, outputs)
        own = list(self._own(table.names))
        whole = len(own) == 1 and types.is_nested(table.field(own[0]).type)
        if not whole and self._width not in (len(own), -1):
            raise Unfit(f"the model takes {self._width} columns, and there are {own}")
        return joined(table, dict.fromkeys(own, True), self.keep, outputs)

    def score(self, release: Release, batch: pa.RecordBatch) -> list[pa.Array]:
        """A column of answers for each output. Raises Unfit for values that it cannot take."""
        if not batch.num_rows:
            return [pa.array([], kind) for kind in self.outputs.values()]
        try:
            asked = ArrowStream(self.asked, BATCH_ROWS).batch(self._given(batch))
            answers = release.predict(asked)
            made = [written_as(name, column) for name, column in answers.items()]
        except BadInput as error:
            raise Unfit(f"{error} (rows count from 0 in each piece of {BATCH_ROWS})") from error
        columns = zip(made, self.outputs.values(), strict=True)
        return [column.cast(kind) for column, kind in columns]

    @property
    def _width(self) -> int:
        """How many columns of a table make a row, where they have no names; -1: any number.

        A row that is one list may be a column of lists, too.
        """
        single = self.asked.single
        if single is None:
            return len(self.asked.inputs)
        return single.shape[0] if len(single.shape) == 1 else 1

    def _given(self, batch: pa.RecordBatch) -> pa.Table:
        """The model's columns."""
        return pa.table({name: plain(batch[name]) for name in self._own(batch.schema.names)})

    def _own(self, names: list[str]) -> Iterator[str]:
        """The model's columns among those of a table."""
        known = set(self.asked.names) if _is_named(self.asked) else set(names)
        for name in names:
            if name in known and name not in self.keep and not INDEX.fullmatch(name):
                yield name


def _is_named(schema: Schema) -> bool:
    return schema.single is None and not schema.positional


def _in_csv(column: Column) -> pa.DataType:
    whole = column.dtype.startswith(("int", "uint"))
    return CSV.get(column.dtype, pa.int64() if whole else pa.float64())
