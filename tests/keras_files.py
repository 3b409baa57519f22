"""Keras models as files, good ones and ones made wrong by hand."""

import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import ZipFile

os.environ["KERAS_BACKEND"] = "torch"  # read when keras is imported

import h5py
import keras
import numpy as np

__all__ = ["CONFIG", "WEIGHTS", "dense", "keras", "reconfigure", "reweigh", "rewrite"]

CONFIG, WEIGHTS = "config.json", "model.weights.h5"


def dense(width: int = 3, outputs: int = 1) -> keras.Model:
    """A small network with fixed weights, as someone would have trained it."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    model = keras.Sequential(
        [keras.Input((width,)), layers.Dense(4, activation="tanh"), layers.Dense(outputs)]
    )
    model.compile("adam", loss="mse")
    rows = np.random.default_rng(0).normal(size=(16, width))
    model.fit(rows, rows[:, :outputs], epochs=1, verbose=0)
    return model


def rewrite(path: Path, member: str, change: Callable[[bytes], bytes]) -> None:
    """Change one member of a `.keras` file."""
    with ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    entries[member] = change(entries.get(member, b""))
    with ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)


def reconfigure(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the config of a `.keras` file."""

    def changed(content: bytes) -> bytes:
        config = json.loads(content)
        change(config)
        return json.dumps(config).encode()

    rewrite(path, CONFIG, changed)


def reweigh(path: Path, change: Callable[[h5py.File], object]) -> None:
    """Change the weights of a `.keras` file."""

    def changed(content: bytes) -> bytes:
        buffer = io.BytesIO(content)
        with h5py.File(buffer, "r+") as file:
            change(file)
        return buffer.getvalue()

    rewrite(path, WEIGHTS, changed)
