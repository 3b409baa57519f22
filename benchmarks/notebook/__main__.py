"""Log each kind of model in each manner, register and promote it, and keep what it answers.

MLFLOW_TRACKING_URI=... python -m benchmarks.notebook CELLS.jsonl
"""

import json
import sys
import warnings
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.models import infer_signature

import mlflow
from benchmarks.notebook import boosters, networks, scikit
from benchmarks.notebook.kind import Kind
from benchmarks.notebook.rows import as_json
from mlflow import MlflowClient

MANNERS = ("both", "example", "signature", "neither", "autolog")
# What people do when MLflow refuses to write a model by its default.
INSTEAD = {
    "mlflow.sklearn": {"serialization_format": "cloudpickle"},
    "mlflow.lightgbm": {"serialization_format": "cloudpickle"},
    "mlflow.pytorch": {"serialization_format": "pickle"},
}
LIBRARIES = ("scikit-learn", "numpy", "scipy", "pandas", "xgboost-cpu", "lightgbm", "catboost")
NEWEST_MAJOR = int(mlflow.__version__.partition(".")[0])


def cells(kind: Kind) -> Iterator[dict[str, Any]]:
    """The kind in each manner: what it is registered as, rows, and the answers to them."""
    model = kind.fit(kind.train)
    for at, manner in enumerate(MANNERS):
        name = f"{kind.name}, {manner}"
        cell = {"kind": kind.name, "manner": manner, "model": name}
        try:
            if manner == "autolog":
                if kind.autolog is None:
                    continue
                model, wrote = autologged(kind, name), "default"
            else:
                wrote = logged(kind, model, manner, name, by_run=at % 2 == 1)
            promote(name, by_alias=at % 3 == 1)
        except Exception as error:  # of MLflow, which cannot log it so
            yield {**cell, "error": f"{type(error).__name__}: {error}".splitlines()[0]}
            continue
        answers = kind.answers(model, kind.fresh).tolist()
        yield {**cell, "wrote": wrote, "rows": as_json(kind.fresh), "answers": answers}


def logged(kind: Kind, model: Any, manner: str, name: str, by_run: bool) -> str:
    """Log a model and register it: in the same call, or afterwards by its run."""
    options = described(kind, model, manner) | {"pip_requirements": stored(), **kind.options}
    if not by_run:
        options["registered_model_name"] = name
    with mlflow.start_run() as run:
        try:
            kind.flavor.log_model(model, "model", **options)
            wrote = "default"
        except MlflowException:
            instead = INSTEAD.get(kind.flavor.__name__)
            if instead is None or NEWEST_MAJOR < 3:
                raise
            kind.flavor.log_model(model, "model", **options, **instead)
            wrote = instead["serialization_format"]
    if by_run:
        mlflow.register_model(f"runs:/{run.info.run_id}/model", name)
    return wrote


def stored() -> list[str]:
    """What MLflow finds by itself when it loads the model, which takes seconds each time."""
    return [f"{name}=={version(name)}" for name in LIBRARIES]


def described(kind: Kind, model: Any, manner: str) -> dict[str, Any]:
    """The example and the signature of a manner."""
    few = kind.ready(kind.train[:5])
    made = {"input_example": few} if manner in ("both", "example") else {}
    if manner in ("both", "signature"):
        made["signature"] = infer_signature(few, kind.answers(model, kind.train[:5]))
    return made


def autologged(kind: Kind, name: str) -> Any:
    """Train it again while MLflow looks on."""
    if kind.autolog is None:
        raise TypeError(f"MLflow does not log {kind.name} by itself")
    kind.autolog(registered_model_name=name, silent=True)
    try:
        with mlflow.start_run():
            return kind.fit(kind.train)
    finally:
        kind.autolog(disable=True, silent=True)


def promote(name: str, by_alias: bool) -> None:
    """Move the newest version to Production, or give it the alias that MLflow's pages use."""
    client = MlflowClient()
    version = max(client.search_model_versions(f"name='{name}'"), key=lambda v: int(v.version))
    if by_alias:
        client.set_registered_model_alias(name, "champion", version.version)
    else:
        client.transition_model_version_stage(name, version.version, "Production")


def main() -> None:
    """Write a line of JSON for each cell."""
    warnings.simplefilter("ignore")
    mlflow.set_experiment("a notebook")
    only = sys.argv[2:]
    with Path(sys.argv[1]).open("w") as out:
        for kind in [*scikit.kinds(), *boosters.kinds(), *networks.kinds()]:
            if only and kind.name not in only:
                continue
            for cell in cells(kind):
                print(cell["model"], cell.get("error") or f"written as {cell['wrote']}")
                print(json.dumps(cell), file=out, flush=True)


if __name__ == "__main__":
    main()
