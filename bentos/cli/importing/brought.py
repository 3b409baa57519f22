"""A model that somebody brought, ready to be tried on rows and registered."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from training.data import Dataset
from training.errors import InputError
from training.manifest import MOST_SAMPLES, Predict, Samples

MOST_ROWS = 10_000
FEWEST_ROWS = 8
MOST_KINDS = 16  # of answers that all are among the samples


@dataclass(frozen=True)
class Tried:
    """How many rows a model answered, and those that are kept as its samples."""

    rows: int
    samples: Samples


@dataclass(frozen=True)
class Brought:
    """What was made of the files. `sample` raises InputError where the rows do not fit.

    `text` names the columns of a table that the model takes as they are written.
    """

    what: str
    sample: Callable[[Dataset], Tried]
    save: Callable[[Path, Samples], None]
    load: Callable[[Path], Predict]
    libraries: tuple[str, ...]
    text: Callable[[Dataset], Sequence[str]] = lambda dataset: ()


def rows_of(dataset: Dataset, columns: Sequence[str], width: int) -> pd.DataFrame:
    """The columns that a model takes, of up to 10,000 rows without gaps. Raises InputError."""
    wanted = list(columns) or list(dataset.table.columns)
    table = dataset.table[found_in(dataset, columns, width)].set_axis(wanted, axis=1)
    rows = table.dropna().head(MOST_ROWS).reset_index(drop=True)
    if len(rows) < FEWEST_ROWS:
        raise InputError(
            f"{dataset.source} has {len(rows)} rows without gaps; {FEWEST_ROWS} are needed"
        )
    return rows


def found_in(dataset: Dataset, columns: Sequence[str], width: int) -> list[str]:
    """The names that a model's columns have in a table, whatever the case of their letters.

    A model that knows no names takes a table that has as many columns as it does. Raises
    InputError.
    """
    table = dataset.table
    if not columns and len(table.columns) != width:
        raise InputError(
            f"the model takes {width} columns and knows no names, and {dataset.source} has "
            f"{len(table.columns)}: name them with --columns"
        )
    known = {str(name).lower(): name for name in table.columns} | {n: n for n in table.columns}
    wanted = list(columns) or list(table.columns)
    found = [known.get(name, known.get(name.lower())) for name in wanted]
    if lacking := [name for name, column in zip(wanted, found, strict=True) if column is None]:
        has = ", ".join(map(str, table.columns))
        raise InputError(f"{dataset.source} has no column {', '.join(lacking)}; it has: {has}")
    return [column for column in found if column is not None]


def chosen(answers: NDArray[Any]) -> NDArray[np.intp]:
    """Up to 64 rows: of every kind of answer some, where there are few kinds."""
    flat = answers.reshape(len(answers), -1).astype(str)
    kinds, kind = np.unique(flat, axis=0, return_inverse=True)
    if len(kinds) > MOST_KINDS:
        return np.linspace(0, len(answers) - 1, min(MOST_SAMPLES, len(answers))).astype(np.intp)
    each = MOST_SAMPLES // len(kinds)
    return np.concatenate([np.flatnonzero(kind.ravel() == k)[:each] for k in range(len(kinds))])
