"""Versions of models as MLflow logs them."""

import json
from pathlib import Path
from typing import Any

import yaml

from bentos.flavors.mlmodel import MLmodel
from bentos.flavors.opened import Opened
from bentos.flavors.samples import samples_of
from bentos.tensors import Batch

TWO = ["price", "quantity"]


def version(folder: Path, example: Any = None, kind: str = "", **more: Any) -> MLmodel:
    """An MLmodel of a scikit-learn model, whose file is not read here."""
    content: dict[str, Any] = {"flavors": {"sklearn": {}, "python_function": {}}, **more}
    if kind:
        content["saved_input_example_info"] = {"artifact_path": "example.json", "type": kind}
        (folder / "example.json").write_text(json.dumps(example))
    (folder / "MLmodel").write_text(yaml.safe_dump(content))
    return MLmodel(folder)


def kinds(opened: Opened) -> list[str]:
    return [str(column) for column in opened.schema.inputs]


def rows_of(opened: Opened, folder: Path) -> Batch:
    rows, _ = samples_of(MLmodel(folder), opened)
    return rows
