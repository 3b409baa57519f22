"""A table of purchases, with what is known of its columns, to fit models to."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bentos.admission.probes import rows
from bentos.admission.proof import Proof, prove
from bentos.flavors.graphs import Session, compile_model
from bentos.flavors.graphs.door import named, outputs_of
from bentos.tensors import Batch, Column, Schema

NUMBERS = ("price", "quantity", "when", "account")
TEXTS = ("city", "kind")
SCHEMA = Schema(
    inputs=(
        Column("price", "float64"),
        Column("quantity", "int64"),
        Column("when", "float64"),
        Column("account", "int64"),
        Column("city", "string"),
        Column("kind", "string"),
        Column("month", "int64"),
        Column("paid", "bool"),
    )
)
MATRIX = Schema(inputs=tuple(Column(f"x{at}", "float64") for at in range(4)))


def purchases(size: int = 400) -> pd.DataFrame:
    """Prices of two decimals, epoch seconds, account numbers above 2**24, and rare cities."""
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "price": np.round(random.lognormal(3, 1, size), 2),
            "quantity": random.integers(0, 20, size),
            "when": 1.7e9 + random.integers(0, 10**7, size),
            "account": 2**24 + random.integers(0, 10**6, size),
            "city": random.choice(["Linz", "Rom", "Wien", "Oslo"], size, p=[0.5, 0.3, 0.19, 0.01]),
            "kind": random.choice(["x", "y", "z"], size),
            "month": random.integers(1, 13, size),
            "paid": random.random(size) < 0.5,
        }
    )


def lacking(table: pd.DataFrame) -> pd.DataFrame:
    """The same with a tenth of some columns missing."""
    random = np.random.default_rng(1)
    table = table.astype({"quantity": float})
    for name in ("price", "quantity", "city", "kind"):
        table.loc[random.random(len(table)) < 0.1, name] = np.nan
    return table


def nullable(schema: Schema, *names: str) -> Schema:
    """The schema, with columns in which values may be missing."""
    inputs = (
        Column(c.name, c.dtype, nullable=c.name in names or c.nullable) for c in schema.inputs
    )
    return Schema(inputs=tuple(inputs))


def target(table: pd.DataFrame) -> NDArray[np.float64]:
    """What depends on most columns."""
    price = table["price"].fillna(20).to_numpy()
    quantity = table["quantity"].fillna(0).to_numpy()
    noise = np.random.default_rng(2).normal(size=len(table))
    rome = (table["city"] == "Rom").to_numpy()
    return np.asarray(np.log(price) * quantity + 10 * rome + table["month"] % 3 + noise)


def levels(values: NDArray[np.float64]) -> NDArray[Any]:
    """Three classes, as text."""
    cuts = np.quantile(values, [0.5, 0.8])
    return np.array(["low", "middle", "high"], dtype=object)[np.searchsorted(cuts, values)]


def matrix(size: int = 400) -> NDArray[np.float64]:
    """The columns of numbers alone."""
    return purchases(size)[list(NUMBERS)].to_numpy(np.float64)


def batch(table: pd.DataFrame, schema: Schema) -> Batch:
    """A table as a service reads it: missing text is None."""
    columns = {}
    for column in schema.inputs:
        values = table[column.name]
        if column.dtype == "string":
            values = values.astype(object).where(values.notna(), None)
        columns[column.name] = values.to_numpy().astype(column.numpy)
    return Batch(columns)


def framed(method: Callable[[pd.DataFrame], Any], schema: Schema) -> Callable[[Batch], Batch]:
    """A native predictor of tables. To scikit-learn a missing text is NaN."""

    def predict(rows: Batch) -> Batch:
        table = pd.DataFrame(dict(rows))
        for name in set(TEXTS) & set(rows):
            table[name] = table[name].where(table[name].notna(), np.nan)
        return named(outputs_of(schema), np.asarray(method(table)))

    return predict


def arrays(method: Callable[[NDArray[Any]], Any], schema: Schema) -> Callable[[Batch], Batch]:
    """A native predictor of matrices."""
    return lambda rows: named(outputs_of(schema), np.asarray(method(rows.block())))


def proved(
    model: object,
    method: str,
    schema: Schema,
    samples: Batch,
    native: Callable[[Batch], Batch],
    count: int = 2000,
) -> Proof:
    """Compile a model and compare it with its graph."""
    compiled = compile_model(model, schema, method)
    session = Session(compiled.proto.SerializeToString())
    made = rows(schema, samples, compiled.critical, count)
    return prove(native, session, made, compiled.kind)
