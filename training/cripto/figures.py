"""Pictures of a training run."""

import numpy as np
from matplotlib.figure import Figure

from training.cripto.evaluate import Examples, Walk

SMOOTHED = 30  # days


def predictions(given: Examples, walked: Walk, classify: bool) -> Figure:
    """Draw what was predicted over time, day by day, of the coin with most tested days."""
    tested = given.prices.iloc[walked.rows]
    symbol = tested["symbol"].value_counts().index[0]
    of_coin = (tested["symbol"] == symbol).to_numpy()
    days = tested["date"].to_numpy()[of_coin] + np.timedelta64(1, "D")
    predicted = walked.predictions[of_coin]
    figure = Figure(figsize=(12, 7), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    close = tested["close"].to_numpy()[of_coin]
    rows = walked.rows[of_coin]
    actual = close * (1 + given.returns[rows])
    above.plot(days, actual, label="close", color="black", linewidth=1)
    if classify:
        hits = (predicted > 0.5) == given.rises[rows]
        recent = np.convolve(hits, np.ones(SMOOTHED) / SMOOTHED, "valid")
        below.plot(days, predicted, label="probability of a rise", linewidth=0.7)
        below.plot(days[len(days) - len(recent) :], recent, label=f"hits, {SMOOTHED} days")
        below.axhline(0.5, color="grey", linewidth=0.5)
    else:
        above.plot(days, close * (1 + predicted), label="predicted the day before", linewidth=1)
        below.plot(days, 100 * given.returns[rows], label="return, %", color="grey", linewidth=0.5)
        below.plot(days, 100 * predicted, label="predicted, %", linewidth=1)
    for axes in (above, below):
        axes.legend(loc="upper left")
    above.set_title(f"{symbol}: each day predicted by a model trained on the days before its fold")
    return figure
