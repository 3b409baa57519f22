"""What workers open of a version that has no graph: its own files, with no pickle among them.

A pickle is written again, as skops or pt2, which is held against what was read.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from bentos.admission.comparing import compare
from bentos.admission.verdict import BANDS, NATIVE
from bentos.flavors.loading import bands_file
from bentos.flavors.mlmodel import MLmodel
from bentos.flavors.natives import Predict
from bentos.flavors.opened import Opened
from bentos.flavors.opening import FROM_PICKLE, reopen
from bentos.process import skops_io
from bentos.refusal import Refusal
from bentos.tensors import Batch

SKOPS, PROGRAM = "model.skops", Path("data", "model.pt2")


def leave(mlmodel: MLmodel, place: Path) -> MLmodel:
    """Leave the files of a version as they are."""
    shutil.copytree(mlmodel.folder, place / NATIVE, copy_function=_linked)
    return MLmodel(place / NATIVE)


def leave_bands(mlmodel: MLmodel, place: Path) -> None:
    """Leave the bands of a version's forecasts, whatever answers them."""
    if found := bands_file(mlmodel):
        _linked(str(found), str(place / BANDS))


def leave_opened(mlmodel: MLmodel, opened: Opened, samples: Batch, place: Path) -> Predict:
    """Leave what gives a version's answers, opened again as workers will. Raises Refusal."""
    if not opened.note.startswith(FROM_PICKLE):
        return reopen(leave(mlmodel, place), opened.schema).predict
    try:
        again = reopen(_written_again(mlmodel, opened.model, place), opened.schema).predict
        same = not compare(opened.predict(samples), again(samples)).differs.any()
    except Refusal as error:
        raise Refusal(
            "pickle", f"written again without a pickle, it is refused: {error.message}"
        ) from error
    if not same:
        raise Refusal("pickle", "written again without a pickle, it answers otherwise")
    return again


def _written_again(mlmodel: MLmodel, model: Any, place: Path) -> MLmodel:
    write = _program if mlmodel.flavor == "pytorch" else _skops
    try:
        return _left(mlmodel, place, lambda folder: write(mlmodel, model, folder))
    except OSError:
        raise
    except Exception as error:
        raise Refusal("pickle", f"{type(error).__name__} while writing: {error}") from error


def leave_skops(mlmodel: MLmodel, content: bytes, place: Path) -> MLmodel:
    """Leave a file of skops in the place of a version's own."""

    def write(folder: Path) -> dict[str, str]:
        (folder / SKOPS).write_bytes(content)
        return _names_skops(mlmodel)

    return _left(mlmodel, place, write)


def _left(mlmodel: MLmodel, place: Path, write: Callable[[Path], dict[str, str]]) -> MLmodel:
    """A version whose model is written anew, which gives what its flavor says of that."""
    folder, flavor = place / NATIVE, mlmodel.flavor
    shutil.rmtree(folder, ignore_errors=True)  # of a way that was given up
    folder.mkdir()
    options = mlmodel.options | write(folder)
    flavors = {name: known for name, known in mlmodel.flavors.items() if name == "python_function"}
    content = mlmodel.content | {"flavors": flavors | {flavor: options}}
    (folder / "MLmodel").write_text(yaml.safe_dump(content))
    return MLmodel(folder)


def _skops(mlmodel: MLmodel, model: Any, folder: Path) -> dict[str, str]:
    """Write an estimator; give what its flavor says of that."""
    skops_io().dump(model, folder / SKOPS)
    return _names_skops(mlmodel)


def _names_skops(mlmodel: MLmodel) -> dict[str, str]:
    named = "pickled_model" if mlmodel.flavor == "sklearn" else "data"
    return {named: SKOPS, "serialization_format": "skops"}


def _program(mlmodel: MLmodel, program: Any, folder: Path) -> dict[str, str]:
    """Write a program of torch; give what its flavor says of that."""
    import torch

    (folder / PROGRAM).parent.mkdir()
    torch.export.save(program, folder / PROGRAM)
    return {"model_data": PROGRAM.parent.name, "serialization_format": "pt2"}


def _linked(source: str, target: str) -> None:
    """The same file by a second name, where the disk has such."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
