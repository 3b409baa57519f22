"""How far a trained network's forecasts are from the truth, and whether its bands keep that."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from training.itransformer.bands import (
    TINY,
    Bands,
    Floats,
    kept,
    recent_ends,
    spread,
    widening,
)
from training.itransformer.model import MARKS, ITransformer
from training.itransformer.recipe import batches
from training.itransformer.windows import Scaler, Split, Windows

LEVELS = (0.5, 0.8, 0.9, 0.95)
MOST_VALUES = 64_000_000  # errors at a time: 256 MB


@dataclass(frozen=True)
class Missed:
    """Of windows the `errors` [windows, pred_len, N], in the `spreads` [windows, N] of each.

    Both are of standardised values.
    """

    errors: NDArray[np.float32]
    spreads: Floats


@dataclass(frozen=True)
class Held:
    """The share of true values within the bands of a level, and how wide these are on average.

    The width is of standardised values.
    """

    level: float
    covered: float
    width: float


def calibrate(network: ITransformer, validation: Windows, scaler: Scaler) -> Bands:
    """Make bands of the errors of windows that the network did not learn from."""
    missed = measure(network, validation)
    errors = np.sort(missed.errors, axis=0)
    ranks = kept(len(errors), errors[0].size)
    return Bands(ranks, errors[ranks - 1], scaler.scale)


def coverage(
    bands: Bands, network: ITransformer, windows: Windows, levels: Sequence[float] = LEVELS
) -> list[Held]:
    """Try bands on windows; levels that they cannot tell of are left out."""
    missed = measure(network, windows)
    return [held(bands, missed, level) for level in levels if level <= bands.widest]


def coverage_of_late(
    bands: Bands, network: ITransformer, parts: Split, levels: Sequence[float] = LEVELS
) -> list[Held]:
    """Try bands on the test windows, as calls have them that bring earlier rows along, too."""
    seq_len, pred_len = parts.test.seq_len, parts.test.pred_len
    rows = torch.cat([parts.validation.rows, parts.test.rows[seq_len:]])
    missed = measure(network, Windows(rows, seq_len, pred_len))
    first = len(missed.errors) - len(parts.test)
    return [_of_late(bands, missed, first, level) for level in levels if level <= bands.widest]


def _of_late(bands: Bands, missed: Missed, first: int, level: float) -> Held:
    """Of the windows from the first on, each as wide as those before it say."""
    factors = np.maximum(bands.factors(level), TINY)
    shares = missed.errors / factors
    pred_len, covered, width = shares.shape[1], 0.0, 0.0
    for at in range(first, len(shares)):
        wider = widening(shares[recent_ends(at, 0, pred_len)], level)
        covered += float((shares[at] <= wider).mean())
        width += float((2 * wider * factors * missed.spreads[at]).mean())
    count = len(shares) - first
    return Held(level, covered / count, width / count)


def held(bands: Bands, missed: Missed, level: float) -> Held:
    """Whether the bands of a level hold what was missed."""
    most = bands.factors(level)
    covered = float((missed.errors <= most).mean())
    return Held(level, covered, float((2 * most * missed.spreads[:, None]).mean()))


def measure(network: ITransformer, windows: Windows) -> Missed:
    """Forecast windows, of very many as many as fit into memory, evenly apart."""
    network.eval()
    values = windows.pred_len * (windows.rows.shape[1] - MARKS)
    count = min(len(windows), max(1, MOST_VALUES // values))
    starts = torch.from_numpy(np.unique(np.linspace(0, len(windows) - 1, count).astype(np.int64)))
    errors, spreads = [], []
    with torch.inference_mode():
        for inputs, targets in batches(windows, starts):
            wide = inputs[..., :-MARKS].double().numpy()
            spreads.append(spread(wide, np.ones(wide.shape[-1])))
            off = (network(inputs) - targets).abs().numpy()
            errors.append((off / spreads[-1][:, None]).astype(np.float32))
    return Missed(np.concatenate(errors), np.concatenate(spreads))
