"""The rows that the example learns from, made or given, in parts."""

import logging
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from training.data import Dataset, numbers, synthetic_dataset
from training.errors import InputError
from training.keras_api.settings import Settings, Synthetic

INPUTS = tuple(f"x{number}" for number in range(10))
OUTPUT = "y"
COLUMNS = (*INPUTS, OUTPUT)
LEAST_ROWS = 50

Floats = NDArray[np.float64]
log = logging.getLogger("training")


@dataclass(frozen=True)
class Part:
    """X [rows, 10] and y [rows, 1], in the units of the table."""

    X: Floats
    y: Floats


@dataclass(frozen=True)
class Parts:
    """What is learned from, what is watched meanwhile, and what is measured on."""

    train: Part
    validation: Part
    test: Part
    dropped: int


def synthetic(size: Synthetic) -> Dataset:
    """Make rows with y = 2 x0 + 3 x1 + x2^2 - 0.5 x3, and a noise of deviation 0.1."""
    rng = np.random.default_rng(size.seed)
    X = rng.standard_normal((size.rows, len(INPUTS)))
    noise = 0.1 * rng.standard_normal(size.rows)
    y = 2 * X[:, 0] + 3 * X[:, 1] + X[:, 2] ** 2 - 0.5 * X[:, 3] + noise
    table = pd.DataFrame(X, columns=list(INPUTS)).assign(**{OUTPUT: y})
    return synthetic_dataset("keras_api", size.seed, table)


def split(dataset: Dataset, settings: Settings) -> Parts:
    """Drop rows with a gap and split the rest at random.

    Raises `InputError` for a column that is no number, or too few rows left.
    """
    values = np.column_stack([numbers(dataset, column) for column in COLUMNS])
    kept = values[np.isfinite(values).all(axis=1)]
    dropped = len(values) - len(kept)
    if len(kept) < LEAST_ROWS:
        raise InputError(
            f"{dataset.source}: {len(kept)} of {len(values)} rows are complete; give at least "
            f"{LEAST_ROWS}."
        )
    if dropped:
        log.warning("Dropped %d of %d rows: a value is missing or infinite.", dropped, len(values))
    seed = settings.random_state
    rest, test = train_test_split(kept, test_size=settings.test_part, random_state=seed)
    train, validation = train_test_split(
        rest, test_size=settings.validation_part, random_state=seed
    )
    return Parts(part(train), part(validation), part(test), dropped)


def part(values: Floats) -> Part:
    """Take the last column of a table as what is to be predicted."""
    return Part(values[:, :-1], values[:, -1:])
