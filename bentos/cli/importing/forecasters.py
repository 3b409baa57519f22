"""itransformer's bundles: `<name>.pth`, a pickled scaler, and perhaps `config.json`."""

import shutil
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

from bentos.cli.errors import Failed
from bentos.cli.importing.brought import Brought, Tried
from bentos.cli.importing.items import Item
from training.data import Dataset
from training.itransformer.bands import BANDS
from training.itransformer.forecaster import Forecaster
from training.itransformer.forecaster import read as read_files
from training.itransformer.frames import Series, from_dataset
from training.itransformer.names import PREFIX
from training.manifest import Samples


def found(
    name: str, folder: Path, items: Sequence[Item], dataset: Dataset, columns: Sequence[str]
) -> Brought | None:
    """The forecaster, where there are weights. Raises Failed, or InputError of what is inside.

    What a bundle without `config.json` does not tell is taken from the table: step and columns.
    """
    weights = [item for item in items if item.kind == "weights"]
    scalers = [item for item in items if item.kind == "pickle"]
    if not weights:
        return None
    if len(weights) != 1 or len(scalers) != 1:
        raise Failed(
            f"There are {len(weights)} .pth and {len(scalers)} scalers: one of each is wanted"
        )
    if not name.startswith(PREFIX):
        raise Failed(f"A forecaster serves under {PREFIX}NAME: give --as {PREFIX}{name}")
    series = from_dataset(dataset)
    return _brought(_read(folder, weights[0], scalers[0], series, columns), series)


def _read(
    folder: Path, weights: Item, scaler: Item, series: Series, columns: Sequence[str]
) -> Forecaster:
    from bentos.itransformer.bundles import paths, read
    from bentos.itransformer.uploads import CONFIG, PKL, PTH, Form

    with tempfile.TemporaryDirectory() as place:
        files = paths(Path(place))
        shutil.copyfile(weights.path, files[PTH])
        shutil.copyfile(scaler.path, files[PKL])
        for name in (CONFIG, BANDS):
            if (folder / name).exists():
                shutil.copyfile(folder / name, files[name])
        form = Form(step=series.step, columns=",".join(columns or series.columns))
        return read(Path(place), form)


def _brought(forecaster: Forecaster, series: Series) -> Brought:
    with warnings.catch_warnings():  # mlflow warns about its own type hints
        warnings.simplefilter("ignore")
        from training.itransformer import package
    config = forecaster.config
    rows = series.ordered(config.columns).rows()
    heads = config.architecture.n_heads

    def sample(dataset: Dataset) -> Tried:
        return Tried(len(rows), package.sample(forecaster, rows))

    def save(path: Path, samples: Samples) -> None:
        package.save(forecaster, path)

    return Brought(
        f"forecaster of {', '.join(config.columns)}, with {heads} heads", sample, save,
        lambda path: read_files(path).predict, package.LIBRARIES,
    )  # fmt: skip
