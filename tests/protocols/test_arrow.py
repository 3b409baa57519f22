"""Tables of Arrow as calls and answers: the same rows as in JSON."""

import decimal
import json
from contextlib import suppress
from datetime import date, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from bentos.protocols import Rows
from bentos.protocols.arrow_stream import ArrowStream
from bentos.tensors import BadInput, Batch, Column, Schema
from bentos.tensors.schema import Dtype
from tests.protocols.arrow_tables import read, stream, table
from tests.protocols.made import SHAPED, columns, json_values, same

MOST, VALUES = 1000, 100_000
HOMES = Schema(
    (
        Column("n", "int32"),
        Column("x", "float32", nullable=True),
        Column("kind", "string", required=False, nullable=True),
        Column("ok", "bool"),
        Column("when", "datetime", required=False, nullable=True),
    )
)


def decoded(body: bytes, schema: Schema = HOMES) -> Batch:
    return ArrowStream(schema, MOST).decode(body, VALUES)


def refused(body: bytes | pa.Table, schema: Schema = HOMES) -> BadInput:
    with pytest.raises(BadInput) as raised:
        decoded(body if isinstance(body, bytes) else stream(body), schema)
    return raised.value


def one(name: str, values: Any, kind: pa.DataType | None = None) -> pa.Table:
    return pa.table({name: pa.array(values, kind)})


@pytest.mark.parametrize("rows", [None, 7], ids=["one batch", "several"])
@pytest.mark.parametrize(("dtype", "shape"), SHAPED)
@pytest.mark.parametrize("nullable", [False, True], ids=["full", "nullable"])
def test_random_rows_are_those_of_json(
    dtype: Dtype, nullable: bool, shape: tuple[int, ...], rows: int | None
) -> None:
    schema = Schema(tuple(Column(name, dtype, shape, nullable=nullable) for name in ("a b", "ü")))
    given = columns(schema, 40)
    if dtype == "json":
        for name in given:
            given[name][:] = [{"a": [1, None], "b": {"c": float(at)}} for at in range(40)]
    found = decoded(stream(table(schema, given), rows), schema)
    lists = zip(*(json_values(column) for column in given.values()), strict=True)
    body = json.dumps([dict(zip(given, row, strict=True)) for row in lists])
    assert same(found, Rows(schema, 40).decode(body.encode()).batch)
    assert same(found, Batch(given))


def test_texts_may_be_a_dictionary_in_several_pieces() -> None:
    schema = Schema((Column("kind", "string", nullable=True),))
    parts = [pa.array(["a", None, "b", "a"]), pa.array(["c", "b"])]
    chunks = pa.chunked_array([part.dictionary_encode() for part in parts])
    found = decoded(stream(pa.table({"kind": chunks}).unify_dictionaries()), schema)
    assert found["kind"].tolist() == ["a", None, "b", "a", "c", "b"]
    numbers = pa.array([5, None, 7]).dictionary_encode()
    floats = Schema((Column("x", "float64", nullable=True),))
    assert np.array_equal(
        decoded(stream(pa.table({"x": numbers})), floats)["x"], [5, np.nan, 7], equal_nan=True
    )


@pytest.mark.parametrize(
    ("values", "kind", "read_as"),
    [
        ([datetime(2024, 2, 29, 10, 30)], pa.timestamp("s"), "2024-02-29T10:30"),
        ([datetime(2024, 2, 29, 10, 30)], pa.timestamp("ms"), "2024-02-29T10:30"),
        ([datetime(2024, 2, 29, 10, 30, 0, 5)], pa.timestamp("us"), "2024-02-29T10:30:00.000005"),
        (
            [datetime(2024, 2, 29, 10, 30, tzinfo=timezone(timedelta(hours=2)))],
            pa.timestamp("us", tz="Europe/Madrid"),
            "2024-02-29T08:30",
        ),
        ([date(2024, 2, 29)], pa.date32(), "2024-02-29"),
        ([date(2024, 2, 29)], pa.date64(), "2024-02-29"),
        (["2024-02-29T10:30:00+02:00"], pa.string(), "2024-02-29T08:30"),
    ],
)
def test_times(values: list[Any], kind: pa.DataType, read_as: str) -> None:
    schema = Schema((Column("when", "datetime"),))
    found = decoded(stream(one("when", values, kind)), schema)["when"]
    assert found.dtype == "datetime64[ns]"
    assert found.tolist() == np.array([read_as], "datetime64[ns]").tolist()


def test_columns_go_by_name_and_an_index_and_optional_ones_may_lack() -> None:
    given = pa.table({"ok": [True], "n": [2.0], "x": pa.nulls(1), "__index_level_0__": ["r"]})
    found = decoded(stream(given))
    assert found.names == HOMES.names
    assert found["n"].tolist() == [2]
    assert found["n"].dtype == np.int32
    assert np.isnan(found["x"]).tolist() == [True]
    assert found["kind"].tolist() == [None]
    assert np.isnat(found["when"]).tolist() == [True]


def test_decimals_and_narrow_numbers_are_numbers() -> None:
    schema = Schema((Column("x", "float64"), Column("n", "int64")))
    given = pa.table(
        {
            "x": pa.array([decimal.Decimal("12.34")], pa.decimal128(9, 2)),
            "n": pa.array([200], pa.uint8()),
        }
    )
    found = decoded(stream(given), schema)
    assert (found["x"].tolist(), found["n"].tolist()) == ([12.34], [200])


def test_models_of_unnamed_columns_take_them_in_their_order() -> None:
    wide = Schema((Column("0", "float64"), Column("1", "string")), positional=True)
    found = decoded(stream(pa.table({"p": [1.5], "q": ["x"]})), wide)
    assert (found["0"].tolist(), found["1"].tolist()) == ([1.5], ["x"])
    matrix = Schema((Column("", "float64", (3,)),))
    several = pa.table({"a": [1, 2], "b": [3.0, 4.0], "c": [5, 6]})
    assert decoded(stream(several), matrix)[""].tolist() == [[1, 3, 5], [2, 4, 6]]
    lists = one("rows", [[1.0, 3.0, 5.0], [2.0, 4.0, 6.0]])
    assert decoded(stream(lists), matrix)[""].tolist() == [[1, 3, 5], [2, 4, 6]]
    assert decoded(stream(one("t", ["a"])), Schema((Column("", "string"),)))[""].tolist() == ["a"]
    objects = Schema((Column("", "json"),))
    assert decoded(stream(pa.table({"k": ["a"], "n": [1.5]})), objects)[""].tolist() == [
        {"k": "a", "n": 1.5}
    ]
    assert "takes 3" in refused(pa.table({"a": [1], "b": [2]}), matrix).message
    words = pa.table({"a": ["1"], "b": ["2"]})
    assert "takes one" in refused(words, Schema((Column("", "string"),))).message
    assert "takes 2" in refused(pa.table({"p": [1.5]}), wide).message


ROW: dict[str, pa.Array] = {
    "n": pa.array([1, 2]), "x": pa.array([1.0, 2.0]), "ok": pa.array([True, False]),
}  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "column", "row", "message"),
    [
        ({"n": pa.array([1, 2.5])}, "n", 1, "2.5 cannot be a value of int32"),
        ({"n": pa.array([1, 2**31])}, "n", 1, "cannot be a value of int32"),
        ({"n": pa.array([1, None])}, "n", 1, "is missing"),
        ({"n": pa.array(["1", "2"])}, "n", None, "it is string, which is no int32"),
        ({"n": pa.array([True, False])}, "n", None, "it is bool, which is no int32"),
        ({"x": pa.array([1e300, 1.0])}, "x", 0, "cannot be a value of float32"),
        ({"x": pa.array([datetime(2024, 1, 1)] * 2)}, "x", None, "timestamp"),
        ({"ok": pa.array([1, 0])}, "ok", None, "it is int64, which is no bool"),
        ({"ok": pa.array([True, None])}, "ok", 1, "null"),
        ({"kind": pa.array([1, 2])}, "kind", None, "it is int64, which is no string"),
        ({"kind": pa.array([b"a", b"b"])}, "kind", None, "it is binary, which is no string"),
        ({"when": pa.array(["now", None])}, "when", 0, "is no date"),
        ({"when": pa.array([1, 2])}, "when", None, "it is int64, which is no datetime"),
        ({"when": pa.array([date(9999, 1, 1)] * 2, pa.date32())}, "when", None, "out of bounds"),
        ({"when": pa.array([time_ := -(2**63), 0], pa.timestamp("ns"))}, "when", 0, "is missing"),
        ({"y": pa.array([1, 2])}, "y", None, "unknown column 'y'"),
        ({"n": None}, "n", None, "missing column 'n'"),
        ({"kind": pa.array([[1], [2]])}, "kind", None, "which is no string"),
        ({"kind": pa.array(["a", "b"], pa.string_view())}, "kind", None, "is not read"),
        ({"n": pa.array([timedelta(1)] * 2)}, "n", None, "is not read"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(
    changed: dict[str, pa.Array | None], column: str, row: int | None, message: str
) -> None:
    whole = {name: values for name, values in (ROW | changed).items() if values is not None}
    error = refused(pa.table(whole))
    assert (error.column, error.row) == (column, row)
    assert message in error.message


def test_lists_are_named_by_their_row() -> None:
    schema = Schema((Column("image", "float32", (2, -1)),))
    assert decoded(stream(one("image", [[[1.0], [2.0]]])), schema)["image"].shape == (1, 2, 1)
    for wrong in ([[1.0], [2.0], [3.0]], [[1.0], None], [[1.0], [2.0, 3.0]], [[1.0], [None]]):
        error = refused(one("image", [[[1.0], [2.0]], wrong]), schema)
        assert (error.column, error.row) == ("image", 1)
    assert refused(one("image", [[["1"], ["2"]]]), schema).row == 0
    flat = refused(one("image", [1.0]), schema)
    assert (flat.column, flat.row) == ("image", 0)


def test_a_name_that_is_there_twice_is_refused() -> None:
    twice = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["n", "n"])
    assert "'n' is there twice" in refused(twice).message


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"\xff" * 100, stream(pa.table(ROW))[:-60], b"ARROW1\x00\x00" + b"\0" * 100],
    ids=["nothing", "JSON", "noise", "cut", "a file"],
)
def test_what_is_no_stream_is_refused(body: bytes) -> None:
    message = refused(body).message
    assert "no stream of Arrow" in message or "no rows" in message


def test_bounds_hold_before_anything_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pa.ipc, "open_stream", None)
    many = one("n", range(MOST + 1))
    assert f"there are {MOST + 1} rows" in refused(stream(many, 100)).message
    assert "there are no rows" in refused(one("n", [], pa.int64())).message
    wide = pa.table({"n": [1], "list": [[0] * VALUES]})
    assert f"send at most {VALUES}" in refused(wide).message
    large = pa.table({"n": pa.array(np.zeros(MOST, np.int64))})
    for codec in ("zstd", "lz4"):
        assert "compressed" in refused(stream(large, compression=codec)).message


def test_few_bytes_stand_for_few_values() -> None:
    """No text is there as often as rows name it, nothing of no size fills a list."""
    word = "x" * 50_000
    texts = Schema((Column("t", "string"),))
    named = pa.DictionaryArray.from_arrays(pa.array([0] * MOST), [word])
    found = decoded(stream(pa.table({"t": named})), texts)["t"]
    assert all(each is found[0] for each in found)
    inside = pa.ListArray.from_arrays([0, MOST], named)
    nothing = pa.FixedSizeListArray.from_arrays(pa.nulls(90_000), 90_000)
    empty = pa.array([[b""] * 10], pa.list_(pa.binary(0)))
    encoded = pa.RunEndEncodedArray.from_arrays(pa.array([MOST], pa.int32()), pa.array([word]))
    for column in (inside, nothing, empty, encoded):
        error = refused(pa.table({"t": column}), texts)
        assert error.column == "t"
        assert "is not read" in error.message


def test_a_stream_that_lies_is_refused() -> None:
    body = bytearray(stream(pa.table({"t": pa.array(["aa", "bb", "cc"])})))
    at = bytes(body).rindex(np.array([0, 2, 4, 6], np.int32).tobytes())
    body[at : at + 16] = np.array([0, 2, 2**30, 6], np.int32).tobytes()
    schema = Schema((Column("t", "string"),))
    assert "no stream of Arrow" in refused(bytes(body), schema).message
    overlaid = bytearray(stream(pa.table({"a": np.arange(8), "b": np.arange(8)})))
    second = bytes(overlaid).rindex(np.array([64, 64], np.int64).tobytes())
    overlaid[second : second + 8] = np.array([0], np.int64).tobytes()
    two = Schema((Column("a", "int64"), Column("b", "int64")))
    assert "lie over each other" in refused(bytes(overlaid), two).message


def test_noise_in_a_stream_never_harms() -> None:
    """Whatever byte is changed, it is rows or a refusal."""
    random = np.random.default_rng(0)
    more = {"kind": pa.array(["a", None]), "when": pa.array([1, 2], pa.timestamp("ns"))}
    whole = stream(pa.table(ROW | more))
    for _ in range(3000):
        body = bytearray(whole)
        for at in random.integers(len(body), size=random.integers(1, 4)):
            body[at] = random.integers(256)
        with suppress(BadInput):
            assert decoded(bytes(body)).size > 0


def test_answers_are_a_table() -> None:
    answers = Batch(
        {
            "prediction": np.array([3.5, np.nan]),
            "p": np.array([[0.25, np.inf], [1, 2]], dtype=np.float32),
            "n": np.array([1, 2], dtype=np.uint8),
            "label": np.array(["a", None], dtype=object),
            "when": np.array(["2024-01-01T00:00:00", "NaT"], dtype="datetime64[s]"),
            "old": np.array([b"a", b"b"]),
            "long": np.array([1.5, 2], dtype=np.longdouble),
            "shares": np.array([{"a": 0.5}, {"a": 1.0}], dtype=object),
            "ok": np.array([True, False]),
        }
    )
    found = read(ArrowStream(HOMES, 9).encode(answers))
    assert found.column("p").type == pa.list_(pa.float32(), 2)
    assert found.column("p").to_pylist() == [[0.25, np.inf], [1, 2]]
    assert found.column("n").type == pa.uint8()
    assert found.column("when").to_pylist() == [datetime(2024, 1, 1), None]
    assert found.column("shares").to_pylist() == [{"a": 0.5}, {"a": 1.0}]
    assert found.column("label").to_pylist() == ["a", None]
    assert found.column("old").to_pylist() == ["a", "b"]
    assert np.isnan(found.column("prediction").to_pylist()[1])
    assert found.column("ok").to_pylist() == [True, False]
    mixed = Batch({"odd": np.array([1, "x"], dtype=object)})
    with pytest.raises(BadInput, match="'odd' cannot be a column of Arrow, ask for JSON"):
        ArrowStream(HOMES, 9).encode(mixed)


def test_answers_can_be_sent_again() -> None:
    random = np.random.default_rng(1)
    block = random.normal(size=(50, 2)) * 10.0 ** random.integers(-300, 300, (50, 2))
    schema = Schema((Column("a", "float64"), Column("b", "float64")))
    body = ArrowStream(schema, 50).encode(Batch.of_block(("a", "b"), block))
    assert np.array_equal(decoded(body, schema).block(), block)
