"""What is asked of a network before its graph may serve, and how near is near enough."""

import os
import signal
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bentos.admission.forks import Apart, apart
from bentos.admission.network_probes import PIECES, in_pieces, parts
from bentos.admission.proof import FAR_SHARE, Part, prove_parts
from bentos.flavors.graphs import NoGraph
from bentos.flavors.natives import Predict
from bentos.tensors import BadInput, Batch
from tests.admission.networks import Words, program, some_torch_words, tensors

RANDOM = np.random.default_rng(7)


def test_the_rows_of_a_comparison() -> None:
    schema, native, samples = tensors(program(Words(), *some_torch_words()))
    made = list(parts(schema, samples, lambda rows: bool(answers(native, rows))))
    words = np.concatenate([part.rows["words"] for part in made[:-2]])
    assert (words.min(), words.max()) == (0, 29)
    near = np.concatenate([p.rows["beside"] for p in made if p.kind == "network"])
    far = np.concatenate([p.rows["beside"] for p in made if p.kind == "far"])
    assert 1 < np.abs(near).max() < 100
    assert np.abs(far).max() > 1e11
    assert {-1, 30} <= set(made[-2].rows["words"].ravel()) | set(made[-1].rows["words"].ravel())


def answers(native: Predict, rows: Batch) -> Batch | None:
    try:
        return native(rows)
    except Exception:
        return None


def test_pieces_name_the_row_of_the_whole() -> None:
    sizes: list[int] = []

    def refusing(rows: Batch) -> Batch:
        sizes.append(rows.size)
        if (rows[""] == 5).any():
            raise BadInput("five", "", int((rows[""] == 5).argmax()))
        return rows

    assert in_pieces(refusing)(Batch({"": np.arange(100) + 6})).size == 100
    assert tuple(sizes) == (*PIECES, 100 - sum(PIECES))
    with pytest.raises(BadInput) as bad:
        in_pieces(refusing)(Batch({"": np.arange(100)}))
    assert bad.value.row == 5


def shifted(count: int, by: float) -> Predict:
    def predict(rows: Batch) -> Batch:
        made = rows[""].copy()
        made[:count] *= 1 + by
        return Batch({"": made})

    return predict


@pytest.mark.parametrize(
    ("kind", "count", "by", "holds"),
    [
        ("network", 1, 5e-6, True),
        ("network", 1, 5e-5, False),
        ("far", 1000, 5e-4, True),
        ("far", int(1000 * FAR_SHARE), 1.0, True),
        ("far", int(1000 * FAR_SHARE) + 1, 1.0, False),
    ],
)
def test_how_near_is_near(kind: Any, count: int, by: float, holds: bool) -> None:
    rows = Batch({"": RANDOM.uniform(1, 2, 1000)})
    proof = prove_parts(lambda given: given, shifted(count, by), [Part(rows, kind)], 60.0)
    assert proof.holds is holds


def test_small_numbers_are_measured_by_the_usual_ones() -> None:
    usual, small = (Batch({"": size * RANDOM.uniform(1, 2, 1000)}) for size in (1e3, 1e-3))
    both = [Part(usual), Part(small)]
    assert prove_parts(lambda given: given, shifted(9, 1.0), both[1:], 60.0).differing == 9
    first = prove_parts(lambda given: given, lambda rows: given_or(rows, small), both, 60.0)
    assert first.holds


def given_or(rows: Batch, small: Batch) -> Batch:
    return shifted(9, 1.0)(rows) if rows.size == small.size and rows[""].max() < 1 else rows


def crash() -> bytes:
    os.kill(os.getpid(), signal.SIGKILL)
    return b""


def fail() -> bytes:
    raise NoGraph("it has none")


def turn() -> bytes:
    while True:
        pass


@pytest.mark.parametrize(
    ("call", "why"),
    [(crash, "SIGKILL"), (fail, "^it has none$"), (turn, "more than 0.2 s of a processor")],
)
def test_what_ends_apart_ends_nothing_else(call: Callable[[], bytes], why: str) -> None:
    with pytest.raises(Apart, match=why):
        apart(call, 0.2 if call is turn else 60.0)
    assert apart(lambda: b"x" * 10**6, 60.0) == b"x" * 10**6
