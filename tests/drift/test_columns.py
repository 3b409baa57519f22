"""Rows of every kind that services have, made columns."""

from typing import Any

import msgspec
import numpy as np
import pytest

from bentos.drift.columns import MOST_COLUMNS, columns, joined
from bentos.serving.table import Table
from bentos.tensors import Batch, Column, Schema


class Reading(msgspec.Struct):
    pressure: float
    where: str | None = None


SCHEMA = Schema((Column("x", "float64"), Column("name", "string"), Column("at", "datetime")))


def shown(rows: Any, *names: str) -> dict[str, list[Any]]:
    return {name: values.tolist() for name, values in columns(rows, names).items()}


@pytest.mark.parametrize(
    ("rows", "names", "expected"),
    [
        ([], (), {}),
        ([Reading(1.5, "a"), Reading(2.0)], (), {"pressure": [1.5, 2.0], "where": ["a", None]}),
        ([1.5, 2.5], ("y",), {"y": [1.5, 2.5]}),
        ([1.5, 2.5], (), {"value": [1.5, 2.5]}),
        ([(1, 2), (3, 4)], ("a", "b"), {"a": [1, 3], "b": [2, 4]}),
        ([[1.0, 2.0]], (), {"0": [1.0], "1": [2.0]}),
        ([np.array([1.0, 2.0])], ("y",), {"y[0]": [1.0], "y[1]": [2.0]}),
        ([np.ones((2, 3)), np.zeros((2, 3))], (), {"value": [1.0, 0.0]}),
        ([[1.0], [1.0, 2.0]], (), {}),  # of several lengths
        ([object(), object()], (), {}),
        ([b"a", b"b"], (), {}),
        (["a", None], (), {"value": ["a", None]}),
        ([True, False], (), {"value": [True, False]}),
    ],
)
def test_rows_become_columns(rows: Any, names: tuple[str, ...], expected: Any) -> None:
    assert shown(rows, *names) == expected


def test_a_table_is_counted_without_what_is_no_number_or_text() -> None:
    batch = Batch(
        {
            "x": np.array([1.0, np.nan]),
            "name": np.array(["a", None], dtype=object),
            "at": np.array(["2026-01-01", "2026-01-02"], dtype="datetime64[ns]"),
            "truth": np.array([True, None], dtype=object),
            "raw": np.array([b"a", b"b"], dtype=object),
            "probabilities": np.ones((2, 2)),
        }
    )
    found = columns(Table(batch, SCHEMA))
    assert list(found) == ["x", "name", "truth"]
    assert found["truth"].dtype == np.float64


def test_wide_tables_and_images_are_bounded() -> None:
    wide = Batch.of_block([str(n) for n in range(1000)], np.ones((3, 1000)))
    assert len(columns(wide)) == MOST_COLUMNS
    image = Batch({"image": np.full((2, 64, 64, 3), 7, dtype=np.uint8)})
    assert {name: values.tolist() for name, values in columns(image).items()} == {
        "image": [7.0, 7.0]
    }


def test_batches_are_joined_where_they_are_alike() -> None:
    assert joined([([1.0], [2.0]), ([3.0, 4.0], [5.0, 6.0])]) == [
        ([1.0, 3.0, 4.0], [2.0, 5.0, 6.0])
    ]
    x = Table(Batch({"x": np.ones(2)}), Schema((Column("x", "float64"),)))
    y = Table(Batch({"y": np.ones(1)}), Schema((Column("y", "float64"),)))
    ((rows, answers),) = joined([(x, x), (x, x)])
    assert (len(rows), len(answers)) == (4, 4)
    assert joined([(x, x), (y, y)]) == [(x, x), (y, y)]
