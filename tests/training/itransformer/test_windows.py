from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from tests.training.itransformer.conftest import SMALL
from training.errors import InputError
from training.itransformer.frames import Series
from training.itransformer.model import MARKS
from training.itransformer.windows import ETT_ROWS, Split, fit_scaler, sizes, split


@pytest.fixture
def counted(series: Series) -> Series:
    """A series whose values tell their row."""
    return replace(series, values=np.arange(float(len(series)))[:, None], columns=("row",))


def parted(series: Series) -> tuple[Split, tuple[int, int, int]]:
    rows = sizes(series, SMALL)
    return split(series, SMALL, rows), rows


def test_a_window_is_the_rows_that_follow_each_other(series: Series) -> None:
    parts, _ = parted(series)
    inputs, targets = parts.train.take(torch.tensor([0, 7]))
    assert inputs.shape == (2, SMALL.seq_len, 3 + MARKS)
    assert targets.shape == (2, SMALL.pred_len, 3)
    assert torch.equal(inputs[1], parts.train.rows[7 : 7 + SMALL.seq_len])
    after = 7 + SMALL.seq_len
    assert torch.equal(targets[1], parts.train.rows[after : after + SMALL.pred_len, :-MARKS])


def test_no_target_is_in_two_parts(counted: Series) -> None:
    parts, rows = parted(counted)
    assert sum(rows) == len(counted)
    seen = []
    for windows in (parts.train, parts.validation, parts.test):
        _, targets = windows.take(torch.arange(len(windows)))
        values = targets.double().numpy() * parts.scaler.scale + parts.scaler.mean
        seen.append(set(np.rint(values).astype(int).ravel().tolist()))
    first, second, last = rows
    assert seen[0] == set(range(SMALL.seq_len, first))
    assert seen[1] == set(range(first, first + second))
    assert seen[2] == set(range(first + second, first + second + last))


def test_the_scaler_learns_from_the_training_rows_alone(series: Series) -> None:
    parts, (first, *_) = parted(series)
    later = replace(
        series, values=np.concatenate([series.values[:first], series.values[first:] * 9])
    )
    other, _ = parted(later)
    np.testing.assert_array_equal(other.scaler.mean, parts.scaler.mean)
    np.testing.assert_array_equal(other.scaler.scale, parts.scaler.scale)
    scaled = parts.train.rows[:, :-MARKS]
    torch.testing.assert_close(scaled.mean(0), torch.zeros(3), rtol=0, atol=1e-5)
    torch.testing.assert_close(scaled.std(0, correction=0), torch.ones(3), rtol=0, atol=1e-5)


def test_the_least_rows_make_one_window_of_each(series: Series) -> None:
    least = SMALL.seq_len + 3 * SMALL.pred_len
    enough = replace(series, dates=series.dates[:least], values=series.values[:least])
    parts, _ = parted(enough)
    assert [len(windows) for windows in (parts.train, parts.validation, parts.test)] == [1, 1, 1]
    short = replace(series, values=series.values[: least - 1])
    with pytest.raises(InputError, match=f"has {least - 1} rows; .* needs at least {least}"):
        sizes(short, SMALL)


def test_a_constant_column_is_refused(series: Series) -> None:
    values = series.values.copy()
    values[:200, 1] = 21.5  # later it varies
    flat = replace(series, values=values)
    with pytest.raises(
        InputError, match=r"column temperatura is constant \(21.5\) in the 200 rows"
    ):
        fit_scaler(flat, 200)
    assert fit_scaler(flat, 250).scale[1] > 0


def test_numbers_beyond_arithmetic_are_refused(series: Series) -> None:
    values = series.values.copy()
    values[::2, 0] = 1e300
    with pytest.raises(InputError, match="column carga spreads too widely or too little"):
        fit_scaler(replace(series, values=values), 200)


def test_the_papers_split(counted: Series) -> None:
    rows = sum(ETT_ROWS) + 100  # the file goes on
    dates = pd.date_range("2016-07-01", periods=rows, freq="h")
    long = replace(counted, values=np.arange(float(rows))[:, None], dates=dates)
    parts = split(long, SMALL, ETT_ROWS)
    window = SMALL.seq_len + SMALL.pred_len
    assert len(parts.train) == 8640 - window + 1
    assert len(parts.validation) == len(parts.test) == 2880 - SMALL.pred_len + 1
    assert parts.scaler.mean[0] == (8640 - 1) / 2
