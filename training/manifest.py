"""What lies beside a model's own files: sample answers, and a digest of every file."""

import hashlib
import json
import math
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from training.errors import InputError, TrainingError

Table = pd.DataFrame | np.ndarray[Any, np.dtype[Any]] | Sequence[Any]
Predict = Callable[[Any], Any]

MOST_SAMPLES = 64


@dataclass(frozen=True)
class Samples:
    """Inputs with the outputs that a reader of the model must reproduce, 8 to 64 rows.

    They hold text, numbers and booleans; a gap in a pandas.DataFrame is a missing value. Raises
    `InputError` for other values.
    """

    inputs: Table
    outputs: Table
    rtol: float = 1e-5
    atol: float = 1e-8

    def __post_init__(self) -> None:
        if not 8 <= len(self.inputs) == len(self.outputs) <= MOST_SAMPLES:
            raise ValueError(
                f"{len(self.inputs)} sample inputs and {len(self.outputs)} outputs: "
                f"give 8 to {MOST_SAMPLES}, as many of each"
            )
        for side, table in (("inputs", self.inputs), ("outputs", self.outputs)):
            check_values(side, table)


def check(name: str, predict: Predict, samples: Samples) -> None:
    """Raise `TrainingError` when what was stored answers the samples differently."""
    answers, expected = np.asarray(predict(samples.inputs)), np.asarray(samples.outputs)
    if expected.shape == (len(answers), 1) and answers.ndim == 1:
        expected = expected[:, 0]  # a table of one column tells what such a model answers
    if answers.shape != expected.shape:
        close = False
    elif {answers.dtype.kind, expected.dtype.kind} <= set("biuf"):
        close = np.allclose(answers, expected, rtol=samples.rtol, atol=samples.atol)
    else:
        close = answers.tolist() == expected.tolist()
    if not close:
        raise TrainingError(
            f"{name}, read back from its files, does not reproduce its sample outputs; "
            "nothing was registered."
        )


def write_manifest(folder: Path, samples: Samples, libraries: Sequence[str]) -> str:
    """Write ascenso/samples.json and ascenso/manifest.json; give the manifest's SHA-256."""
    (folder / "ascenso").mkdir(exist_ok=True)
    (folder / "ascenso" / "samples.json").write_text(
        json.dumps(
            {
                "inputs": plain(samples.inputs),
                "outputs": plain(samples.outputs),
                "rtol": samples.rtol,
                "atol": samples.atol,
            },
            allow_nan=False,
        )
    )
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    manifest = {
        "format": 1,
        "files": {path.relative_to(folder).as_posix(): sha256(path) for path in files},
        "libraries": {"python": platform.python_version()} | versions(libraries),
    }
    path = folder / "ascenso" / "manifest.json"
    path.write_text(json.dumps(manifest, indent=2))
    return sha256(path)


def plain(table: Table) -> dict[str, Any] | list[Any]:
    """Turn a table into columns and rows, an array into nested lists; a gap becomes null."""
    rows: list[Any] = cells(table).tolist()
    if isinstance(table, pd.DataFrame):
        return {"columns": list(map(str, table.columns)), "data": rows}
    return rows


def cells(table: Table) -> Any:
    """Values as an array of Python's own; a gap of a table is None."""
    if isinstance(table, pd.DataFrame):
        table = table.astype(object).where(table.notna(), None).to_numpy()
    return np.frompyfunc(own, 1, 1)(np.asarray(table, dtype=object))


def own(value: Any) -> Any:
    """Give a number or text of numpy's as Python's."""
    return value.item() if isinstance(value, np.generic) and value.dtype.kind in "biufU" else value


def check_values(side: str, table: Table) -> None:
    """Raise `InputError` for a value that JSON cannot hold, and say where it is."""
    known = "samples hold text, finite numbers, booleans, and the gaps of a pandas.DataFrame"
    if isinstance(table, np.ndarray) and table.dtype.kind in "mM":
        raise InputError(f"The sample {side} are {table.dtype}, but {known}.")
    for place, value in np.ndenumerate(cells(table)):
        if not (value is None or isinstance(value, str | int | float)) or not_finite(value):
            at = [table.columns[place[1]]] if isinstance(table, pd.DataFrame) else place[1:]
            where = ", ".join([f"row {place[0]}", *(f"column {column!r}" for column in at)])
            raise InputError(f"The sample {side} have {value!r} in {where}, but {known}.")


def not_finite(value: object) -> bool:
    """Whether it is NaN or infinite."""
    return isinstance(value, float) and not math.isfinite(value)


def versions(libraries: Sequence[str]) -> dict[str, str]:
    """Give the installed versions of libraries. Raises `InputError` for one that is not there."""
    try:
        return {library: installed(library) for library in libraries}
    except PackageNotFoundError as error:
        raise InputError(
            f"{error.name!r}, of the libraries {list(libraries)}, is not installed: give names of "
            "packages, such as scikit-learn for sklearn."
        ) from error


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
