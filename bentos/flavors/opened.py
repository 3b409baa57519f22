"""A model that was opened, of any flavor."""

from dataclasses import dataclass

from bentos.flavors.carried import Carried
from bentos.flavors.natives import Predict
from bentos.tensors import Schema


@dataclass(frozen=True)
class Opened:
    """A model in memory. `predict` gives its own answers to batches of its schema."""

    model: object
    method: str
    schema: Schema
    predict: Predict
    note: str = ""
    carried: Carried | None = None
