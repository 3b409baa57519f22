"""Bands of forecasts: what they promise, what is kept of them, and what is no band."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from tests.training.itransformer.conftest import SMALL, forecaster
from training.errors import InputError
from training.itransformer import bands as module
from training.itransformer import calibration
from training.itransformer.bands import BANDS, Bands, Recent, kept, read, recent_ends
from training.itransformer.calibration import calibrate, coverage
from training.itransformer.forecaster import CONFIG, WEIGHTS, load
from training.itransformer.frames import Series
from training.itransformer.windows import Windows, sizes, split

COLUMNS = 2


def of(windows: int, scale: float = 1.0) -> Bands:
    """Errors 1 to n in one step and two columns, the second ten times as far off."""
    errors = np.arange(1, windows + 1, dtype=np.float32)[:, None, None] * np.array([1, 10])
    ranks = np.arange(1, windows + 1)
    return Bands(ranks, errors.astype(np.float32), np.full(COLUMNS, scale))


def window(spread: float) -> NDArray[np.float64]:
    """Rows of that spread around 5."""
    return np.tile([[5 - spread], [5 + spread]], (4, COLUMNS)).astype(np.float64)


@pytest.mark.parametrize(
    ("level", "rank"), [(0.05, 1), (0.5, 10), (0.501, 11), (0.9, 18), (0.95, 19), (0.7, 14)]
)
def test_a_band_is_the_order_statistic_of_the_formula(level: float, rank: int) -> None:
    """Of 19 errors the ceil(20 level)-th, whatever binary fractions make of 20 * 0.7."""
    assert of(19).half(level, window(1.0)) == pytest.approx(np.array([[rank, 10 * rank]]), 1e-4)


def test_a_band_is_as_wide_as_its_window() -> None:
    narrow, wide = (of(19).half(0.9, window(spread)) for spread in (1.0, 3.0))
    assert wide == pytest.approx(3 * narrow, 1e-4)
    still = of(19, scale=2.0).half(0.9, window(0.0))  # as the network has it
    assert still[0, 0] == pytest.approx(18 * 2 * 1e-5**0.5)


def test_few_windows_tell_of_no_high_level() -> None:
    assert of(19).widest == 0.95
    for level in (0.951, 0.99):
        with pytest.raises(InputError, match=r"19 windows of its training .* up to 0.95"):
            of(19).half(level, window(1.0))


@pytest.mark.parametrize("windows", [1, 20, 257, 3000, 100_000])
def test_what_is_kept_is_enough_for_any_level(windows: int) -> None:
    """No level gets less than it asks for, and hardly more."""
    ranks = kept(windows, 96 * 7)
    assert len(ranks) <= 256
    assert ranks[-1] == windows
    levels = np.linspace(0.05, windows / (windows + 1), 400)
    given = ranks[np.searchsorted(ranks, np.ceil((windows + 1) * levels - 1e-9))]
    beyond = given / (windows + 1) - levels
    assert beyond.min() >= -1e-9
    assert beyond.max() <= 0.0065 + 1 / windows
    assert beyond[levels >= 0.9].max(initial=0) <= 0.003 + 1 / windows


def test_many_steps_and_columns_keep_less_of_each() -> None:
    assert len(kept(3000, 720 * 321)) == module.MOST_VALUES // (720 * 321)
    assert kept(3000, 10**9).tolist() == [3000]


def walks(rows: int, seed: int) -> Windows:
    """Three series of noise, of which nothing can be learned."""
    noise = np.random.default_rng(seed).standard_normal((rows, 3 + 4))
    return Windows(torch.from_numpy(noise).float(), SMALL.seq_len, SMALL.pred_len)


def test_bands_hold_what_they_promise(series: Series) -> None:
    """Of windows of one kind; each step and column by itself."""
    made = forecaster(series)
    bands = calibrate(
        made.network, walks(4000, 1), split(series, SMALL, sizes(series, SMALL)).scaler
    )
    found = coverage(bands, made.network, walks(4000, 2), (0.5, 0.8, 0.9, 0.95))
    for held in found:
        assert held.covered == pytest.approx(held.level, abs=0.02), held
    assert [held.width for held in found] == sorted(held.width for held in found)
    missed = calibration.measure(made.network, walks(4000, 3))
    each = (missed.errors <= bands.factors(0.9)).mean(axis=0)
    assert each.shape == (SMALL.pred_len, 3)
    assert each == pytest.approx(np.full(each.shape, 0.9), abs=0.03)


def test_bands_widen_where_forecasts_were_worse_of_late() -> None:
    """Each column by itself, and with the correction of the formula: 15 of 16 of 15 windows."""
    windows = np.stack([window(2.0)] * 15)
    missed = np.arange(1.0, 16)[:, None, None] * np.array([2.0 * 18, 2.0 * 180 / 15])
    half = of(19).half(0.9, window(1.0), Recent(windows, missed))
    assert half == pytest.approx(np.array([[18 * 15, 180]]), 1e-4)
    usual = of(19).half(0.5, window(1.0), Recent(windows, missed))
    assert usual == pytest.approx(np.array([[18 * 8, 180 * 8 / 15]]), 1e-4)


def test_recent_windows_end_half_a_forecast_apart() -> None:
    assert recent_ends(864, 96, 96)[:3] == [768, 720, 672]
    assert len(recent_ends(864, 96, 96)) == len(recent_ends(5000, 96, 96)) == 15
    assert recent_ends(528, 96, 96) == list(range(432, 95, -48))
    assert recent_ends(527, 96, 96) == []
    assert len(recent_ends(20, 2, 1)) == 15


def test_bands_follow_what_drifts(series: Series) -> None:
    """Where errors are half as large as when they were measured, bands are, too."""
    made = forecaster(series)
    parts = split(series, SMALL, sizes(series, SMALL))
    bands = calibrate(made.network, walks(4000, 1), parts.scaler)
    rough = replace(bands, errors=bands.errors * 2)
    other = replace(parts, validation=walks(200, 4), test=walks(600, 5))
    for level in (0.5, 0.9):
        (still,) = coverage(rough, made.network, other.test, (level,))
        (held,) = calibration.coverage_of_late(rough, made.network, other, (level,))
        assert still.covered > level + 0.05
        assert held.covered == pytest.approx(level, abs=0.04)
        assert held.width < 0.7 * still.width


def test_units_do_not_matter(series: Series) -> None:
    """In other units, the same band in them."""
    made = forecaster(series)
    parts = split(series, SMALL, sizes(series, SMALL))
    bands = calibrate(made.network, parts.validation, parts.scaler)
    factors = np.array([1e6, 1e-3, 10.0])
    moved = replace(bands, scale=bands.scale * factors)
    rows = series.values[-SMALL.seq_len :]
    half = moved.half(0.8, rows * factors + 7)
    assert half == pytest.approx(bands.half(0.8, rows) * factors, 1e-6)


def test_very_many_windows_are_tried_evenly(
    series: Series, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration, "MOST_VALUES", 50 * SMALL.pred_len * 3)
    missed = calibration.measure(forecaster(series).network, walks(4000, 1))
    assert len(missed.errors) == len(missed.spreads) == 50


def test_they_are_kept_with_the_forecaster(series: Series, tmp_path: Path) -> None:
    made = forecaster(series)
    parts = split(series, SMALL, sizes(series, SMALL))
    bands = calibrate(made.network, parts.validation, parts.scaler)
    replace(made, bands=bands).save(tmp_path)
    again = load(tmp_path / WEIGHTS, tmp_path / CONFIG, tmp_path / BANDS).bands
    assert again is not None
    assert again.windows == len(parts.validation)
    for name in ("ranks", "errors", "scale"):
        np.testing.assert_array_equal(getattr(again, name), getattr(bands, name))


def edit(**changes: NDArray[Any] | None) -> Callable[[Path], None]:
    def apply(path: Path) -> None:
        content = load_file(path)
        for name, value in changes.items():
            del content[name]
            if value is not None:
                content[name] = value
        save_file(content, path)

    return apply


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.unlink(), "bands.safetensors holds no bands"),
        (lambda path: path.write_bytes(b"\x80\x04K"), "bands.safetensors holds no bands"),
        (edit(scale=None), "holds no bands: 'scale'"),
        (edit(ranks=np.arange(1.0, 20)), "its tensors are float64, float32, float64"),
        (edit(ranks=np.zeros(0, np.int64)), "holds no bands"),
        (edit(ranks=np.arange(1, 9)), r"has errors \(19, 1, 2\) of 8 ranks"),
        (edit(scale=np.ones(3)), r"the forecasts are \(1, 2\)"),
        (edit(ranks=np.arange(19)), "must rise"),
        (edit(ranks=np.ones(19, np.int64)), "must rise"),
        (edit(scale=np.array([1.0, np.inf])), "all be finite"),
        (edit(errors=np.full((19, 1, 2), np.nan, np.float32)), "all be finite"),
        (edit(errors=-np.ones((19, 1, 2), np.float32)), "must rise"),
    ],
)
def test_what_is_no_band_is_named(
    spoil: Callable[[Path], None], message: str, tmp_path: Path
) -> None:
    path = tmp_path / BANDS
    of(19).save(path)
    assert read(path, (1, 2)).windows == 19
    with pytest.raises(InputError, match=r"the forecasts are \(6, 2\)"):
        read(path, (6, 2))
    spoil(path)
    with pytest.raises(InputError, match=message):
        read(path)
