"""A trained model with all that it needs to answer in its data's own units."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
import torch
from msgspec import Meta, Struct
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from training.errors import InputError
from training.itransformer.bands import BANDS, Bands
from training.itransformer.bands import read as read_bands
from training.itransformer.model import MARKS, ITransformer
from training.itransformer.settings import Architecture

WEIGHTS = "model.safetensors"
CONFIG = "config.json"

Floats = NDArray[np.float64]
Spread = Annotated[float, Meta(gt=0)]


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    """config.json: `mean` and `scale` of each column, and `step`, a pandas offset such as "h"."""

    architecture: Architecture
    columns: Annotated[tuple[str, ...], Meta(min_length=1)]
    mean: tuple[float, ...]
    scale: tuple[Spread, ...]
    step: str
    format: Literal[1] = 1

    def __post_init__(self) -> None:
        if not len(self.columns) == len(self.mean) == len(self.scale):
            raise ValueError(
                f"{len(self.columns)} `columns`, {len(self.mean)} of `mean`, "
                f"{len(self.scale)} of `scale`: give as many of each"
            )

    def metadata(self) -> dict[str, Any]:
        """What a service must know before it loads the weights."""
        shape = self.architecture
        return {
            "columns": list(self.columns),
            "seq_len": shape.seq_len,
            "pred_len": shape.pred_len,
            "step": self.step,
        }


@dataclass(frozen=True)
class Forecaster:
    """A network in `eval` mode, its config, and the bands of its forecasts where they are known.

    A file holds each of them whole: `model.safetensors`, `config.json`, `bands.safetensors`.
    """

    network: ITransformer
    config: Config
    bands: Bands | None = None

    def predict(self, windows: NDArray[Any]) -> Floats:
        """Forecast windows [B, seq_len, N + 4], series in their units then marks.

        Gives float64 [B, pred_len, N] in the same units.
        """
        mean, scale = np.array(self.config.mean), np.array(self.config.scale)
        scaled = np.array(windows, dtype=np.float64)
        scaled[..., :-MARKS] = (scaled[..., :-MARKS] - mean) / scale
        with torch.inference_mode():
            answers = self.network(torch.from_numpy(scaled).float())
        forecasts: Floats = answers.double().numpy() * scale + mean
        return forecasts

    def save(self, folder: Path) -> None:
        """Write its files into a folder that exists."""
        weights = {name: value.contiguous() for name, value in self.network.state_dict().items()}
        save_file(weights, folder / WEIGHTS)
        (folder / CONFIG).write_bytes(msgspec.json.format(msgspec.json.encode(self.config)))
        if self.bands:
            self.bands.save(folder / BANDS)


def load(weights: Path, config: Path, bands: Path | None = None) -> Forecaster:
    """Read its files; nothing in them can run.

    Raises `InputError` when one is not what `Forecaster.save` writes, or they do not fit.
    """
    read = read_config(config)
    try:
        state = load_file(weights)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{weights.name} is no safetensors file: {error}.") from error
    shape = read.architecture
    found = read_bands(bands, (shape.pred_len, len(read.columns))) if bands else None
    return Forecaster(assemble(state, shape), read, found)


def read(folder: Path) -> Forecaster:
    """Read a folder that holds its files. Raises `InputError`."""
    bands = folder / BANDS
    return load(folder / WEIGHTS, folder / CONFIG, bands if bands.exists() else None)


def read_config(path: Path) -> Config:
    """Read config.json. Raises `InputError`."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Config)
    except (OSError, UnicodeDecodeError, msgspec.DecodeError) as error:
        raise InputError(f"{path.name} is no config of a forecaster: {error}.") from error


def assemble(state: dict[str, torch.Tensor], shape: Architecture) -> ITransformer:
    """Make a network of given weights. Raises `InputError` when they do not fit its shape."""
    with torch.device("meta"):  # no weights are drawn only to be overwritten
        network = ITransformer(shape)
    try:
        network.load_state_dict(state, assign=True)
    except RuntimeError as error:
        raise InputError(f"The weights do not fit the architecture: {error}") from error
    if odd := [name for name, value in state.items() if value.dtype != torch.float32]:
        raise InputError(f"The weight {odd[0]} is {state[odd[0]].dtype}, not float32.")
    if odd := [name for name, value in state.items() if not value.isfinite().all()]:
        raise InputError(f"The weight {odd[0]} is not finite everywhere.")
    return network.eval()
