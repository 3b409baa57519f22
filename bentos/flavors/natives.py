"""Models asked as MLflow asks them, with batches.

A row that a model cannot take is its caller's fault: where the library does not say which row and
column it was, that is looked for afterwards.
"""

from collections.abc import Callable
from inspect import signature
from typing import Any, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from bentos.flavors.boosters import CatBoostPredictor
from bentos.flavors.carried import Carried, is_missing
from bentos.flavors.entrance import Matrix, PandasTable, entrance, refuse_missing, unknown
from bentos.flavors.graphs.door import named, outputs_of
from bentos.refusal import Refusal
from bentos.tensors import BadInput, Batch, Schema

Predict: TypeAlias = Callable[[Batch], Batch]
Ask: TypeAlias = Callable[[Batch], NDArray[Any]]

FLOAT32_MAX = float(np.finfo(np.float32).max)
BY_VALUE = ("contains NaN", "contains infinity", "Found unknown categories", "out of range")
MOST_TRIED = 200  # rows, one by one, to find the one that a model cannot take


def native(
    model: Any, schema: Schema, carried: Carried | None = None, method: str = "predict"
) -> Predict:
    """A model's own answers to batches of the schema. Raises Refusal where they do not fit."""
    flat = _flat(schema)
    if flat is not schema:
        asked = native(model, flat, carried, method)
        return guarded(schema, lambda batch: asked(_flattened(batch)))
    module = type(model).__module__.partition(".")[0]
    if module == "catboost":
        shaped = CatBoostPredictor(model, _reordered(model, schema), method)
        return guarded(schema, lambda batch: shaped(batch))
    makers = {"xgboost": _xgboost, "lightgbm": _lightgbm}
    ask = makers.get(module, _scikit)(model, schema, carried, method)
    outputs = outputs_of(schema)
    return guarded(schema, lambda batch: named(outputs, ask(batch)))


def _flat(schema: Schema) -> Schema:
    """The schema, in which a named tensor of one value a row is a column of a table.

    MLflow gives a model a dictionary of such tensors, which is no input of these libraries.
    """
    if schema.single is not None or not any(column.shape == (1,) for column in schema.inputs):
        return schema
    inputs = tuple(
        msgspec.structs.replace(column, shape=()) if column.shape == (1,) else column
        for column in schema.inputs
    )
    return msgspec.structs.replace(schema, inputs=inputs)


def _flattened(batch: Batch) -> Batch:
    columns = batch.items()
    return Batch({n: v[:, 0] if v.shape[1:] == (1,) else v for n, v in columns})


def guarded(schema: Schema, predict: Predict) -> Predict:
    """A predictor that says BadInput of rows that it cannot take."""

    def answer(batch: Batch) -> Batch:
        refuse_missing(schema, batch)
        try:
            with np.errstate(all="ignore"):
                return predict(batch)
        except (BadInput, Refusal):
            raise
        except Exception as error:
            if blamed := _blame(schema, batch, predict, error):
                raise blamed from error
            raise

    return answer


def _scikit(model: Any, schema: Schema, carried: Carried | None, method: str) -> Ask:
    enter, call = entrance(model, schema, carried), _method(model, method)
    return lambda batch: _dense(call(enter(batch)))


def _dense(answers: Any) -> NDArray[Any]:
    """Answers as one array; several outputs' probabilities are a list of arrays."""
    if isinstance(answers, list) and len({getattr(part, "shape", None) for part in answers}) == 1:
        return np.stack(answers, axis=1)
    if hasattr(answers, "toarray"):
        answers = answers.toarray()
    return np.asarray(answers)


def _xgboost(model: Any, schema: Schema, carried: Carried | None, method: str) -> Ask:
    import xgboost

    booster = model.get_booster() if hasattr(model, "get_booster") else model
    booster.set_param({"nthread": 1})  # a batch has its core
    names, types = booster.feature_names, booster.feature_types
    enter: Any = Matrix(schema)
    if names is not None:
        known = {} if carried is None else _categories(carried)
        enter = PandasTable(schema, names, known, strangers=False)
    if booster is model:
        if method != "predict":
            raise _no_method(model, method)
        plain = {} if names is not None else {"feature_names": names, "feature_types": types}
        fixed = _fixed(model.predict, schema)

        def ask(batch: Batch) -> NDArray[Any]:
            matrix = xgboost.DMatrix(enter(batch), nthread=1, enable_categorical=True, **plain)
            return np.asarray(model.predict(matrix, **fixed))

        return ask
    call = _method(model, method)
    fixed = _fixed(call, schema)
    return lambda batch: np.asarray(call(enter(batch), **fixed))


def _fixed(call: Callable[..., Any], schema: Schema) -> dict[str, Any]:
    """The defaults of the params that MLflow hands on, as far as XGBoost's method has them."""
    known = signature(call).parameters
    fixed = [param for param in schema.params if param.fixed and param.name in known]
    return {param.name: param.default for param in fixed if param.default is not None}


def _lightgbm(model: Any, schema: Schema, carried: Carried | None, method: str) -> Ask:
    known = {} if carried is None else _categories(carried)
    wrapped = hasattr(model, "booster_")
    if not wrapped and method != "predict":
        raise _no_method(model, method)
    numbered = carried is not None and not carried.named
    booster = model.booster_ if wrapped else model
    enter: Any = Matrix(schema) if numbered else PandasTable(schema, booster.feature_name(), known)
    call = _method(model, method)
    return lambda batch: np.asarray(call(enter(batch), num_threads=1))


def _categories(carried: Carried) -> dict[str, tuple[Any, ...]]:
    return {c.name: c.categories for c in carried.columns if c.categories is not None}


def _reordered(model: Any, schema: Schema) -> Schema:
    """The schema with the columns in the order of a CatBoost model."""
    columns = {column.name: column for column in schema.inputs}
    names = [str(name) for name in model.feature_names_]
    if columns.keys() != set(names):
        return schema
    return msgspec.structs.replace(schema, inputs=tuple(columns[name] for name in names))


def _method(model: Any, method: str) -> Callable[..., Any]:
    call = getattr(model, method, None)
    if not callable(call):
        raise _no_method(model, method)
    return call  # type: ignore[no-any-return]


def _no_method(model: Any, method: str) -> Refusal:
    return Refusal("flavor", f"a {type(model).__name__} has no {method}")


def _blame(schema: Schema, batch: Batch, predict: Predict, error: Exception) -> BadInput | None:
    """Which value a model could not take, or None where no row is to blame alone."""
    message = str(error).lower()
    if "inf" in message and (found := _too_large(schema, batch)):
        return found
    if "categor" in message and (found := _stranger(schema, batch)):
        return found
    return _alone(batch, predict, error)


def _too_large(schema: Schema, batch: Batch) -> BadInput | None:
    for column in schema.inputs:
        values = batch[column.name]
        if values.dtype.kind != "f":
            continue
        far = np.abs(values) > FLOAT32_MAX
        if far.any():
            row, label = int(np.argwhere(far)[0][0]), column.name or "the input"
            message = f"{label} is {float(values[far][0])!r}, which is too large for the model"
            return BadInput(message, column.name, row)
    return None


def _stranger(schema: Schema, batch: Batch) -> BadInput | None:
    for column in schema.inputs:
        known = column.categories
        if known is None or column.shape:
            continue
        for row, value in enumerate(batch[column.name].tolist()):
            if value not in known and not is_missing(value):
                return unknown(column.name, value, known, row)
    return None


def _alone(batch: Batch, predict: Predict, error: Exception) -> BadInput | None:
    """The first row that fails, where others do not, or where its values became no number."""
    start, stop = 0, batch.size
    while stop - start > MOST_TRIED:
        middle = (start + stop) // 2
        fails = not _takes(predict, batch.rows(start, middle))
        start, stop = (start, middle) if fails else (middle, stop)
    rows = range(start, stop)
    failing = [row for row in rows if not _takes(predict, batch.rows(row, row + 1))]
    message = str(error).strip().partition("\n")[0] or type(error).__name__
    by_value = any(words in message for words in BY_VALUE)
    if not failing or (len(failing) == len(rows) and not by_value):
        return None
    return BadInput(f"the model cannot take this row: {message}", "", failing[0])


def _takes(predict: Predict, row: Batch) -> bool:
    try:
        predict(row)
    except Exception:
        return False
    return True
