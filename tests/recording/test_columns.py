"""Columns come back from Parquet as they went in, whatever they hold."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from bentos.recording.columns import from_arrow, hashed, is_hashed, objects, to_arrow
from bentos.tensors.batch import Array

KEY = b"sixteen bytes...."
DTYPES = ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", ">f8", "M8[ns]"]
ODD: list[Any] = [
    "", "ñandú", "\ud800", "NaN", None, 0, -1, 2**63, 10**40, 1.5, math.inf, True, b"\x00\xff",
    [1, [2.5, None]], {"a": {"b": []}}, {"a": 1}, np.str_("text"), np.float32(0.5),
]  # fmt: skip


def back(values: Array, folder: Path) -> Array:
    field, stored = to_arrow("x", values)
    parquet.write_table(pa.table([stored], schema=pa.schema([field])), folder / "x.parquet")
    table = parquet.read_table(folder / "x.parquet")
    return from_arrow(table.schema.field(0), pa.concat_arrays(table.column(0).chunks))


def made(generator: np.random.Generator, dtype: str, shape: tuple[int, ...]) -> Array:
    kind = np.dtype(dtype)
    raw = generator.bytes(kind.itemsize * math.prod(shape))
    if kind.kind == "b":
        return generator.random(shape) > 0.5
    return np.frombuffer(raw, kind).reshape(shape)


def same(one: Array, other: Array) -> bool:
    if one.dtype.kind == "O":
        return repr(one.tolist()) == repr(other.tolist())
    exact = one.astype(one.dtype.newbyteorder("=")).tobytes() == other.tobytes()
    return exact or bool(np.array_equal(one, other, equal_nan=True))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(7,), (5, 3), (4, 2, 3), (1,), (3, 0), (6, 1)], ids=str)
def test_numbers_of_any_bits(dtype: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    generator = np.random.default_rng(abs(hash((dtype, shape))) % 2**32)
    for _ in range(5):
        values = made(generator, dtype, shape)
        found = back(values, tmp_path)
        assert (found.shape, found.dtype) == (values.shape, values.dtype.newbyteorder("="))
        assert same(values, found), (values, found)


@pytest.mark.parametrize("seed", range(40))
def test_objects_that_nobody_chose(seed: int, tmp_path: Path) -> None:
    generator = np.random.default_rng(seed)
    some = generator.choice(len(ODD), size=generator.integers(1, 4))
    rows, width = int(generator.integers(1, 9)), int(generator.integers(1, 4))
    values = objects(ODD[at] for at in generator.choice(some, size=rows * width))
    shaped = values if width == 1 else values.reshape(rows, width)
    found = back(shaped, tmp_path)
    assert (found.shape, found.dtype.kind) == (shaped.shape, "O")
    for one, other in zip(shaped.flat, found.flat, strict=True):
        assert comparable(one) == comparable(other)


def comparable(value: Any) -> Any:
    """As text, which is what JSON makes of bytes."""
    return str(value.item() if hasattr(value, "item") else value)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["a", None], pa.string()),
        ([True, None], pa.bool_()),
        ([1, None], pa.int64()),
        ([1.0, math.nan, None], pa.float64()),
        ([b"\xff", None], pa.binary()),
        ([None, None], pa.string()),
        ([{"a": 1}, {"b": 2}], pa.string()),
    ],
)
def test_objects_of_one_kind_have_its_type(
    values: list[Any], kind: pa.DataType, tmp_path: Path
) -> None:
    assert to_arrow("x", objects(values))[0].type == kind
    assert repr(back(objects(values), tmp_path).tolist()) == repr(values)


def test_texts_of_numpy_are_texts(tmp_path: Path) -> None:
    assert back(np.array(["a", "bc"]), tmp_path).tolist() == ["a", "bc"]


def test_a_missing_time_stays_one(tmp_path: Path) -> None:
    values = np.array(["2024-02-29T12:00", "NaT"], "M8[ns]")
    assert np.array_equal(back(values, tmp_path), values, equal_nan=True)


def test_digests_tell_equal_values_and_nothing_else() -> None:
    field, stored = hashed("in.name", objects(["Ana", None, "Ana", "Eva"]), KEY)
    one, missing, again, other = stored.to_pylist()
    assert is_hashed(field)
    assert not is_hashed(to_arrow("x", np.zeros(1))[0])
    assert missing is None
    assert one == again != other
    assert len(one) == 64
    assert hashed("in.name", objects(["Ana"]), b"another key.....")[1][0].as_py() != one
    numbers = hashed("x", np.array([[1.0, 2.0], [1.0, 2.0], [2.0, 1.0]]), KEY)[1].to_pylist()
    assert numbers[0] == numbers[1] != numbers[2]
