import numpy as np
import pytest

from bentos.tensors import Batch


def test_columns_of_a_block_are_its_columns() -> None:
    batch = Batch.of_block(("a", "b"), np.arange(6.0).reshape(3, 2))
    assert batch.size == 3
    assert list(batch) == ["a", "b"]
    assert batch["b"].tolist() == [1, 3, 5]


def test_columns_make_a_block_of_the_dtype_that_holds_them_all() -> None:
    batch = Batch({"a": np.array([1, 2]), "b": np.array([0.5, 1.5])})
    assert batch.block().tolist() == [[1, 0.5], [2, 1.5]]
    assert batch.block().dtype == np.float64


def test_an_unnamed_matrix_is_its_own_block() -> None:
    rows = np.arange(6.0).reshape(2, 3)
    assert Batch({"": rows}).block() is rows


@pytest.mark.parametrize("whole", [True, False], ids=["blocks", "columns"])
def test_what_is_joined_comes_apart_again(whole: bool) -> None:
    parts = [
        Batch.of_block(("a", "b"), np.full((n, 2), n))
        if whole
        else Batch({"a": np.full(n, n), "b": np.array([str(n)] * n, dtype=object)})
        for n in (1, 3, 2)
    ]
    joined = Batch.concat(parts)
    assert joined.size == 6
    again = joined.split([1, 3, 2])
    for part, same in zip(parts, again, strict=True):
        assert {k: v.tolist() for k, v in part.items()} == {k: v.tolist() for k, v in same.items()}


def test_one_batch_is_not_copied() -> None:
    batch = Batch({"a": np.arange(3)})
    assert Batch.concat([batch]) is batch


def test_columns_of_other_lengths_or_names_do_not_go_together() -> None:
    with pytest.raises(ValueError, match="one length"):
        Batch({"a": np.arange(3), "b": np.arange(2)})
    with pytest.raises(ValueError, match="different columns"):
        Batch.concat([Batch({"a": np.arange(3)}), Batch({"b": np.arange(3)})])
    with pytest.raises(ValueError, match="a block of 2"):
        Batch.of_block(("a", "b"), np.arange(3))
