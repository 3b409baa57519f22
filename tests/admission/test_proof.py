from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bentos.admission.comparing import compare
from bentos.admission.probes import UNKNOWN, rows
from bentos.admission.proof import prove
from bentos.tensors import BadInput, Batch, Column, Schema

SCHEMA = Schema(
    inputs=(
        Column("price", "float64"),
        Column("count", "int32", nullable=True),
        Column("city", "string", nullable=True),
        Column("paid", "bool"),
    )
)
SAMPLES = Batch(
    {
        "price": np.array([19.99, 5.0, 7.5]),
        "count": np.array([1.0, np.nan, 3.0]),
        "city": np.array(["Rom", None, "Oslo"], dtype=object),
        "paid": np.array([True, False, True]),
    }
)


def numbers(values: Any) -> Batch:
    return Batch({"prediction": np.asarray(values)})


def narrow(*values: float) -> NDArray[np.float32]:
    return np.array(values, dtype=np.float32)


def price(rows: Batch) -> NDArray[np.float64]:
    found: NDArray[np.float64] = rows["price"]
    return found


def test_rows_are_those_of_the_schema() -> None:
    made = rows(SCHEMA, SAMPLES, {"price": np.array([6.25]), "city": np.array(["Wien"])}, 4000)
    assert made.size == 4000
    assert {name: column.dtype for name, column in made.items()} == {
        column.name: column.numpy for column in SCHEMA.inputs
    }
    assert {"Rom", "Oslo", "Wien", UNKNOWN, None} == set(made["city"].tolist())
    counts = made["count"]
    assert np.isnan(counts).any()
    assert (counts[~np.isnan(counts)] % 1 == 0).all()
    assert np.isfinite(made["price"]).all()


def test_objects_dates_and_bytes_are_those_of_the_samples_and_mixed() -> None:
    columns = [
        Column("json", "json", nullable=True),
        Column("datetime", "datetime", nullable=True),
    ]
    schema = Schema(inputs=(*columns, Column("binary", "binary", nullable=True)))
    objects, raw = np.empty(2, dtype=object), np.array([b"a", None], dtype=object)
    objects[:] = [{"from": "43", "km": 2.5}, {"from": "151", "km": 7.0, "paid": True}]
    days = np.array(["2026-11-30", "2024-02-29T12:00"], dtype="datetime64[ns]")
    made = rows(schema, Batch({"json": objects, "datetime": days, "binary": raw}), count=4000)
    assert {"from": "43", "km": 7.0} in made["json"].tolist()
    assert {"paid": True} in made["json"].tolist()
    assert set(days) < set(made["datetime"][~np.isnat(made["datetime"])]) | {None}
    assert np.isnat(made["datetime"]).any()
    assert set(made["binary"].tolist()) == {b"a", None}


def test_rows_lie_on_and_beside_the_turns() -> None:
    made = rows(SCHEMA, SAMPLES, {"price": np.array([6.25])}, 4000)["price"]
    for value in (6.25, np.nextafter(6.25, 7), np.nextafter(6.25, 6), 19.99, 2**24 + 1):
        assert value in made
    assert float(np.nextafter(np.float32(6.25), np.float32(7))) in made
    assert (made == (19.99 + 5.0) / 2).any()
    assert (np.signbit(made) & (made == 0)).any()


def test_rows_are_the_same_again() -> None:
    one, two = (rows(SCHEMA, SAMPLES, None, 500) for _ in range(2))
    assert all(np.array_equal(one[n], two[n], equal_nan=n in ("price", "count")) for n in one)


def test_rows_without_samples() -> None:
    made = rows(SCHEMA, None, {"price": np.array([100.0])}, 500)
    assert 100.0 in made["price"]
    matrix = Schema(inputs=(Column("", "float32", (3,)),))
    assert rows(matrix, None, None, 500)[""].shape == (500, 3)
    with pytest.raises(ValueError, match="number of columns"):
        rows(Schema(inputs=(Column("", "float32", (-1,)),)), None)


def test_equal_answers_hold() -> None:
    made = rows(SCHEMA, SAMPLES, None, 3000)
    proof = prove(lambda b: numbers(price(b)), lambda b: numbers(price(b) * (1 + 1e-15)), made)
    assert proof.holds
    assert proof.rows == 3000
    assert proof.worst_relative < 1e-14
    assert str(proof).startswith("3,000 rows are answered alike, numbers within ")


def test_one_other_answer_does_not_hold() -> None:
    made = rows(SCHEMA, SAMPLES, {"price": np.array([6.25])}, 3000)
    exact = (price(made) == 6.25).sum()
    assert exact
    proof = prove(lambda b: numbers(price(b) <= 6.25), lambda b: numbers(price(b) < 6.25), made)
    assert not proof.holds
    assert proof.differing == exact
    assert "6.25" in proof.first
    assert "are answered otherwise" in str(proof)


def refusing(limit: float) -> Any:
    def predict(rows: Batch) -> Batch:
        bad = np.flatnonzero(price(rows) > limit)
        if len(bad):
            raise BadInput("too dear", "price", int(bad[0]))
        return numbers(price(rows))

    return predict


def test_both_may_refuse() -> None:
    made = rows(SCHEMA, SAMPLES, None, 3000)
    proof = prove(refusing(1e6), refusing(1e6), made)
    assert proof.holds
    assert proof.refused == (price(made) > 1e6).sum()


@pytest.mark.parametrize("limits", [(1e6, 1e5), (1e5, 1e6)], ids=["graph", "model"])
def test_one_alone_may_not_refuse(limits: tuple[float, float]) -> None:
    base = rows(SCHEMA, SAMPLES, None, 3000)
    prices = base["price"].copy()
    prices[7] = 5e5
    made = Batch(dict(base) | {"price": prices})
    proof = prove(refusing(limits[0]), refusing(limits[1]), made)
    assert proof.differing == 1
    assert "too dear" in proof.first


def test_there_may_be_no_time() -> None:
    made = rows(SCHEMA, SAMPLES, None, 3000)
    proof = prove(lambda b: numbers(price(b)), lambda b: numbers(price(b)), made, seconds=-1.0)
    assert not proof.whole
    assert not proof.holds
    assert "time was up" in str(proof)


@pytest.mark.parametrize(
    ("wanted", "found", "kind", "alike"),
    [
        ([1.0, 2.0], [1.0, 2.0 + 1e-10], "exact", True),
        ([1.0, 2.0], [1.0, 2.0 + 1e-7], "exact", False),
        ([1.0, 2.0], [1.0, 2.0 + 1e-7], "network", True),
        ([1.0, np.nan], [1.0, np.nan], "exact", True),
        ([1.0, np.nan], [1.0, 0.0], "exact", False),
        ([1.0, np.inf], [1.0, np.inf], "exact", True),
        ([1.0, 1e-20], [1.0, 2e-20], "exact", True),
        ([1, 2], [1, 3], "exact", False),
        (np.array(["a", "b"], dtype=object), np.array(["a", "b"], dtype=object), "exact", True),
        (np.array(["a", "b"], dtype=object), np.array(["a", "c"], dtype=object), "exact", False),
        ([[1.0], [2.0]], [1.0, 2.0], "exact", False),
        (narrow(1, 2), narrow(1, 2 * (1 + 2e-7)), "exact", True),
        (narrow(1, 2), narrow(1, 2 * (1 + 1e-5)), "exact", False),
    ],
)
def test_what_is_alike(wanted: Any, found: Any, kind: Any, alike: bool) -> None:
    compared = compare(numbers(wanted), numbers(found), kind)
    assert compared.differs.any() != alike


def test_other_columns_differ() -> None:
    one, two = Batch({"a": np.zeros(2)}), Batch({"b": np.zeros(2)})
    assert compare(one, two).differs.all()
