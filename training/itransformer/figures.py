"""Pictures of a training run."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from training.itransformer.calibration import Held
from training.itransformer.forecaster import Forecaster
from training.itransformer.frames import Series
from training.itransformer.recipe import Epoch

MOST_COLUMNS = 6
WINDOWS = 3


def forecasts(forecaster: Forecaster, series: Series, held_out: int) -> Figure:
    """Draw forecasts against the truth, first to last of the last `held_out` rows."""
    shape = forecaster.config.architecture
    rows = series.rows()
    starts = np.linspace(len(rows) - held_out, len(rows) - shape.pred_len, WINDOWS).astype(int)
    answers = forecaster.predict(np.stack([rows[at - shape.seq_len : at] for at in starts]))
    columns = series.columns[:MOST_COLUMNS]
    figure = Figure(figsize=(5 * WINDOWS, 2.2 * len(columns)), layout="constrained")
    grid = figure.subplots(len(columns), WINDOWS, squeeze=False)
    for column, line in enumerate(grid):
        line[0].set_ylabel(columns[column])
        for axes, at, answer in zip(line, starts, answers, strict=True):
            seen = np.arange(at - min(shape.seq_len, 2 * shape.pred_len), at + shape.pred_len)
            axes.plot(series.dates[seen], series.values[seen, column], label="truth")
            ahead = series.dates[at : at + shape.pred_len]
            axes.plot(ahead, answer[:, column], label="forecast")
            axes.axvline(series.dates[at], color="black", linewidth=0.5)
            axes.tick_params(axis="x", labelrotation=30, labelsize=7)
    grid[0][0].legend(loc="upper right")
    figure.suptitle("Forecasts of rows that the training never saw")
    return figure


def losses(epochs: Sequence[Epoch], naive: float) -> Figure:
    """Draw both losses by epoch, with what repeating the last value costs."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    numbers = [epoch.number for epoch in epochs]
    axes.plot(numbers, [epoch.train_loss for epoch in epochs], "o-", label="train")
    axes.plot(numbers, [epoch.val_loss for epoch in epochs], "o-", label="validation")
    axes.axhline(naive, color="grey", linestyle="--", label="validation, last value repeated")
    axes.set_xlabel("epoch")
    axes.set_ylabel("MSE, standardised")
    axes.legend(loc="upper right")
    return figure


def coverage(brings: Mapping[str, Sequence[Held]]) -> Figure:
    """Draw how often bands held against how often they should, and how wide they were for that."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot([0.4, 1], [0.4, 1], color="grey", linewidth=0.8, label="what was asked for")
    for what, found in brings.items():
        covered = [held.covered for held in found]
        left.plot([held.level for held in found], covered, "o-", label=what)
        right.plot(covered, [held.width for held in found], "o-", label=what)
    left.set_xlabel("interval")
    left.set_ylabel("share of the true values within")
    right.set_xlabel("share of the true values within")
    right.set_ylabel("mean width, standardised")
    left.legend(title="a call brings")
    return figure
