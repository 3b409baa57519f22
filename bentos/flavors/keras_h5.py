"""A Keras model in one HDF5 file, as Keras 2 wrote it: looked at before Keras opens it.

Keras opens such a file with its older code, which knows classes by their bare names. So every name
must be one of our list, every weight must lie in the file, and what comes out is written as a
`.keras` file, which is looked at once more. Nothing but an import opens these files.
"""

import json
import tempfile
from io import BytesIO
from pathlib import Path
from typing import Any

from bentos.flavors.keras_file import check_name, check_weights, open_keras
from bentos.flavors.keras_names import ACTIVATIONS, KINDS
from bentos.process import keras_on_torch
from bentos.refusal import Refusal

KNOWN = frozenset().union(*KINDS.values()) | ACTIVATIONS
LARGEST = 1024 * 1024 * 1024  # bytes


def open_h5(path: Path) -> tuple[Any, str]:
    """The model of an HDF5 file, and the release of Keras that wrote it. Raises Refusal."""
    import h5py

    if path.stat().st_size > LARGEST:
        raise Refusal("load", f"{path.name} has more than {LARGEST >> 20} MB")
    try:
        with h5py.File(BytesIO(path.read_bytes())) as file:
            config, release = file.attrs.get("model_config"), file.attrs.get("keras_version", "")
            if config is None:
                raise Refusal("load", f"{path.name} holds no model: only its weights, perhaps")
            _check_names(json.loads(config), path.name)
            check_weights(file)
    except OSError as error:
        raise Refusal("load", f"{path.name} is no HDF5 file: {error}") from error
    return _rewritten(path), str(release)


def _rewritten(path: Path) -> Any:
    """The model, by way of a `.keras` file."""
    try:
        model = keras_on_torch().saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:
        raise Refusal("load", f"Keras does not open {path.name}: {error}") from error
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder, "model.keras")
        model.save(written)
        return open_keras(written, "tensorflow")


def _check_names(config: Any, where: str) -> None:
    waiting = [config]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting += node
        elif isinstance(node, dict):
            waiting += node.values()
            if "class_name" in node:
                _check_class(node, where)


def _check_class(node: dict[str, Any], where: str) -> None:
    """A name with its module, as newer releases write it, or a bare one."""
    if node.get("module") is not None:
        check_name(where, node)
    elif node["class_name"] not in KNOWN:
        raise Refusal(
            "pickle",
            f"{where} names {node['class_name']!r}, which is not on our list of Keras layers: "
            "only those without code or files of their own are served",
        )
