"""How a model is trained, and what it answers by its library alone."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from benchmarks.notebook.rows import HOMES, NUMBERS, WORDS, fresh

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
    """A kind of model, trained with `train` and asked for `fresh` rows that nobody chose.

    `ready` makes of rows as callers send them what the library wants; `options` are for
    `log_model` alone.
    """

    name: str
    flavor: ModuleType
    fit: Fit
    train: Rows
    fresh: Rows
    ready: Callable[[Rows], Rows] = as_they_are
    ask: Callable[[Any, Rows], Any] = predictions
    options: Mapping[str, Any] = field(default_factory=dict)

    def answers(self, model: Any, given: Rows) -> Any:
        """The model's own answers, as an array; of one column its values."""
        made = np.asarray(self.ask(model, self.ready(given)))
        return made[:, 0] if made.ndim == 2 and made.shape[1] == 1 else made

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
    return Kind(name, flavor, fit, HOMES[list(columns)], fresh(columns, missing, unknown), **more)


def of_array(name: str, flavor: ModuleType, fit: Fit, dtype: Any, **more: Any) -> Kind:
    """A kind that is trained with an array of numbers."""
    train, given = HOMES[NUMBERS], fresh(NUMBERS)
    return Kind(name, flavor, fit, train.to_numpy(dtype), given.to_numpy(dtype), **more)


def categorical(given: pd.DataFrame) -> pd.DataFrame:
    """A table whose texts are pandas' categories of the training; others are missing."""
    known = {name: pd.CategoricalDtype(sorted(set(HOMES[name]))) for name in WORDS}
    return given.astype({name: known[name] for name in known.keys() & set(given)})
