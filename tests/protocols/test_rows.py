import json
from typing import Any

import msgspec
import numpy as np
import pytest

from bentos.protocols import Rows
from bentos.protocols.table import Table
from bentos.tensors import BadInput, Batch, Column, Param, Schema
from bentos.tensors.schema import Dtype
from tests.protocols.made import SHAPED, columns, json_values, same
from tests.protocols.row_models import MATRIX, MIXED, NUMBERS, OBJECTS, TEXTS, WIDE, refused, rows


def read(protocol: Rows, body: Any) -> Batch:
    return protocol.decode(json.dumps(body).encode()).batch


@pytest.mark.parametrize(("dtype", "shape"), SHAPED)
@pytest.mark.parametrize("nullable", [False, True], ids=["full", "nullable"])
def test_random_rows_arrive_as_they_are(
    dtype: Dtype, nullable: bool, shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the fast way, and to the same arrays by the slow one, which knows rows."""
    schema = Schema(tuple(Column(name, dtype, shape, nullable=nullable) for name in ("a b", "ü")))
    given = columns(schema, 40)
    body = [
        dict(zip(given, row, strict=True))
        for row in zip(*(json_values(column) for column in given.values()), strict=True)
    ]
    protocol = Rows(schema, 40)
    fast = read(protocol, body)
    assert same(Batch.concat([read(protocol, row) for row in body]), fast)
    monkeypatch.setattr(Table, "of_objects", None)
    assert same(read(protocol, body), fast)
    monkeypatch.undo()
    monkeypatch.setattr(Table, "of_typed", lambda *_: int("none"))
    slow = read(protocol, body)
    assert same(fast, slow)
    assert same(fast, Batch(given))
    assert all(fast[c.name].dtype == c.numpy for c in schema.inputs)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_single_rows_of_a_tensor_are_one_array(dtype: Dtype) -> None:
    protocol = Rows(Schema((Column("", dtype, (3,)),)), 40)
    body = [[1.5, -2.0, 0.1], [3e38, 4, 5]]
    joined = Batch.concat([read(protocol, row) for row in body])
    assert same(joined, read(protocol, body))
    assert same(joined.rows(1, 2), read(protocol, body[1]))
    for wrong in ([1, 2], [1, 2, 3, 4], [1, None, 2], [1, 2, 4e38] * (dtype == "float32")):
        with pytest.raises(BadInput):
            read(protocol, wrong)


def test_an_object_is_one_row_and_a_list_is_many() -> None:
    row = {"größe": 2, "fixed acidity": 1.5}
    one, many = (NUMBERS.decode(json.dumps(body).encode()) for body in (row, [row, row]))
    assert (one.many, many.many) == (False, True)
    assert one.batch.block().tolist() == [[1.5, 2]]
    assert many.batch.size == 2
    assert many.batch.names == ("fixed acidity", "größe")


def test_rows_of_values_without_names() -> None:
    assert read(MATRIX, [1, 2, 3])[""].tolist() == [[1, 2, 3]]
    assert read(MATRIX, [[1, 2, 3], [4, 5, 6]])[""].shape == (2, 3)
    assert {k: v.tolist() for k, v in read(WIDE, [[1, "x"], [2, "y"]]).items()} == {
        "a": [1, 2],
        "b": ["x", "y"],
    }
    assert read(WIDE, [1, "x"]).size == 1
    assert read(TEXTS, "one")[""].tolist() == ["one"]
    assert read(TEXTS, ["one", "two"])[""].tolist() == ["one", "two"]
    assert read(OBJECTS, {"PU_DO": "43_151", "n": 1.5})[""].tolist() == [
        {"PU_DO": "43_151", "n": 1.5}
    ]
    assert read(OBJECTS, [{"a": 1}, {}]).size == 2
    array = rows(Column("", "json", spec={"type": "array", "items": {"type": "double"}}))
    assert read(array, [1, 2])[""].tolist() == [[1.0, 2.0]]
    assert read(array, [[1, 2], []]).size == 2


def test_integers_are_floats_and_whole_floats_are_integers() -> None:
    batch = read(MIXED, [{"n": 2.0, "x": 1, "ok": True}, {"n": 3, "x": None, "ok": False}])
    assert batch["n"].tolist() == [2, 3]
    assert batch["n"].dtype == np.int32
    assert np.isnan(batch["x"][1])
    assert batch["kind"].tolist() == [None, None]


@pytest.mark.parametrize(("source", "taken"), [("model", True), ("signature", False)])
def test_names_with_spaces_are_those_of_a_model_that_has_none(source: Any, taken: bool) -> None:
    protocol = Rows(Schema((Column("unit_price", "float64"),), source=source), 9)
    body = b'[{"unit price": 1.5}, {"unit_price": 2}]'
    if taken:
        assert protocol.decode(body).batch["unit_price"].tolist() == [1.5, 2.0]
    else:
        with pytest.raises(BadInput, match="unknown column 'unit price'"):
            protocol.decode(body)
    with pytest.raises(BadInput, match="unknown column"):
        protocol.decode(b'{"unit price": 1.5, "unit_price": 2}')


def test_a_column_that_lacks_no_value_is_left_out_whole() -> None:
    optional = Column("x", "float32", required=False), Column("s", "string", required=False)
    protocol = rows(Column("n", "int64"), *optional)
    left = read(protocol, [{"n": 1}, {"n": 2}])
    assert left["x"].dtype == np.float32
    assert left["s"].tolist() == [None, None]
    for name, value in (("x", 1), ("s", "")):
        error = refused(protocol, [{"n": 1, name: value}, {"n": 2}])
        assert (error.column, error.row) == (name, 1)
    assert refused(protocol, {"n": 1, "x": None}).column == "x"
    tensor = Column("image", "float32", (2, -1), required=False, nullable=True)
    protocol = rows(Column("n", "int64"), tensor)
    assert read(protocol, [{"n": 1}, {"n": 2}])["image"].shape == (2, 2, 0)
    image = [[1, None], [2, 3]]
    assert np.isnan(read(protocol, {"n": 1, "image": image})["image"][0, 0, 1])
    assert refused(protocol, [{"n": 1, "image": image}, {"n": 2}]).row == 1


def test_integers_that_may_be_missing_are_exact() -> None:
    cases: list[tuple[Dtype, float]]
    cases = [("int64", 2**53 + 1), ("uint8", 256), ("uint8", -1), ("int16", 0.5)]
    for dtype, wrong in cases:
        protocol = rows(Column("n", dtype, nullable=True), Column("m", dtype, nullable=True))
        assert read(protocol, {"n": 1, "m": None})["n"].tolist() == [1]
        assert refused(protocol, {"n": 1, "m": wrong}).column == "m"


@pytest.mark.parametrize(
    ("text", "read_as"),
    [
        ("2024-02-29", "2024-02-29"),
        ("2024-01-01T10:30", "2024-01-01T10:30"),
        ("2024-01-01 10:30:00.123456789", "2024-01-01T10:30:00.123456789"),
        ("2024-01-01T10:30:00Z", "2024-01-01T10:30"),
        ("2024-01-01T10:30:00+02:00", "2024-01-01T08:30"),
        ("1969-12-31T23:59:59.5", "1969-12-31T23:59:59.5"),
        ("2023-02-29", None),
        ("2024", None),
        ("9999-01-01", None),
        ("1600-01-01", None),
        ("now", None),
        ("", None),
        ("2024-01-01T10:30.5", None),
        ("2024-01-01T10:30:00+99:00", None),
        ("٢٠٢٤-01-01", None),
        (1704067200, None),
    ],
)
def test_times(text: str, read_as: str | None) -> None:
    protocol = rows(Column("when", "datetime"))
    if read_as is None:
        assert "is no" in refused(protocol, {"when": text}).message
    else:
        assert read(protocol, {"when": text})["when"][0] == np.datetime64(read_as)


def test_binary_is_base64_as_any_library_writes_it() -> None:
    protocol = rows(Column("b", "binary"))
    assert read(protocol, {"b": "YWJj\nZGVm\n"})["b"].tolist() == [b"abcdef"]
    assert "base64" in refused(protocol, {"b": "YW!j"}).message


SPEC = {
    "type": "object",
    "properties": {
        "ids": {"type": "array", "items": {"type": "long"}, "required": True},
        "scores": {"type": "map", "values": {"type": "double"}, "required": False},
        "any": {"type": "any", "required": False},
        "raw": {"type": "binary", "required": False},
    },
}


def test_described_json_is_checked() -> None:
    protocol = rows(Column("o", "json", spec=SPEC))
    whole = {"ids": [1, 2.0], "scores": {"a": 1}, "any": [{}], "raw": "YQ=="}
    assert read(protocol, {"o": whole})["o"].tolist() == [whole]
    for wrong, message in (
        ({"ids": [1, 1.5]}, "in 'ids': in [1]: 1.5 is no integer"),
        ({"ids": None}, "null is no list"),
        ({}, "'ids' is missing"),
        ({"ids": [], "x": 1}, "'x' is unknown"),
        ({"ids": [], "scores": {"a": "b"}}, "in 'scores': in 'a': 'b' is no number"),
        ({"ids": [], "raw": "!"}, "base64"),
        ([], "a list of 0 is no object"),
    ):
        assert message in refused(protocol, {"o": wrong}).message


def test_params_have_their_defaults() -> None:
    schema = Schema((Column("x", "float64"),), params=(Param("t", "float64", 0.5),))
    assert Rows(schema, 1).decode(b'{"x":1}').params == {"t": 0.5}


def test_answers_are_objects_by_the_outputs_names() -> None:
    answers = Batch(
        {
            "prediction": np.array([3.5, np.nan]),
            "p": np.array([[0.25, np.inf], [1, 2]], dtype=np.float32),
            "n": np.array([1, 2], dtype=np.uint8),
            "label": np.array(["a", np.str_("b")], dtype=object),
            "when": np.array(["2024-01-01T00:00:00", "NaT"], dtype="datetime64[s]"),
            "odd": np.array([np.int64(1), [np.float64("nan")]], dtype=object),
            "old": np.array([b"a", b"b"]),
            "day": np.fromiter([np.datetime64("2024-01-01"), np.arange(2)], dtype=object),
            "long": np.array([1.5, 2], dtype=np.longdouble),
            "fixed": np.array(["x", "y"]),
            "ok": np.array([True, False]),
        }
    )
    first = {
        "prediction": 3.5,
        "p": [0.25, None],
        "n": 1,
        "label": "a",
        "when": "2024-01-01T00:00:00",
        "odd": 1,
        "old": "a",
        "day": "2024-01-01T00:00:00",
        "long": 1.5,
        "fixed": "x",
        "ok": True,
    }
    assert json.loads(NUMBERS.encode(answers, many=False)) == first
    (one, two) = json.loads(NUMBERS.encode(answers, many=True))
    assert one == first
    assert (two["prediction"], two["when"], two["odd"], two["day"]) == (None, None, [None], [0, 1])
    with pytest.raises(TypeError, match="complex"):
        NUMBERS.encode(Batch({"z": np.array([1j])}), many=True)


def test_one_column_and_blocks_are_answers_too() -> None:
    assert NUMBERS.encode(Batch({"prediction": np.array([1, 2])}), many=True) == (
        b'[{"prediction":1},{"prediction":2}]'
    )
    block = Batch.of_block(("no", "yes"), np.array([[0.25, 0.75]]))
    assert NUMBERS.encode(block, many=False) == b'{"no":0.25,"yes":0.75}'


def test_answers_can_be_sent_again() -> None:
    """Every number comes back as the one it was."""
    random = np.random.default_rng(1)
    block = random.normal(size=(50, 2)) * 10.0 ** random.integers(-300, 300, (50, 2))
    batch = Batch.of_block(("fixed acidity", "größe"), block)
    again = NUMBERS.decode(NUMBERS.encode(batch, many=True)).batch
    assert np.array_equal(again.block(), block)


def test_a_model_of_thousands_of_columns() -> None:
    names = [f"c{at}" for at in range(5000)]
    protocol = rows(*(Column(name, "float32") for name in names))
    body = msgspec.json.encode(dict.fromkeys(names, 0.1))
    assert protocol.decode(body).batch.block().shape == (1, 5000)


@pytest.mark.parametrize(("dtype", "most"), [("float16", 65519.99), ("float32", 3.4028235e38)])
def test_numbers_up_to_the_largest_of_a_dtype(dtype: Dtype, most: float) -> None:
    protocol = rows(Column("x", dtype), Column("n", "int64"))
    assert np.isfinite(read(protocol, [{"x": most, "n": 1}, {"x": -most, "n": 1.0}])["x"]).all()
    for beyond in (most * 1.00001, 10**400):
        assert "too large" in refused(protocol, {"x": -beyond, "n": 1.0}).message
