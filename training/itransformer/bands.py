"""Bands around forecasts: how far the truth was from those of windows that nobody learned from.

Split conformal prediction (Vovk, Gammerman and Shafer, "Algorithmic Learning in a Random World",
2005, section 4.2; Lei et al., "Distribution-Free Predictive Inference for Regression", JASA 2018,
section 2.2). Each step and column has a band of its own, so what is promised holds for each
forecast value by itself: Stankeviciute et al., "Conformal Time-Series Forecasting", NeurIPS 2021,
widen the bands so that all steps together lie within, which nobody asks for here.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from training.errors import InputError

BANDS = "bands.safetensors"
MOST_RANKS = 256  # kept of the errors of a step and column
MOST_VALUES = 4_000_000  # of all steps and columns: 16 MB
LEAST_RECENT, MOST_RECENT = 8, 15  # windows of a call
TINY = 1e-9
EPSILON = 1e-5  # of the network's own spread, see `training.itransformer.model`

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Recent:
    """Windows [K, seq_len, N] whose truth is known, and how far off they were forecast.

    `missed` [K, pred_len, N] is without signs; both are in the units of the answer.
    """

    windows: Floats
    missed: Floats


@dataclass(frozen=True)
class Bands:
    """The errors of a training's validation windows, in the spreads of those windows.

    `errors` [ranks, pred_len, N] rise; `ranks` are their places among those of all windows,
    counted from 1, and the last of them is the number of windows. `scale` is that of each column.
    """

    ranks: NDArray[np.int64]
    errors: NDArray[np.float32]
    scale: Floats

    @property
    def windows(self) -> int:
        """How many windows told their errors."""
        return int(self.ranks[-1])

    @property
    def widest(self) -> float:
        """The highest level that so many windows can tell of."""
        return self.windows / (self.windows + 1)

    def half(self, level: float, window: Floats, recent: "Recent | None" = None) -> Floats:
        """How far a band of the level goes to each side of a forecast: [pred_len, N].

        `window` [seq_len, N] is what was forecast from, in the units of the answer. Of `recent`
        windows the band of each column takes how far it should have gone in these. Raises
        `InputError` for a level that so many windows cannot tell of.
        """
        factors = np.maximum(self.factors(level), TINY)
        half: Floats = factors * spread(window, self.scale)
        if recent is None:
            return half
        missed = recent.missed / spread(recent.windows, self.scale)[:, None]
        return half * widening(missed / factors, level)

    def factors(self, level: float) -> Floats:
        """The same, in spreads of the window.

        Of n errors it is the ceil((n + 1) level)-th smallest, or the next one that was kept.
        """
        rank = max(1, math.ceil(round((self.windows + 1) * level, 9)))
        if rank > self.windows:
            raise InputError(
                f"{self.windows} windows of its training tell of levels up to "
                f"{math.floor(self.widest * 1e4) / 1e4:g}"
            )
        errors: Floats = self.errors[np.searchsorted(self.ranks, rank)].astype(np.float64)
        return errors

    def save(self, path: Path) -> None:
        """Write them as a file of safetensors."""
        parts = {"ranks": self.ranks, "errors": self.errors, "scale": self.scale}
        save_file({name: np.ascontiguousarray(part) for name, part in parts.items()}, path)


def spread(window: Floats, scale: Floats) -> Floats:
    """What the network divides each column of windows [..., rows, N] by: [..., N]."""
    spreads: Floats = np.sqrt(window.var(axis=-2) + EPSILON * scale**2)
    return spreads


def widening(shares: Floats, level: float) -> Floats:
    """By how much bands must widen to hold their level in recent windows: [N].

    `shares` [K, pred_len, N] is how far off these were, in bands. That is split conformal
    prediction once more, of all steps of a column together. As the windows end where the forecast
    begins, it follows errors that drift, as Gibbs and Candes do in "Adaptive Conformal Inference
    Under Distribution Shift", NeurIPS 2021.
    """
    ordered = np.sort(shares.reshape(-1, shares.shape[-1]), axis=0)
    rank = min(len(ordered), math.ceil(round((len(ordered) + 1) * level, 9)))
    found: Floats = ordered[rank - 1]
    return found


def recent_ends(rows: int, seq_len: int, pred_len: int) -> list[int]:
    """Where windows may end among so many rows that their truth is in these, too; the last first.

    They are half a forecast apart. Too few are none: they would tell of no high level.
    """
    ends = range(rows - pred_len, seq_len - 1, -max(1, pred_len // 2))[:MOST_RECENT]
    return list(ends) if len(ends) >= LEAST_RECENT else []


def kept(windows: int, values: int) -> NDArray[np.int64]:
    """Which ranks to keep of so many windows' errors, each of so many values.

    They lie closer the higher they are: levels of interest are high.
    """
    most = max(1, min(MOST_RANKS, MOST_VALUES // values))
    levels = np.sin(np.pi / 2 * np.arange(1, most + 1) / most)
    return np.unique(np.ceil(levels * windows).astype(np.int64))


def read(path: Path, shape: tuple[int, int] | None = None) -> Bands:
    """Read a file of bands, of forecasts (pred_len, N) if that is given.

    Raises `InputError` when it is none, or does not fit.
    """
    try:
        found = load_file(path)
        bands = Bands(found["ranks"], found["errors"], found["scale"])
    except (OSError, SafetensorError, KeyError) as error:
        raise InputError(f"{path.name} holds no bands: {error}.") from error
    _check(bands, path.name, shape or bands.errors.shape[1:])
    return bands


def _check(bands: Bands, name: str, shape: tuple[int, ...]) -> None:
    ranks, errors, scale = bands.ranks, bands.errors, bands.scale
    dtypes = ", ".join(str(one.dtype) for one in (ranks, errors, scale))
    if dtypes != "int64, float32, float64" or ranks.ndim != 1 or not len(ranks):
        raise InputError(f"{name} holds no bands: its tensors are {dtypes}.")
    if errors.shape != (len(ranks), *shape) or scale.shape != shape[1:]:
        raise InputError(
            f"{name} has errors {errors.shape} of {len(ranks)} ranks; the forecasts are {shape}."
        )
    rising = (np.diff(ranks) > 0).all() and (np.diff(errors, axis=0) >= 0).all()
    good = np.isfinite(errors).all() and np.isfinite(scale).all() and (scale > 0).all()
    if not (rising and good and ranks[0] >= 1 and (errors[0] >= 0).all()):
        raise InputError(f"{name}: ranks and errors must rise, and all be finite.")
