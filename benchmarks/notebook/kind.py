"""How a model is trained, and what it answers by its library alone."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from benchmarks.notebook.rows import FRESH, HOMES, NUMBERS, WORDS, fresh

Rows: TypeAlias = Any  # a table, an array, or a list
Fit: TypeAlias = Callable[[Rows], Any]


def as_they_are(given: Rows) -> Rows:
    """Rows as a caller sends them."""
    return given


def predictions(model: Any, given: Rows) -> Any:
    """What most libraries answer."""
    return model.predict(given)


@dataclass(frozen=True)
class Kind:
    """A kind of model, trained with `train`; `draw` gives so many rows that nobody chose.

    `ready` makes of rows as callers send them what the library wants; `options` are for
    `log_model` alone.
    """

    name: str
    flavor: ModuleType
    fit: Fit
    train: Rows
    draw: Callable[[int], Rows]
    ready: Callable[[Rows], Rows] = as_they_are
    ask: Callable[[Any, Rows], Any] = predictions
    options: Mapping[str, Any] = field(default_factory=dict)

    def answers(self, model: Any, given: Rows) -> Any:
        """The model's own answers, as an array; of one column its values."""
        made = np.asarray(self.ask(model, self.ready(given)))
        return made[:, 0] if made.ndim == 2 and made.shape[1] == 1 else made

    @property
    def fresh(self) -> Rows:
        """The rows that a cell is asked for."""
        return self.draw(FRESH)

    @property
    def autolog(self) -> Callable[..., None] | None:
        """What logs each training, where MLflow has such for this flavor."""
        name = self.flavor.__name__.rpartition(".")[2]
        known = name in ("sklearn", "xgboost", "lightgbm", "keras")
        return self.flavor.autolog if known and not self.options else None


def of_table(
    name: str, flavor: ModuleType, fit: Fit, columns: Sequence[str],
    missing: Sequence[str] = (), unknown: Sequence[str] = (), **more: Any,
) -> Kind:  # fmt: skip
    """A kind that is trained with a table; fresh rows lack values, or have unknown words."""

    def draw(count: int) -> Rows:
        return fresh(columns, missing, unknown, count)

    return Kind(name, flavor, fit, HOMES[list(columns)], draw, **more)


def of_array(name: str, flavor: ModuleType, fit: Fit, dtype: Any, **more: Any) -> Kind:
    """A kind that is trained with an array of numbers."""
    train = HOMES[NUMBERS].to_numpy(dtype)

    def draw(count: int) -> Rows:
        return fresh(NUMBERS, count=count).to_numpy(dtype)

    return Kind(name, flavor, fit, train, draw, **more)


def categorical(given: pd.DataFrame) -> pd.DataFrame:
    """A table whose texts are pandas' categories of the training; others are missing."""
    known = {name: pd.CategoricalDtype(sorted(set(HOMES[name]))) for name in WORDS}
    return given.astype({name: known[name] for name in known.keys() & set(given)})
