"""Which split, width and figures of the paper a file gets."""

import numpy as np
import pandas as pd
import pytest

from training.errors import InputError
from training.itransformer import benchmark
from training.itransformer.frames import Series
from training.itransformer.recipe import Epoch, Errors


@pytest.mark.parametrize(
    ("data", "name", "rows", "width"),
    [
        ("s3://bucket/etth1.CSV", "ETTh1", (8640, 2880, 2880), 512),
        ("ETTh2.csv", "ETTh2", (8640, 2880, 2880), 128),
        ("all/ETTm1.csv", "ETTm1", (34560, 11520, 11520), 128),
        ("weather.csv", "", (12194, 1742, 3484), 128),
    ],
)
def test_a_data_set_has_its_own_split_and_figures(
    data: str, name: str, rows: tuple[int, ...], width: int
) -> None:
    assert benchmark.data_set(data) == name
    recipe = benchmark.paper_recipe(336, 1, name)
    assert recipe.d_model == recipe.d_ff == width
    count, step = (69_680, "15min") if name == "ETTm1" else (17_420, "h")
    dates = pd.date_range("2016-07-01", periods=count, freq=step)
    series = Series(data, dates, np.zeros((count, 1)), ("OT",), step)
    assert benchmark.rows_of(name, series, recipe) == rows
    row = benchmark.row(name, recipe, [Epoch(1, 1.0, 1.0, 1.0)], Errors(1, 1), Errors(2, 2))
    paper = {"ETTh1": "0.487 | 0.458", "ETTh2": "0.428 | 0.432", "ETTm1": "0.426 | 0.420"}
    assert ("paper's MSE" in row) == (name in paper)
    assert f"| 336 | 1 | 1.000 | 1.000 |{f' {paper[name]} |' if name else ''} 2.000 |" in row


def test_a_benchmark_says_which_rows_it_needs() -> None:
    dates = pd.date_range("2016-07-01", periods=800, freq="h")
    series = Series("ETTm1.csv", dates, np.zeros((800, 1)), ("OT",), "h")
    recipe = benchmark.paper_recipe(96, 1)
    with pytest.raises(InputError, match="is no whole ETTm1: it needs 57600 rows, one every"):
        benchmark.rows_of("ETTm1", series, recipe)
    with pytest.raises(InputError, match="has 800 rows: too few for windows of 96 and 96"):
        benchmark.rows_of("", series, recipe)
