"""What classifiers know beside their answers: how probable each of their classes is."""

import json
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from bentos.flavors.natives import Predict, native
from bentos.refusal import Refusal
from bentos.tensors import Batch
from bentos.tensors.schema import PREDICTION, PROBABILITIES

if TYPE_CHECKING:
    from bentos.flavors.opened import Opened

METHOD = "predict_proba"


class NoProbabilities(Exception):
    """A model that has none; the message says why."""


def classes_of(opened: "Opened") -> tuple[str, ...]:
    """The classes of a model's probabilities, in order, as JSON's keys. Raises NoProbabilities."""
    model: Any = opened.model
    name = type(model).__name__
    if not callable(getattr(model, METHOD, None)):
        raise NoProbabilities(f"a {name} has no {METHOD}")
    classes = getattr(model, "classes_", None)
    if classes is None or isinstance(classes, list) or np.ndim(classes) != 1:
        raise NoProbabilities(f"a {name} of several outputs has no one list of classes")
    if any(column.name == PROBABILITIES for column in opened.schema.outputs):
        raise NoProbabilities(f"a column of its answers is called {PROBABILITIES!r} already")
    keys: list[Any] = np.asarray(classes).tolist()
    return tuple(key if isinstance(key, str) else json.dumps(key) for key in keys)


def with_probabilities(opened: "Opened") -> Predict:
    """The model's own answers, with a column of (rows, classes)."""
    bare = msgspec.structs.replace(opened.schema, outputs=())
    shares = native(opened.model, bare, opened.carried, METHOD)

    def predict(batch: Batch) -> Batch:
        return Batch({**opened.predict(batch), PROBABILITIES: shares(batch)[PREDICTION]})

    return predict


def shares_of(opened: "Opened", samples: Batch) -> tuple[tuple[str, ...], Predict | None, str]:
    """The classes and who gives their probabilities, tried with samples; or why there are none."""
    try:
        classes, predict = classes_of(opened), with_probabilities(opened)
        predict(samples)
    except Exception as error:
        return (
            (),
            None,
            str(error) if isinstance(error, NoProbabilities | Refusal) else repr(error),
        )
    return classes, predict, ""
