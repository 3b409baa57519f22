"""Real readings and songs: models of them, what is usual, and rows that were held out."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd

from bentos.drift.columns import columns
from bentos.drift.reference import BESIDE, Reference, read
from bentos.drift.tally import Tally
from bentos.serving.drift import Drift
from bentos.tensors import Batch
from training.contugas import train as contugas
from training.contugas.model import FIELDS, OUTPUTS
from training.contugas.readings import VARIABLES
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
READINGS = DATA / "contugas" / "contugas_hourly.parquet"
SONGS = DATA / "spotify" / "spotify_by_genre_6000.csv"


@dataclass(frozen=True)
class Known:
    """A model, what is usual for it, and rows that it was not trained on."""

    model: Any
    usual: Reference
    held: pd.DataFrame

    def of_readings(self, rows: pd.DataFrame) -> Drift:
        """How far readings lie from the usual ones."""
        answers = pd.DataFrame(self.model.predict(rows.to_numpy()), columns=list(OUTPUTS))
        return drift(self.usual, rows, answers)

    def of_songs(self, rows: pd.DataFrame) -> Drift:
        """How far songs lie from the usual ones."""
        answers = pd.DataFrame({OUTPUT: popularity(self.model.predict(rows))})
        return drift(self.usual, rows.replace(dict.fromkeys(NAMES, UNKNOWN), None), answers)


def gas(folder: Path) -> Known:
    """Of 40,000 readings, and 5,000 others."""
    table = pd.read_parquet(READINGS).dropna().sample(45_000, random_state=0)
    known = readings(made("gas", table[5000:]), 6)
    settings = read_settings("contugas", Gas)
    model = fit_readings(known, settings).model
    usual = contugas.usual(known, contugas.Answered.of(known, model, settings))
    held = table[:5000][list(VARIABLES)].set_axis(list(FIELDS), axis=1).astype(float)
    return Known(model, kept(usual, folder), held)


def music(folder: Path) -> Known:
    """Of 4,500 songs, and 1,500 others."""
    table = pd.read_csv(SONGS).sample(frac=1, random_state=0)
    known = songs(made("songs", table[1500:]))
    settings = msgspec.structs.replace(read_settings("spotify", Music), iterations=60, depth=4)
    result = fit_songs(known, settings)
    held = songs(made("songs", table[:1500])).rows
    return Known(result.model, kept(spotify.usual(known, result), folder), held)


def with_polka(rows: pd.DataFrame) -> pd.DataFrame:
    """Three songs of ten, of a genre that was never seen."""
    chosen = np.random.default_rng(0).random(len(rows)) < 0.3
    return rows.assign(track_genre=rows["track_genre"].mask(chosen, "polka"))


def made(name: str, table: pd.DataFrame) -> Dataset:
    return Dataset(name, name, "", table.reset_index(drop=True))


def kept(usual: Usual, folder: Path) -> Reference:
    usual.write(folder)
    found = read(folder / BESIDE)
    assert found
    return found


def batch(table: pd.DataFrame) -> Batch:
    texts = table.astype(object).where(table.notna(), None)
    numeric = {name: pd.api.types.is_numeric_dtype(table[name]) for name in table}
    return Batch({str(n): (table if numeric[n] else texts)[n].to_numpy() for n in table})


def drift(usual: Reference, inputs: pd.DataFrame, outputs: pd.DataFrame) -> Drift:
    counted = Tally()
    counted.add(len(inputs), columns(batch(inputs)), columns(batch(outputs)), usual)
    return counted.drift(usual, "training")
