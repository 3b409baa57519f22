"""What answers for a version by its schema: a graph, if one is proved."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeAlias

from bentos.admission.compiling import held, leave
from bentos.admission.verdict import GRAPH
from bentos.flavors.graphs import Compiled, NoGraph, Session
from bentos.flavors.natives import Predict
from bentos.serving.release import Probabilities, Runs
from bentos.tensors import Batch, Schema

Compile: TypeAlias = Callable[[bool], Compiled]  # with the probabilities, or without


class Made(NamedTuple):
    """What answers, and what is known of it."""

    predict: Predict
    runs: Runs
    note: str
    probabilities: Probabilities


class Asked(NamedTuple):
    """A model that is open somewhere, with its own answers to rows of its schema.

    The samples are `made_up` where the version has no input example.
    """

    schema: Schema
    samples: Batch
    predict: Predict
    probabilities: Probabilities
    made_up: bool


def by_graph(asked: Asked, compiled: Compile, place: Path) -> Made:
    """A graph that is proved, with the probabilities where it can give them. Raises NoGraph."""
    schema, samples, predict, shares, _ = asked
    if shares.predict:
        try:
            proto, note = held(compiled(True), schema, shares.predict, samples, probabilities=True)
        except NoGraph as error:
            shares = Probabilities(lacks=f"its graph gives none: {error}")
        else:
            return Made(Session(leave(proto, place / GRAPH)), "onnx", note, shares)
    proto, note = held(compiled(False), schema, predict, samples)
    return Made(Session(leave(proto, place / GRAPH)), "onnx", note, shares)
