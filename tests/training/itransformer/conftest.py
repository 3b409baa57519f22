"""Made series, small networks, and the paper's file where it is at hand."""

from pathlib import Path

import msgspec
import pytest
import torch

from training.data import Dataset
from training.itransformer.forecaster import Config, Forecaster
from training.itransformer.frames import Series, from_dataset
from training.itransformer.model import ITransformer
from training.itransformer.settings import Recipe, Settings, Synthetic
from training.itransformer.synthetic import synthetic
from training.settings import PATH, read_settings

ETT = Path(__file__).parents[4] / "shared" / "data" / "itransformer" / "ETTh1.csv"
SMALL = Recipe(
    seq_len=24,
    pred_len=6,
    d_model=16,
    n_heads=2,
    e_layers=2,
    d_ff=16,
    epochs=3,
    learning_rate=0.005,
)


def forecaster(series: Series, recipe: Recipe = SMALL) -> Forecaster:
    """An untrained forecaster that fits a series."""
    torch.manual_seed(1)
    config = Config(
        recipe.architecture(),
        series.columns,
        tuple(series.values.mean(axis=0).tolist()),
        tuple(series.values.std(axis=0).tolist()),
        series.step,
    )
    return Forecaster(ITransformer(recipe.architecture()).eval(), config)


@pytest.fixture(scope="session")
def made() -> Dataset:
    """300 hours of three made series."""
    return synthetic(Synthetic(rows=300, seed=3))


@pytest.fixture(scope="session")
def series(made: Dataset) -> Series:
    return from_dataset(made)


@pytest.fixture(scope="session")
def small() -> Settings:
    """The settings, with a network that trains in a moment."""
    return msgspec.structs.replace(
        read_settings("itransformer", Settings), recipe=SMALL, niceness=0
    )


@pytest.fixture
def config(tmp_path: Path, small: Settings) -> str:
    """A settings file of those."""
    path = tmp_path / "training.yaml"
    everything = msgspec.yaml.decode(PATH.read_bytes())
    everything["itransformer"] = msgspec.to_builtins(small)
    everything["itransformer"]["synthetic"]["rows"] = 200
    path.write_bytes(msgspec.yaml.encode(everything))
    return str(path)


@pytest.fixture(scope="session")
def ett() -> str:
    if not ETT.exists():
        pytest.skip(f"no {ETT.name} beside the repository, in ../shared/data/itransformer")
    return str(ETT)
