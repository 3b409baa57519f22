"""Recorded calls of a model, the newest first, as many as are wanted and no more."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
from pyarrow import compute, parquet

from bentos.recording.calls import place
from bentos.recording.store import Store


def newest(store: Store, model: str, since: datetime, most: int) -> Iterator[pa.Table]:
    """The tables of a model since a time, the newest first, of `most` rows together.

    Raises StoreUnavailable, or pyarrow.ArrowInvalid where a file is none.
    """
    first_day = f"day={since.astimezone(UTC):%Y-%m-%d}"
    names = [name for name in store.names(place(model)) if name.split("/")[1] >= first_day]
    for name in sorted(names, reverse=True):
        if most <= 0:
            return
        with store.read(name) as file:
            table = parquet.read_table(file)
        late = compute.greater_equal(table["time"], pa.scalar(since, pa.timestamp("us", "UTC")))
        table = table.filter(late)
        table = table.slice(max(0, len(table) - most))
        most -= len(table)
        if len(table):
            yield table


def copied(tables: Iterator[pa.Table], folder: Path) -> int:
    """Write tables to a folder, in their order; give the number of their rows."""
    rows = 0
    folder.mkdir(parents=True, exist_ok=True)
    for at, table in enumerate(tables):
        parquet.write_table(table, folder / f"{at:06}.parquet")
        rows += len(table)
    return rows


def copies(folder: Path) -> Iterator[pa.Table]:
    """The tables that `copied` wrote."""
    for path in sorted(folder.glob("*.parquet")):
        yield parquet.read_table(path)
