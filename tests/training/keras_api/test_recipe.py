from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from training.data import Dataset
from training.errors import InputError
from training.keras_api import figures
from training.keras_api.example import COLUMNS, Parts, split, synthetic
from training.keras_api.graph import served_model
from training.keras_api.recipe import measure, train
from training.keras_api.settings import Settings
from training.settings import PATH, read_settings


@pytest.fixture
def settings() -> Settings:
    return read_settings("keras_api", Settings)


@pytest.fixture
def parts(settings: Settings) -> Parts:
    return split(synthetic(settings.synthetic), settings)


def test_the_made_rows(settings: Settings) -> None:
    table = synthetic(settings.synthetic).table
    assert table.shape == (1000, 11)
    x = table.to_numpy()
    noise = x[:, 10] - (2 * x[:, 0] + 3 * x[:, 1] + x[:, 2] ** 2 - 0.5 * x[:, 3])
    assert np.std(noise) == pytest.approx(0.1, rel=0.1)
    assert np.random.default_rng(42).standard_normal() == x[0, 0]


def test_the_parts(parts: Parts, settings: Settings) -> None:
    assert [len(part.X) for part in (parts.train, parts.validation, parts.test)] == [640, 160, 200]
    assert parts.test.X.shape == (200, 10)
    assert parts.test.y.shape == (200, 1)
    again = split(synthetic(settings.synthetic), settings)
    np.testing.assert_array_equal(parts.test.X, again.test.X)


def given(table: pd.DataFrame) -> Dataset:
    return Dataset("rows.csv", "rows.csv", "", table)


def test_rows_with_gaps_are_dropped(settings: Settings) -> None:
    table = synthetic(settings.synthetic).table
    table.loc[:9, "x4"] = np.nan
    table.loc[10, "y"] = np.inf
    assert split(given(table), settings).dropped == 11


def test_too_few_rows(settings: Settings) -> None:
    table = synthetic(settings.synthetic).table[:49]
    with pytest.raises(InputError, match=r"49 of 49 rows are complete; give at least 50"):
        split(given(table), settings)


def test_a_column_that_is_no_number(settings: Settings) -> None:
    table = synthetic(settings.synthetic).table.astype({"x1": object})
    table.loc[3, "x1"] = "high"
    with pytest.raises(InputError, match="column x1 has 'high'"):
        split(given(table[list(COLUMNS)]), settings)


def test_learns_the_function(parts: Parts, settings: Settings) -> None:
    reported: list[tuple[int, dict[str, float]]] = []
    result = train(parts, settings, lambda epoch, losses: reported.append((epoch, losses)))
    scores = measure(
        served_model(result.model, result.input_scaler, result.output_scaler), parts.test
    )
    assert scores["r2"] > 0.97
    assert scores["rmse"] < 0.7
    assert scores["confidence"] == pytest.approx(0.5, abs=0.06)
    assert [epoch for epoch, _ in reported] == list(range(1, settings.epochs + 1))
    assert [losses["val_loss"] for _, losses in reported] == result.losses["val_loss"]
    assert result.losses["train_loss"][-1] < result.losses["train_loss"][0] / 10
    assert isinstance(figures.loss_curves(result.losses), Figure)


def test_the_same_seed_gives_the_same_weights(parts: Parts, tmp_path: Path) -> None:
    path = tmp_path / "training.yaml"
    path.write_text(PATH.read_text().replace("epochs: 60", "epochs: 2"))
    quick = read_settings("keras_api", Settings, path)
    first, second = (train(parts, quick).model.get_weights() for _ in range(2))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("epochs: 0", r"`int` >= 1 - at `\$.epochs`"),
        ("epochs: 501", r"`int` <= 500 - at `\$.epochs`"),
        ("batch: 257", r"`int` <= 256 - at `\$.batch`"),
        ("learning_rate: 2", r"`float` <= 1.0 - at `\$.learning_rate`"),
        ("epoch: 3", "unknown field `epoch`"),
    ],
)
def test_settings_out_of_bounds(line: str, message: str, tmp_path: Path) -> None:
    good = {"epochs": "epochs: 60", "batch": "batch: 32", "learning_rate": "learning_rate: 0.001"}
    old = good.get(line.split(":")[0], "epochs: 60")
    path = tmp_path / "training.yaml"
    head, ours = PATH.read_text().split("keras_api:\n", 1)
    path.write_text(head + "keras_api:\n" + ours.replace(old, line))
    with pytest.raises(InputError, match=message):
        read_settings("keras_api", Settings, path)
