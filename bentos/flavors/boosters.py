"""CatBoost's own predictor, asked by its shortest way.

A graph would be slower: CatBoost's trees ask all rows the same questions, many rows at a time,
and its export to ONNX sums in float32 and has no categories. It gets matrices column by column,
as it keeps them (order "F"): of others it takes each number apart, which costs more than its
trees.
"""

import json
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bentos.flavors.graphs.door import named, outputs_of
from bentos.tensors import BadInput, Batch, Schema

READ = ("loss_function", "flat_params")  # of the training's parameters, at each prediction


class CatBoostPredictor:
    """A loaded CatBoost model. It changes the model's notes of its training: see `shorten`."""

    def __init__(self, model: Any, schema: Schema, method: str = "predict") -> None:
        shorten(model)
        self._predict = partial(getattr(model, method), thread_count=1)
        self._outputs = outputs_of(schema)
        self._flat = not schema.outputs  # a label a row, of which CatBoost makes lists of one
        self._names = None if schema.single and schema.single.shape else schema.names
        self._words = model.get_cat_feature_indices()
        others = [*model.get_text_feature_indices(), *model.get_embedding_feature_indices()]
        width = len(model.feature_names_)
        self._numbers = [at for at in range(width) if at not in self._words]
        # The typed form has the numbers before the words; elsewhere they keep their places.
        self._typed = not others and self._words == list(range(len(self._numbers), width))

    def __call__(self, batch: Batch) -> Batch:
        """What the model gives for these rows. Raises BadInput for a missing category."""
        answers = np.asarray(self._predict(self._rows(batch)))
        if self._flat and answers.ndim == 2 and answers.shape[1] == 1:
            answers = answers[:, 0]
        return named(self._outputs, answers)

    def _rows(self, batch: Batch) -> Any:
        if self._names is not None:
            batch = batch.select(self._names)
        if not self._words and self._typed:
            return np.require(_numbers(batch.block()), requirements=["F", "W"])
        columns = list(batch.values()) if self._names is not None else list(batch.block().T)
        words = {at: _words(columns[at], batch.names[at]) for at in self._words}
        if self._typed:
            return self._pool(columns, words)
        rows = np.empty((batch.size, len(columns)), dtype=object)
        for at, column in enumerate(columns):
            rows[:, at] = words.get(at, column)
        return rows

    def _pool(self, columns: list[NDArray[Any]], words: dict[int, list[str]]) -> Any:
        from catboost import FeaturesData, Pool

        numbers = np.empty((len(columns[0]), len(self._numbers)), np.float32, order="F")
        for at in self._numbers:
            numbers[:, at] = _numbers(columns[at])
        encoded = np.empty((len(columns[0]), len(words)), dtype=object)
        for place, values in enumerate(words.values()):
            encoded[:, place] = [value.encode() for value in values]
        features = FeaturesData(num_feature_data=numbers, cat_feature_data=encoded)
        return Pool(features, thread_count=1)


def _numbers(column: NDArray[Any]) -> NDArray[Any]:
    """A column of numbers; None is NaN."""
    return column if column.dtype.kind in "fiub" else column.astype(np.float64)


def _words(column: NDArray[Any], name: str) -> list[str]:
    """A column of categories as text, as CatBoost itself writes whole numbers."""
    values: list[Any] = column.tolist()
    for row, value in enumerate(values):
        if type(value) is not str:
            if value is None or isinstance(value, float):
                what = "may not be missing" if value is None or value != value else f"is {value!r}"
                known = "a category is text or a whole number"
                raise BadInput(f"{name or 'the input'} {what}; {known}", name, row)
            values[row] = str(value)
    return values


def shorten(model: Any) -> None:
    """Leave of the model's notes of its training what a prediction reads.

    CatBoost parses them again at each call, which costs one row five times what its trees do.
    """
    notes = model.get_metadata()
    if "params" in notes.keys():  # noqa: SIM118 (no mapping of Python's)
        params = json.loads(notes["params"])
        notes["params"] = json.dumps({name: params[name] for name in READ if name in params})
