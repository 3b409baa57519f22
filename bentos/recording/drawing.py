"""Pictures of reports, by matplotlib, as PNG."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from bentos.recording.comparing import Column, Report
from bentos.recording.truth import Day
from bentos.tensors.batch import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DOTS = 100  # an inch
MOST_COLUMNS = 4
MOST_POINTS = 5000


def replay(report: Report, numbers: Mapping[str, tuple[Array, Array]]) -> bytes:
    """A report: a table of confusion for each column of labels, points for one of numbers."""
    names = list(report.columns)[:MOST_COLUMNS]
    figure, axes = _figure(len(names))
    figure.suptitle(
        f"{_short(report.model)} {report.version} against {report.against}\n"
        f"{report.differing} of {report.rows} rows differ ({report.share:.1%})",
        fontsize=11,
    )
    for axis, name in zip(axes, names, strict=True):
        column = report.columns[name]
        if column.labels:
            _confusion(axis, column)
        else:
            _points(axis, *numbers[name])
        axis.set_title(f"{name}: {column.differing} differ", fontsize=10)
        axis.set_xlabel(f"version {report.version}")
        axis.set_ylabel(f"before ({report.against})")
    return _png(figure)


def truth(days: Sequence[Day], model: str) -> bytes:
    """Metrics by day: a line for each version."""
    metrics = sorted({name for day in days for name in day.metrics})
    dates = sorted({day.day for day in days})
    figure, axes = _figure(len(metrics))
    figure.suptitle(f"{_short(model)}: answers held against the truth", fontsize=11)
    for axis, metric in zip(axes, metrics, strict=True):
        for version in sorted({day.version for day in days}, key=_by_number):
            own = [day for day in days if day.version == version and metric in day.metrics]
            places = [dates.index(day.day) for day in own]
            axis.plot(
                places,
                [day.metrics[metric] for day in own],
                marker="o",
                label=f"version {version}",
            )
        axis.set_xticks(range(len(dates)), dates, rotation=45, ha="right", fontsize=8)
        axis.set_title(metric, fontsize=10)
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    return _png(figure)


def _short(text: str, most: int = 30) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _by_number(version: str) -> tuple[int, str]:
    return int(version) if version.isdecimal() else 0, version


def _figure(count: int) -> "tuple[Figure, Sequence[Axes]]":
    from matplotlib.figure import Figure  # no pyplot: it would look for a screen

    figure = Figure(figsize=(max(1, count) * 4.6, 4.4), dpi=DOTS, layout="constrained")
    return figure, figure.subplots(1, count, squeeze=False)[0] if count else []


def _confusion(axis: "Axes", column: Column) -> None:
    labels = sorted({label for pair in column.labels for label in pair[:2]}, key=_by_number)
    counts = np.zeros((len(labels), len(labels)))
    for before, after, rows in column.labels:
        counts[labels.index(before), labels.index(after)] += rows
    whole = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, whole, out=np.zeros_like(counts), where=whole > 0)
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    short = [_short(label, 14) for label in labels]
    axis.set_xticks(range(len(labels)), short, rotation=45, ha="right")
    axis.set_yticks(range(len(labels)), short)
    for (row, place), count in np.ndenumerate(counts):
        if count:
            colour = "white" if shares[row, place] > 0.5 else "black"
            axis.text(place, row, f"{count:.0f}", ha="center", va="center", color=colour)


def _points(axis: "Axes", before: Array, after: Array) -> None:
    fit = np.isfinite(before) & np.isfinite(after)
    before, after = before[fit], after[fit]
    if len(before) > MOST_POINTS:  # evenly, so that the same rows make the same picture
        places = np.linspace(0, len(before) - 1, MOST_POINTS).astype(int)
        before, after = before[places], after[places]
    axis.scatter(after, before, s=8, alpha=0.4)
    if len(before):
        low, high = min(before.min(), after.min()), max(before.max(), after.max())
        axis.plot([low, high], [low, high], color="grey", linewidth=1)


def _png(figure: Any) -> bytes:
    buffer = BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
