import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from training.contugas.model import Floats
from training.contugas.readings import CLIENT, COLUMNS, VARIABLES, clean, synthetic
from training.contugas.settings import Synthetic
from training.data import Dataset, read_dataset
from training.errors import InputError

SMALL = Synthetic(clients=6, hours=24, seed=1)


@pytest.fixture
def small() -> Dataset:
    return synthetic(SMALL)


def with_values(
    dataset: Dataset, rows: list[int], column: str, value: float | str | None
) -> Dataset:
    table = dataset.table.astype({column: object})
    table.loc[rows, column] = value
    return replace(dataset, table=table, source="plant.csv")


def test_synthetic_readings_have_the_columns_of_the_real_file(small: Dataset) -> None:
    assert tuple(small.table.columns) == COLUMNS
    assert small.table["Cliente"].nunique() == 6
    assert len(small.table) == 6 * 24
    assert (small.table.groupby("Cliente")["Fecha"].diff().dropna() == pd.Timedelta("1h")).all()
    assert (small.table[list(VARIABLES)] >= 0).all(axis=None)


def test_synthetic_readings_are_named_so_and_repeatable(small: Dataset) -> None:
    again, other = synthetic(SMALL), synthetic(Synthetic(clients=6, hours=24, seed=2))
    assert small.synthetic
    assert "synthetic" in small.name
    assert "synthetic" in small.source
    pd.testing.assert_frame_equal(small.table, again.table)
    assert small.sha256 == again.sha256 != other.sha256


def test_the_contract_s_example_is_a_likely_reading() -> None:
    table = synthetic(Synthetic(clients=20, hours=200, seed=7)).table
    X = table.loc[table["Cliente"] == "CLIENTE1", list(VARIABLES)]
    low, high = X.quantile(0.1), X.quantile(0.9)
    assert ((low < [1.2, 25.5, 100.0]) & (high > [1.2, 25.5, 100.0])).all()


def test_cleaned_readings_keep_order_and_are_float64(small: Dataset) -> None:
    narrow = small.table.astype(dict.fromkeys(VARIABLES, "float32"))
    readings = clean(replace(small, table=narrow), least_clients=6)
    assert readings.X.dtype == np.float64
    np.testing.assert_array_equal(readings.X, narrow[list(VARIABLES)].to_numpy("float64"))
    assert readings.clients == tuple(f"CLIENTE{n}" for n in range(1, 7))
    assert readings.dropped == 0
    expected = narrow.astype(dict.fromkeys(VARIABLES, "float64"))
    means = expected.groupby("Cliente")[list(VARIABLES)].mean()
    np.testing.assert_allclose(readings.means(), means, rtol=1e-12)


@pytest.mark.parametrize("gap", [None, np.nan, np.inf, -np.inf])
def test_rows_with_a_gap_are_dropped_and_counted(
    small: Dataset, gap: float | None, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "training"):
        readings = clean(with_values(small, [3, 50], "Volumen", gap), least_clients=6)
    assert readings.dropped == 2
    assert len(readings.X) == len(small.table) - 2
    assert "Dropped 2 of 144 rows" in caplog.text


def test_rows_of_nobody_are_dropped(small: Dataset) -> None:
    readings = clean(with_values(small, [0, 1, 2], "Cliente", None), least_clients=6)
    assert readings.dropped == 3
    assert len(readings.clients) == 6


def test_a_category_of_clients_is_read(small: Dataset) -> None:
    table = small.table.astype({"Cliente": "category"})
    table = table[table["Cliente"] != "CLIENTE2"]
    assert "CLIENTE2" not in clean(replace(small, table=table), least_clients=5).clients


def test_numbers_kept_as_text_are_numbers(small: Dataset) -> None:
    text = small.table.astype({"Presion": str})
    readings = clean(replace(small, table=text), least_clients=6)
    presion: Floats = small.table["Presion"].to_numpy()
    np.testing.assert_array_equal(readings.X[:, 0], presion)


def test_text_is_refused_by_column_and_value(small: Dataset) -> None:
    bad = with_values(small, [7], "Temperatura", "warm")
    with pytest.raises(InputError, match=r"plant\.csv: column Temperatura has 'warm'"):
        clean(bad, least_clients=6)


def test_booleans_and_dates_are_no_readings(small: Dataset) -> None:
    flags = replace(small, table=small.table.assign(Presion=True))
    with pytest.raises(InputError, match="column Presion has 'True'"):
        clean(flags, least_clients=6)
    dates = replace(small, table=small.table.assign(Volumen=small.table["Fecha"]))
    with pytest.raises(InputError, match="column Volumen has '2019-01-14"):
        clean(dates, least_clients=6)


def test_a_client_left_without_rows_is_named(small: Dataset) -> None:
    bad = with_values(small, list(range(24, 48)), "Presion", np.nan)
    with pytest.raises(InputError, match=r"plant\.csv: Cliente CLIENTE2 has no complete rows"):
        clean(bad, least_clients=5)


def test_too_few_clients_are_refused(small: Dataset) -> None:
    with pytest.raises(InputError, match="holds 6 clients; the clusters need at least 7"):
        clean(small, least_clients=7)


def test_a_client_is_named_as_it_is_written(small: Dataset, tmp_path: Path) -> None:
    names = {"CLIENTE1": "NA", "CLIENTE2": "007", "CLIENTE3": "7"}
    small.table.replace({CLIENT: names}).to_csv(tmp_path / "plant.csv", index=False)
    readings = clean(read_dataset(str(tmp_path / "plant.csv"), COLUMNS, [CLIENT]), least_clients=6)
    assert readings.dropped == 0
    assert set(names.values()) < set(readings.clients)
