import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.training.itransformer.conftest import SMALL, forecaster
from training.errors import InputError
from training.itransformer.forecaster import CONFIG, WEIGHTS, Floats, Forecaster, load
from training.itransformer.frames import Series
from training.itransformer.model import MARKS


@pytest.fixture
def saved(tmp_path: Path, series: Series) -> Path:
    forecaster(series).save(tmp_path)
    return tmp_path


def read(folder: Path) -> Forecaster:
    return load(folder / WEIGHTS, folder / CONFIG)


def windows(series: Series) -> Floats:
    rows = series.rows()
    return np.stack([rows[start : start + SMALL.seq_len] for start in range(0, 100, 10)])


def test_what_is_read_back_is_what_was_saved(saved: Path, series: Series) -> None:
    made, again = forecaster(series), read(saved)
    assert again.config == made.config
    np.testing.assert_array_equal(again.predict(windows(series)), made.predict(windows(series)))


def test_two_files_are_all(saved: Path) -> None:
    assert sorted(path.name for path in saved.iterdir()) == [CONFIG, WEIGHTS]


def test_answers_have_the_units_of_their_data(series: Series) -> None:
    """The scaler undoes what it did: other units, the same forecasts in them."""
    answers = forecaster(series).predict(windows(series))
    assert answers.shape == (10, SMALL.pred_len, 3)
    assert answers.dtype == np.float64
    factors = np.array([1e6, 1e-3, 10.0])
    other = replace(series, values=series.values * factors + 5)
    moved = forecaster(other).predict(windows(other))
    np.testing.assert_allclose(moved, answers * factors + 5, rtol=1e-4)


def test_the_windows_stay_as_they_are(series: Series) -> None:
    given = windows(series)
    before = given.copy()
    forecaster(series).predict(given)
    np.testing.assert_array_equal(given, before)


def test_one_window_or_many_differ_by_less_than_the_samples_allow(series: Series) -> None:
    made = forecaster(series)
    alone = np.concatenate([made.predict(window[None]) for window in windows(series)])
    error = np.abs(made.predict(windows(series)) - alone) / np.array(made.config.scale)
    assert error.max() < 1e-5


def edit(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        content = json.loads((folder / CONFIG).read_text())
        change(content)
        (folder / CONFIG).write_text(json.dumps(content))

    return apply


def weigh(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        state = load_file(folder / WEIGHTS)
        change(state)
        save_file(state, folder / WEIGHTS)

    return apply


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / CONFIG).unlink(), "config.json is no config of a forecaster"),
        (lambda folder: (folder / CONFIG).write_bytes(b"\xff"), "config.json is no config"),
        (edit(lambda c: c.pop("step")), "missing required field `step`"),
        (edit(lambda c: c.update(format=2)), "format"),
        (edit(lambda c: c.update(code="import os")), "unknown field `code`"),
        (edit(lambda c: c["mean"].pop()), "3 `columns`, 2 of `mean`, 3 of `scale`"),
        (edit(lambda c: c.update(scale=[1, 0, 1])), "scale"),
        (edit(lambda c: c["architecture"].update(d_model=10**9)), "d_model"),
        (edit(lambda c: c["architecture"].update(n_heads=3)), "must be a multiple of `n_heads` 3"),
        (edit(lambda c: c["architecture"].update(d_ff=32)), "do not fit the architecture"),
        (lambda folder: (folder / WEIGHTS).unlink(), "model.safetensors is no safetensors file"),
        (lambda folder: (folder / WEIGHTS).write_bytes(b"\x80\x04K"), "no safetensors file"),
        (weigh(lambda state: state.pop("norm.bias")), "do not fit the architecture"),
        (weigh(lambda s: s.update({"more": torch.ones(1)})), "do not fit the architecture"),
        (weigh(lambda s: s["norm.bias"].fill_(torch.nan)), "norm.bias is not finite everywhere"),
        (
            weigh(lambda s: s.update({"norm.bias": s["norm.bias"].double()})),
            "norm.bias is torch.float64, not float32",
        ),
    ],
)
def test_files_that_do_not_fit_are_named(
    saved: Path, spoil: Callable[[Path], None], message: str
) -> None:
    spoil(saved)
    with pytest.raises(InputError, match=message):
        read(saved)


def test_marks_are_not_scaled(series: Series) -> None:
    made = forecaster(series)
    given = windows(series)
    given[..., -MARKS:] = 0.5
    assert not np.array_equal(made.predict(given), made.predict(windows(series)))
