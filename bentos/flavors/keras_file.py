"""A `.keras` file, looked at before Keras opens it.

Keras' safe mode alone has let files through that import modules, call functions or read other
files (CVE-2025-1550, CVE-2025-8747, CVE-2025-9906, CVE-2025-12058, CVE-2026-1669). So the archive
may hold only what Keras writes, its config may name only what is on our list, and its weights
may lie nowhere but in the file. Format: https://keras.io/guides/serialization_and_saving/
"""

import json
from collections.abc import Iterator
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

from numpy.typing import NDArray

from bentos.flavors.keras_names import ACTIVATIONS, KINDS, SPECIAL
from bentos.process import keras_on_torch, without_compiler
from bentos.refusal import Refusal
from training.pooling import otherwise_on_torch

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
MEGABYTE = 1024 * 1024
MOST_BYTES = {CONFIG: 16 * MEGABYTE, METADATA: MEGABYTE, WEIGHTS: 1024 * MEGABYTE}
MOST_ARRAYS = 10_000


def open_keras(path: Path, backend: str = "torch") -> Any:
    """The model of a `.keras` file, written under one of Keras' backends.

    Raises Refusal when the file is not safe to open, or would answer otherwise here.
    """
    config, weights = _members(path)
    _check_names(config)
    if backend != "torch" and (odd := otherwise_on_torch(config)):
        raise Refusal("load", f"the model is of {backend}, and its {odd}")
    stored = _count(weights)
    keras = keras_on_torch()
    _check_size(keras, config, stored)
    return keras.saving.load_model(path, compile=False, safe_mode=True).eval()


def answer(model: Any, rows: NDArray[Any]) -> NDArray[Any]:
    """What a model of one input and one output gives; `model.predict` is slower."""
    with import_module("torch").inference_mode():
        answers: NDArray[Any] = keras_on_torch().ops.convert_to_numpy(model(rows, training=False))
    return answers


def _members(path: Path) -> tuple[dict[str, Any], bytes]:
    """The config and the weights of an archive that holds what Keras writes, and no more."""
    try:
        with ZipFile(path) as archive:
            found = sorted(archive.namelist())
            if found != sorted(MOST_BYTES):
                raise Refusal(
                    "load", f"{path.name} holds {found[:6]}, but Keras writes {sorted(MOST_BYTES)}"
                )
            for info in archive.infolist():
                if info.file_size > MOST_BYTES[info.filename]:
                    raise _too_large(info.filename, info.file_size)
            return _config(archive.read(CONFIG)), archive.read(WEIGHTS)
    except BadZipFile as error:
        raise Refusal(
            "load", f"{path.name} is no .keras file ({error}): save it with Keras 3's model.save"
        ) from error


def _config(content: bytes) -> dict[str, Any]:
    config = json.loads(content)
    if not isinstance(config, dict):
        raise Refusal("load", f"{CONFIG} describes no model")
    return config | {"compile_config": None}  # how to train on: not read with compile=False


def _check_names(config: dict[str, Any]) -> None:
    """Every class and function that a config names is on our list."""
    waiting: list[tuple[str, Any]] = [(str(config.get("class_name")), config)]
    while waiting:
        where, node = waiting.pop()
        if isinstance(node, dict):
            if "class_name" in node:
                check_name(where, node)
            waiting += [(f"{where}.{key}", value) for key, value in node.items()]
        elif isinstance(node, list):
            waiting += [(f"{where}[{at}]", value) for at, value in enumerate(node)]


def check_name(where: str, node: dict[str, Any]) -> None:
    """Raise Refusal for a class or function of a config that is not on our list."""
    kind, module, registered = (node.get(k) for k in ("class_name", "module", "registered_name"))
    if node.get("compile_config"):
        raise Refusal(
            "load",
            f"{where} holds an optimizer (compile_config), and only the outermost model may: "
            "training.keras_api.guardar_modelo leaves it out",
        )
    if kind == "function":
        known = module in ("builtins", "keras.activations") and node.get("config") in ACTIVATIONS
        kind = node.get("config")
    elif module is None:
        known = kind in SPECIAL
    else:
        known = kind in KINDS.get(str(module), ()) and registered in (None, kind)
    if not known:
        raise Refusal(
            "pickle",
            f"{where} is {module}.{kind} (registered as {registered}), which is not on our "
            "list of Keras layers: only those without code or files of their own are served",
        )


def _count(content: bytes) -> int:
    """How many numbers the weights are; all lie in the file itself."""
    import h5py

    with h5py.File(BytesIO(content)) as weights:
        return check_weights(weights)


def check_weights(weights: Any) -> int:
    """How many numbers an HDF5 file holds. Raises Refusal unless all lie in it, as they are."""
    count = size = 0
    for dataset in _datasets(weights):
        count += int(dataset.size)
        size += int(dataset.nbytes)
        if size > MOST_BYTES[WEIGHTS]:
            raise _too_large(WEIGHTS, size)
    return count


def _datasets(weights: Any) -> Iterator[Any]:
    """Every array of an HDF5 file. Links are not followed: they can lead to other files."""
    import h5py

    waiting, seen = [weights], 0
    while waiting:
        group = waiting.pop()
        for name in group:
            seen += 1
            where = f"{WEIGHTS}:{group.name.rstrip('/')}/{name}"
            if seen > MOST_ARRAYS:
                raise Refusal("load", f"{WEIGHTS} holds more than {MOST_ARRAYS} arrays")
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise Refusal("load", f"{where} is a link; weights must lie in the file itself")
            item = group[name]
            if isinstance(item, h5py.Group):
                waiting.append(item)
            elif isinstance(item, h5py.Dataset) and _is_plain(item):
                yield item
            else:
                raise Refusal("load", f"{where} is no array of numbers as Keras stores them")


def _is_plain(dataset: Any) -> bool:
    """Whether its numbers lie in the file, as they are: no other files, no filters."""
    elsewhere = dataset.external or dataset.is_virtual or dataset.chunks
    return not elsewhere and dataset.dtype.kind in "biuf"


def _check_size(keras: Any, config: dict[str, Any], stored: int) -> None:
    """The model asks for no more memory than the file holds numbers for."""
    with without_compiler(), keras.device("meta"):  # shapes only
        asked = keras.saving.deserialize_keras_object(config, safe_mode=True).count_params()
    if asked > stored:
        raise Refusal("load", f"{CONFIG} asks for {asked} weights, but {WEIGHTS} holds {stored}")


def _too_large(name: str, size: int) -> Refusal:
    limit = MOST_BYTES[name] // MEGABYTE
    return Refusal("load", f"{name} would take {size // MEGABYTE} MB; the limit is {limit} MB")
