"""What lies beside a model's own files: sample answers, and a digest of every file."""

import hashlib
import json
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from training.errors import TrainingError

Table = pd.DataFrame | np.ndarray[Any, np.dtype[Any]]
Predict = Callable[[Any], Any]

MOST_SAMPLES = 64


@dataclass(frozen=True)
class Samples:
    """Inputs with the outputs that a reader of the model must reproduce, 8 to 64 rows."""

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


def check(name: str, predict: Predict, samples: Samples) -> None:
    """Raise `TrainingError` when what was stored answers the samples differently."""
    answers, expected = np.asarray(predict(samples.inputs)), np.asarray(samples.outputs)
    close = answers.shape == expected.shape and np.allclose(
        answers, expected, rtol=samples.rtol, atol=samples.atol
    )
    if not close:
        raise TrainingError(
            f"{name}, read back from its files, does not reproduce its sample outputs; "
            "nothing was registered."
        )


def write_manifest(folder: Path, samples: Samples, libraries: Sequence[str]) -> str:
    """Write ascenso/samples.json and ascenso/manifest.json; give the manifest's SHA-256."""
    (folder / "ascenso").mkdir()
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
        "libraries": {"python": platform.python_version()}
        | {library: installed(library) for library in libraries},
    }
    path = folder / "ascenso" / "manifest.json"
    path.write_text(json.dumps(manifest, indent=2))
    return sha256(path)


def plain(table: Table) -> dict[str, Any] | list[Any]:
    """Turn a table into columns and rows, an array into nested lists; a gap becomes null."""
    if isinstance(table, pd.DataFrame):
        cells = table.astype(object).where(table.notna(), None)
        return {"columns": list(map(str, table.columns)), "data": cells.to_numpy().tolist()}
    values: list[Any] = table.tolist()
    return values


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
