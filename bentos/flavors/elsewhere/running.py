"""Versions that are opened by running what they bring: in quarantine, and nowhere else."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bentos.flavors.mlmodel import MLmodel
from bentos.flavors.opened import Opened
from bentos.flavors.opening import open_found, open_model
from bentos.process import skops_io, without_warnings
from bentos.refusal import Refusal

FILES: Mapping[str, str] = {"sklearn": "pickled_model", "lightgbm": "data"}
CODE = "code"


def open_by_running(mlmodel: MLmodel) -> Opened:
    """Open a version with its own code: pickles are unpickled. Raises Refusal."""
    for options in mlmodel.flavors.values():
        if options.get(CODE):
            sys.path.insert(0, str(mlmodel.folder / str(options[CODE])))
    key = FILES.get(mlmodel.flavor)
    name = mlmodel.options.get(key) if key else None
    if name is None:
        return open_model(mlmodel)
    path = mlmodel.file(name)
    skops = mlmodel.options.get("serialization_format") == "skops"
    load: Callable[[Path], Any] = _skops if skops else _pickle
    return open_found(mlmodel, lambda: _loaded(load, path))


def as_skops(model: Any) -> bytes:
    """The model as a file of skops; of a search, what it found. Raises what skops raises."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "model.skops")
        skops_io().dump(getattr(model, "best_estimator_", model), path)
        return path.read_bytes()


def _loaded(load: Callable[[Path], Any], path: Path) -> Any:
    try:
        with without_warnings():
            return load(path)
    except ModuleNotFoundError as error:
        raise Refusal(
            "code",
            f"it needs the module {error.name}, which it does not bring along: log it again with "
            f"code_paths=[...]",
        ) from error


def _pickle(path: Path) -> Any:
    import joblib

    return joblib.load(path)  # also what is no joblib's


def _skops(path: Path) -> Any:
    io = skops_io()
    return io.load(path, trusted=io.get_untrusted_types(file=path))
