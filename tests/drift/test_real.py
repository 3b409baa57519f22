"""Known shifts of real readings and songs are found, and none in rows that were held out."""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest

from bentos.drift.columns import columns
from bentos.drift.reference import BESIDE, Reference, read
from bentos.drift.tally import Tally
from bentos.serving.drift import Drift
from bentos.tensors import Batch
from training.contugas import train as contugas
from training.contugas.model import FIELDS, OUTPUTS
from training.contugas.readings import clean as readings
from training.contugas.recipe import train as fit_readings
from training.contugas.settings import Settings as Gas
from training.data import Dataset
from training.settings import read_settings
from training.spotify import train as spotify
from training.spotify.features import NAMES, OUTPUT, UNKNOWN, popularity
from training.spotify.recipe import train as fit_songs
from training.spotify.settings import Settings as Music
from training.spotify.songs import clean as songs
from training.usual import Usual

DATA = Path(__file__).parents[3] / "shared" / "data"
SHIFT, NONE = 0.25, 0.1


def real(name: str) -> Path:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"no {path.name} beside the repository, in ../shared/data")
    return path


def batch(table: pd.DataFrame) -> Batch:
    texts = table.astype(object).where(table.notna(), None)
    return Batch(
        {
            str(name): (table if pd.api.types.is_numeric_dtype(table[name]) else texts)[
                name
            ].to_numpy()
            for name in table
        }
    )


def kept(usual: Usual, folder: Path) -> Reference:
    usual.write(folder)
    found = read(folder / BESIDE)
    assert found
    return found


def drift(usual: Reference, inputs: pd.DataFrame, outputs: pd.DataFrame) -> Drift:
    counted = Tally()
    counted.add(len(inputs), columns(batch(inputs)), columns(batch(outputs)), usual)
    return counted.drift(usual, "training")


def shifted(found: Drift) -> set[str]:
    sides = {**found.columns, **found.outputs}
    assert not [name for name, column in sides.items() if column.psi is None]
    unclear = {n: c.psi for n, c in sides.items() if NONE < (c.psi or 0) < SHIFT}
    assert not unclear
    return {name for name, column in sides.items() if (column.psi or 0) >= SHIFT}


@pytest.fixture(scope="module")
def gas(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Reference, pd.DataFrame]:
    """A model of readings, what is usual, and 5,000 readings that were held out."""
    table = pd.read_parquet(real("contugas/contugas_hourly.parquet")).dropna()
    table = table.sample(45_000, random_state=0)
    known = readings(Dataset("gas", "gas", "", table[5000:].reset_index(drop=True)), 6)
    settings = read_settings("contugas", Gas)
    model = fit_readings(known, settings).model
    answered = contugas.Answered.of(known, model, settings)
    usual = contugas.usual(known, answered)
    held = table[:5000][["Presion", "Temperatura", "Volumen"]].set_axis(list(FIELDS), axis=1)
    return model, kept(usual, tmp_path_factory.mktemp("gas")), held.astype(float)


def judged(gas: tuple[Any, Reference, pd.DataFrame], held: pd.DataFrame) -> Drift:
    model, usual, _ = gas
    answers = pd.DataFrame(model.predict(held.to_numpy()), columns=list(OUTPUTS))
    return drift(usual, held, answers)


def test_readings_that_were_held_out_show_no_shift(
    gas: tuple[Any, Reference, pd.DataFrame],
) -> None:
    assert shifted(judged(gas, gas[2])) == set()


def test_pressure_that_is_scaled_is_found(gas: tuple[Any, Reference, pd.DataFrame]) -> None:
    found = judged(gas, gas[2].assign(presion=gas[2]["presion"] * 1.5))
    assert "presion" in shifted(found) <= {"presion", *OUTPUTS}
    assert (found.columns["presion"].outside or 0) > 0


def test_a_sensor_that_is_dead_is_found(gas: tuple[Any, Reference, pd.DataFrame]) -> None:
    found = judged(gas, gas[2].assign(temperatura=0.0))
    assert "temperatura" in shifted(found)
    assert found.columns["presion"].psi is not None
    assert found.columns["presion"].psi < NONE


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Reference, pd.DataFrame]:
    """A model of songs, what is usual, and 1,500 songs that were held out."""
    table = pd.read_csv(real("spotify/spotify_by_genre_6000.csv")).sample(frac=1, random_state=0)
    known = songs(Dataset("songs", "songs", "", table[1500:].reset_index(drop=True)))
    settings = msgspec.structs.replace(read_settings("spotify", Music), iterations=60, depth=4)
    result = fit_songs(known, settings)
    usual = kept(spotify.usual(known, result), tmp_path_factory.mktemp("music"))
    held = songs(Dataset("songs", "songs", "", table[:1500].reset_index(drop=True))).rows
    return result.model, usual, held


def estimated(music: tuple[Any, Reference, pd.DataFrame], held: pd.DataFrame) -> Drift:
    model, usual, _ = music
    answers = pd.DataFrame({OUTPUT: popularity(model.predict(held))})
    return drift(usual, held.replace(dict.fromkeys(NAMES, UNKNOWN), None), answers)


def test_songs_that_were_held_out_show_no_shift(
    music: tuple[Any, Reference, pd.DataFrame],
) -> None:
    found = estimated(music, music[2])
    assert shifted(found) == set()
    assert found.columns["track_genre"].unknown == 0


def test_a_genre_that_is_dropped_in_is_found(music: tuple[Any, Reference, pd.DataFrame]) -> None:
    held = music[2]
    polka = np.random.default_rng(0).random(len(held)) < 0.3
    found = estimated(music, held.assign(track_genre=held["track_genre"].mask(polka, "polka")))
    assert "track_genre" in shifted(found) <= {"track_genre", OUTPUT}
    assert found.columns["track_genre"].unknown == pytest.approx(0.3, abs=0.03)


def test_names_that_are_left_out_are_found(music: tuple[Any, Reference, pd.DataFrame]) -> None:
    found = estimated(music, music[2].assign(artists=UNKNOWN))
    artists = found.columns["artists"]
    assert (artists.psi or 0) > SHIFT
    assert artists.missing == 1
