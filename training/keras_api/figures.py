"""Pictures of a training run."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure


def loss_curves(losses: Mapping[str, Sequence[float]]) -> Figure:
    """Draw each loss after each epoch."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for name, values in losses.items():
        axes.plot(range(1, len(values) + 1), values, label=name)
    axes.set_xlabel("epoch")
    axes.set_ylabel("mean squared error, scaled units")
    axes.set_yscale("log")
    axes.legend(loc="upper right")
    return figure
