"""Models as people log them with MLflow: of each kind one, in each manner of describing it."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mlflow.models import ModelSignature, infer_signature
from mlflow.types import Schema as MlflowSchema
from numpy.typing import NDArray

from bentos.flavors.mlmodel import MLmodel
from tests.flavors.graphs.tables import NUMBERS, TEXTS, levels, purchases, target

MANNERS = ("both", "example", "signature", "neither")
TABLE = purchases(300)
VALUES = target(TABLE)
LEVELS = levels(VALUES)
PAID = TABLE["paid"].to_numpy().astype(int)
NUMERIC = list(NUMBERS)
MIXED = ["price", "quantity", *TEXTS]
SPACED = {"price": "unit price", "quantity": "quantity", "city": "city"}
WORDS = ["good", "bad", "cheap", "dear", "fast", "slow"]
SENTENCES = [" ".join(WORDS[(at * 7 + by) % 6] for by in (0, at % 3, 5)) for at in range(300)]


@dataclass(frozen=True)
class Case:
    """A fitted model, how it is saved, the columns it takes, and its own answers to a table."""

    model: Any
    save: Callable[..., Any]
    form: str
    columns: list[str]
    answers: Callable[[Any], NDArray[Any]]
    example: Any
    inputs: Any  # of the signature
    strangers: str = "answered"


def saved(case: Case, manner: str, folder: Path) -> MLmodel:
    """The case's model as a version holds it."""
    outputs = np.asarray(case.answers(rows(case, 3)))
    described: dict[str, Any] = {"signature": False}
    if manner in ("both", "example"):
        described["input_example"] = case.example
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if manner in ("both", "signature"):
            described["signature"] = _signature(case, outputs)
        case.save(case.model, str(folder / "model"), pip_requirements=["x"], **described)
    return MLmodel(folder / "model")


def _signature(case: Case, outputs: NDArray[Any]) -> ModelSignature:
    if isinstance(case.inputs, MlflowSchema):
        return ModelSignature(case.inputs, infer_signature(outputs).inputs)
    return infer_signature(case.inputs, outputs)


def rows(case: Case, count: int = 200, start: int = 0) -> Any:
    """Rows of the kind that the model itself takes."""
    if case.form == "texts":
        return SENTENCES[start : start + count]
    table = TABLE.iloc[start : start + count]
    if case.form == "objects":
        return table[case.columns].to_dict("records")
    if case.form == "matrix":
        return table[case.columns].to_numpy(np.float64)
    if case.form == "tensor":
        return np.log(table[case.columns].to_numpy(np.float32) + 1)
    return table[case.columns].rename(columns=SPACED if case.form == "spaced" else {})


def described(
    model: Any, save: Callable[..., Any], form: str, columns: list[str], answers: Any = None,
    strangers: str = "answered", inputs: Any = None,
) -> Case:  # fmt: skip
    made = Case(model, save, form, columns, answers or model.predict, None, None, strangers)
    few = rows(made, 5)
    inputs = few if inputs is None else inputs
    return Case(model, save, form, columns, made.answers, few, inputs, strangers)
