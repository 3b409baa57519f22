"""A forecaster as files to carry away: weights as the paper's code names them, and a scaler.

`<name>.pth` is a state_dict, `<name>.pkl` a pickled StandardScaler, and `config.json` tells what
these two cannot: names of columns, step, heads. Bundles without it are taken too.
`bands.safetensors` has the bands of the forecasts, where they are known.
"""

import pickle
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import msgspec
import numpy as np
import torch

from bentos.itransformer import scalers
from bentos.itransformer.archives import BadArchive, Bounds, members
from bentos.itransformer.uploads import CONFIG, FILES, PKL, PTH, Form
from training.errors import InputError
from training.itransformer.bands import BANDS, Bands
from training.itransformer.bands import read as read_bands
from training.itransformer.forecaster import Config, Forecaster, assemble, read_config
from training.itransformer.original import architecture, from_original, to_original

MOST_WEIGHTS = Bounds(files=2000, bytes=1024**3)


def paths(folder: Path) -> dict[str, Path]:
    """Where the files of a bundle lie, by how they are recognized."""
    return {kind: folder / name for kind, name in FILES.items()}


def read(folder: Path, form: Form) -> Forecaster:
    """Read a bundle. Raises `InputError` that says what does not fit."""
    files = paths(folder)
    mean, scale, columns = scalers.read(files[PKL])
    state = read_weights(files[PTH])
    if files[CONFIG].exists():
        config = read_config(files[CONFIG])
        if not (np.array_equal(config.mean, mean) and np.array_equal(config.scale, scale)):
            raise InputError("config.json and the .pkl tell different scalers.")
    else:
        names = named(form) or columns or [f"x{i + 1}" for i in range(len(mean))]
        config = Config(
            architecture(state, form.n_heads),
            _fitting(names, len(mean)),
            tuple(mean.tolist()),
            tuple(scale.tolist()),
            form.step,
        )
    network = assemble(state, config.architecture)
    return Forecaster(network, config, _bands(files[BANDS], config))


def _bands(path: Path, config: Config) -> Bands | None:
    if not path.exists():
        return None
    bands = read_bands(path, (config.architecture.pred_len, len(config.columns)))
    if not np.array_equal(bands.scale, config.scale):
        raise InputError(f"{BANDS} and the .pkl tell different scalers.")
    return bands


def named(form: Form) -> list[str]:
    """The columns' names, which commas separate."""
    return [name.strip() for name in form.columns.split(",")] if form.columns else []


def _fitting(names: list[str], count: int) -> tuple[str, ...]:
    if len(names) != count:
        raise InputError(f"There are {len(names)} names of columns, and the .pkl scales {count}.")
    if len({*names, "", "date"}) != count + 2:
        raise InputError(f"The columns {', '.join(names)} must be distinct, and none is 'date'.")
    return tuple(names)


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Read a state_dict under our names. Raises `InputError`."""
    _check_inside(path)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(f"The .pth holds more than weights: {_first(error)}") from error
    except Exception as error:  # of a broken file anything may come
        raise InputError(f"The .pth cannot be read: {type(error).__name__}: {error}") from error
    _check_weights(state, path.stat().st_size)
    return from_original(state)


def _check_inside(path: Path) -> None:
    try:
        with ZipFile(path) as archive:
            members(archive, MOST_WEIGHTS)
    except BadZipFile as error:
        raise InputError(f"The .pth is no file of torch.save (1.6 or newer): {error}") from error
    except BadArchive as error:
        raise InputError(f"The .pth cannot be unpacked: {error}") from error


def _check_weights(state: Any, size: int) -> None:
    if not isinstance(state, dict) or not state:
        raise InputError(f"The .pth holds a {type(state).__name__}, not a state_dict.")
    for name, value in state.items():
        if not isinstance(name, str) or type(value) is not torch.Tensor:
            raise InputError(f"The .pth holds {name!r}, which is no weight.")
        if value.layout != torch.strided or not value.is_floating_point() or value.is_meta:
            raise InputError(f"The weight {name} is {value.dtype}, {value.layout}.")
    if sum(value.numel() * value.element_size() for value in state.values()) > size:
        raise InputError("The .pth claims more weights than it holds.")


def _first(error: BaseException) -> str:
    text = str(error)
    return next((line for line in text.splitlines() if "GLOBAL" in line), text.splitlines()[0])


def write(forecaster: Forecaster, name: str, path: Path) -> None:
    """Write the zip of a bundle."""
    config = forecaster.config
    folder = path.with_suffix(".files")
    folder.mkdir()
    files = paths(folder)
    torch.save(to_original(forecaster.network.state_dict()), files[PTH])
    mean, scale = np.array(config.mean), np.array(config.scale)
    scalers.write(files[PKL], mean, scale, list(config.columns))
    files[CONFIG].write_bytes(msgspec.json.format(msgspec.json.encode(config)))
    if forecaster.bands:
        forecaster.bands.save(files[BANDS])
    with ZipFile(path, "x") as archive:
        for kind, file in files.items():
            if file.exists():
                archive.write(file, f"{name}{kind}" if kind in (PTH, PKL) else kind)
                file.unlink()
    folder.rmdir()
