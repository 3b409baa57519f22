from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bentos.tensors import BadInput, Column, Schema, fit

SCHEMA = Schema(
    inputs=(
        Column("size", "float32"),
        Column("count", "int64"),
        Column("name", "string", required=False, nullable=True),
        Column("image", "float64", (2, -1), required=False, nullable=True),
    )
)
LEFT = Schema(
    inputs=(
        Column("n", "int64"),
        Column("size", "float32", required=False, nullable=True),
        Column("image", "float32", (2, -1), required=False, nullable=True),
    )
)
GOOD: dict[str, NDArray[Any]] = {
    "count": np.array([1, 2], dtype=np.int32),
    "size": np.array([0.5, 1.5]),
    "image": np.zeros((2, 2, 7)),
}


def test_columns_are_put_in_order_and_those_left_out_are_missing() -> None:
    batch = fit(SCHEMA, GOOD)
    assert batch.names == ("size", "count", "name", "image")
    assert batch["size"].dtype == np.float32
    assert batch["name"].tolist() == [None, None]
    left = fit(LEFT, {"n": np.array([1, 2])})
    assert left["image"].shape == (2, 2, 0)
    assert left["size"].dtype == np.float32


@pytest.mark.parametrize(
    ("changed", "column", "message"),
    [
        ({"size": np.array([1e300, 1])}, "size", "float64, not float32"),
        ({"size": np.array(["1", "2"])}, "size", "not float32"),
        ({"count": np.array([1.5, 2])}, "count", "float64, not int64"),
        ({"count": np.array([np.nan, 2])}, "count", "float64, not int64"),
        ({"count": np.array([2**63, 1], dtype=np.uint64)}, "count", "uint64, not int64"),
        ({"image": np.zeros((2, 3, 7))}, "image", "shape"),
        ({"colour": np.zeros(2)}, "colour", "unknown column 'colour'; there are 'size', 'count'"),
    ],
)
def test_what_does_not_fit_is_named(
    changed: dict[str, NDArray[Any]], column: str, message: str
) -> None:
    with pytest.raises(BadInput, match=message) as raised:
        fit(SCHEMA, GOOD | changed)
    assert raised.value.column == column


def test_a_column_that_must_be_there_is_named() -> None:
    with pytest.raises(BadInput, match="missing column 'count'"):
        fit(SCHEMA, {"size": GOOD["size"]})


def test_numbers_keep_their_values() -> None:
    fitted = fit(SCHEMA, GOOD | {"count": np.array([1.0, 2.0]), "size": np.array([1, 2])})
    assert fitted["count"].tolist() == [1, 2]
    assert fitted["size"].dtype == np.float32
