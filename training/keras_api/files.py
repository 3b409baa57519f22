"""Models and scalers that were fitted elsewhere, read from a path or from S3."""

import json
import tempfile
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Annotated
from zipfile import BadZipFile, ZipFile

import keras
import msgspec
import numpy as np
import skops.io
from sklearn.preprocessing import StandardScaler

from training.data import read_bytes
from training.errors import InputError
from training.keras_api.graph import refuse_foreign
from training.keras_api.scaling import Scaler
from training.pooling import otherwise_on_torch

Deviation = Annotated[float, msgspec.Meta(gt=0)]


class MeanAndScale(msgspec.Struct, forbid_unknown_fields=True):
    """A scaler as JSON, `(x - mean) / scale` by column."""

    mean: list[float]
    scale: list[Deviation]


def read_model(location: str) -> keras.Model:
    """Read a `.keras` file from a path or an `s3://bucket/key`, whatever backend wrote it.

    Raises `InputError` for another format, for a file that holds more than Keras' own layers, and
    for a layer that torch, which serves it, computes otherwise.
    """
    if suffix(location) != ".keras":
        raise InputError(
            f"{location} is no .keras file: open it where it was made, and "
            "model.save('model.keras') with Keras 3."
        )
    content = read_bytes(location)
    try:
        with ZipFile(BytesIO(content)) as archive:
            config = json.loads(archive.read("config.json"))
        refuse_foreign(config)
        if odd := otherwise_on_torch(config):
            raise InputError(f"The model's {odd}: train it with padding='valid', or a pool of 2.")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "model.keras")
            path.write_bytes(content)
            return keras.saving.load_model(path, compile=False, safe_mode=True)
    except (BadZipFile, KeyError, OSError, TypeError, ValueError) as error:
        raise InputError(f"{location} is no readable .keras file: {error}") from error


def read_scaler_file(location: str | None) -> Scaler:
    """Read a scaler from a `.skops` or `.json` file; no location is no scaler.

    The JSON is `{"mean": [...], "scale": [...]}`. A pickle is never opened.
    """
    if location is None:
        return None
    readers = {".skops": from_skops, ".json": from_json}
    reader = readers.get(suffix(location))
    if reader is None:
        raise InputError(
            f"{location} may be a pickle, which is never opened: write the scaler with "
            "skops.io.dump(scaler, 'scaler.skops'), or its mean and scale as .json."
        )
    return reader(location, read_bytes(location))


def from_skops(location: str, content: bytes) -> Scaler:
    """Read a scaler that skops wrote; which one it is, is judged later."""
    try:
        scaler: Scaler = skops.io.loads(content)  # trusts scikit-learn's own types, no others
    except Exception as error:  # skops gives what its parts raise
        raise InputError(f"{location} is no readable .skops file: {error}") from error
    return scaler


def from_json(location: str, content: bytes) -> StandardScaler:
    """Make the scaler of a mean and a scale."""
    try:
        given = msgspec.json.decode(content, type=MeanAndScale)
    except msgspec.DecodeError as error:
        raise InputError(f"{location}: {error}.") from error
    if len(given.mean) != len(given.scale):
        raise InputError(
            f"{location}: mean has {len(given.mean)} columns, but scale {len(given.scale)}."
        )
    scaler = StandardScaler()
    scaler.mean_, scaler.scale_ = np.array(given.mean), np.array(given.scale)
    scaler.var_, scaler.n_features_in_ = scaler.scale_**2, len(given.mean)
    return scaler


def suffix(location: str) -> str:
    """Give the ending of a path or URL, in small letters."""
    return PurePosixPath(location).suffix.lower()
