"""A stored model, asked as the service of all models will ask it."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bentos.flavors.examples import array
from bentos.flavors.mlmodel import MLmodel
from bentos.flavors.opening import open_model
from bentos.tensors import Batch, Schema
from training.manifest import Predict


def served(path: Path) -> Predict:
    """What answers the sample inputs. Raises Refusal as an admission does."""
    opened = open_model(MLmodel(path))

    def predict(rows: Any) -> NDArray[Any]:
        answers = opened.predict(_batch(rows, opened.schema)).values()
        columns = [np.asarray(column) for column in answers]
        return columns[0] if len(columns) == 1 else np.stack(columns, axis=1)

    return predict


def _batch(rows: Any, schema: Schema) -> Batch:
    if isinstance(rows, pd.DataFrame):
        named = {column.name: rows[column.name].tolist() for column in schema.inputs}
        return Batch({c.name: array(named[c.name], c) for c in schema.inputs})
    return Batch({column.name: array(rows.tolist(), column) for column in schema.inputs})
