"""Windows over one tensor of rows: views, of which a batch copies what it needs."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from training.errors import InputError
from training.itransformer.forecaster import Config, Floats
from training.itransformer.frames import Series
from training.itransformer.model import MARKS
from training.itransformer.settings import Architecture

ETT_ROWS = (8640, 2880, 2880)  # hourly: 12, 4 and 4 months of 30 days
VALIDATION, TEST = 0.1, 0.2  # of the rows beyond the least


@dataclass(frozen=True)
class Windows:
    """Every run of `seq_len + pred_len` rows of [rows, N + 4], by where it starts."""

    rows: Tensor
    seq_len: int
    pred_len: int

    def __len__(self) -> int:
        return len(self.rows) - self.seq_len - self.pred_len + 1

    def take(self, starts: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs [B, seq_len, N + 4] and targets [B, pred_len, N] of the windows at `starts`."""
        views = self.rows.unfold(0, self.seq_len + self.pred_len, 1)  # [windows, N + 4, steps]
        taken = views[starts].transpose(1, 2)
        return taken[:, : self.seq_len], taken[:, self.seq_len :, :-MARKS]


@dataclass(frozen=True)
class Scaler:
    """Mean and population standard deviation of each column."""

    mean: Floats
    scale: Floats

    @classmethod
    def of(cls, config: Config) -> "Scaler":
        """Give the one that a trained network is used to."""
        return cls(np.array(config.mean), np.array(config.scale))

    def rows(self, series: Series) -> Tensor:
        """Standardised values and marks: float32 [rows, N + 4]."""
        rows = series.rows()
        rows[:, :-MARKS] = (series.values - self.mean) / self.scale
        return torch.from_numpy(rows).float()


@dataclass(frozen=True)
class Split:
    """Windows to train on, to choose by, and to judge by; no target is in two of them."""

    scaler: Scaler
    train: Windows
    validation: Windows
    test: Windows


def sizes(series: Series, shape: Architecture) -> tuple[int, int, int]:
    """Rows to train on, to validate and to test, in this order.

    Raises `InputError` when there are too few for one window of each.
    """
    window = shape.seq_len + shape.pred_len
    least = window + 2 * shape.pred_len
    if len(series) < least:
        raise InputError(
            f"{series.source} has {len(series)} rows; training with seq_len {shape.seq_len} and "
            f"pred_len {shape.pred_len} needs at least {least}."
        )
    spare = len(series) - least
    validation, test = (shape.pred_len + int(part * spare) for part in (VALIDATION, TEST))
    return len(series) - validation - test, validation, test


def fit_scaler(series: Series, rows: int) -> Scaler:
    """Learn the scaler from the first rows. Raises `InputError` for a constant column."""
    values = series.values[:rows]
    with np.errstate(over="ignore", invalid="ignore"):
        scaler = Scaler(values.mean(axis=0), values.std(axis=0))
    for column, first, spread, scale in zip(
        series.columns, values[0], np.ptp(values, axis=0), scaler.scale, strict=True
    ):
        if spread == 0 or not 0 < scale < np.inf:
            what = (
                f"is constant ({first:g})" if spread == 0 else "spreads too widely or too little"
            )
            raise InputError(
                f"{series.source}: column {column} {what} in the {rows} rows to train on: "
                "leave it out."
            )
    return scaler


def split(
    series: Series, shape: Architecture, rows: tuple[int, int, int], scaler: Scaler | None = None
) -> Split:
    """Split consecutive rows; inputs of later parts reach `seq_len` rows back.

    Without a scaler, one is learned from the rows to train on.
    """
    scaler = scaler or fit_scaler(series, rows[0])
    scaled = scaler.rows(series)
    first, second, last = np.cumsum(rows).tolist()
    parts = (
        Windows(scaled[max(0, start - shape.seq_len) : end], shape.seq_len, shape.pred_len)
        for start, end in ((0, first), (first, second), (second, last))
    )
    return Split(scaler, *parts)
