"""Versions come and go while every door is asked: nothing is lost, and no answer is mixed."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from threading import Semaphore

import numpy as np
import pytest

from bentos.tensors import Batch, Column, Schema
from bentos.tensors.batch import Array
from tests.protocols import standing
from tests.protocols.doors import DOORS

SCHEMA = Schema((Column("x", "float64"),), (Column("times", "float64"),))
ROWS = Batch({"x": np.arange(1.0, 6)})
CALLS = 120


def times(factor: int) -> standing.Predict:
    return lambda batch: Batch({"times": batch["x"] * factor})


@pytest.mark.parametrize("others", [SCHEMA, Schema((Column("x", "int64"),), SCHEMA.outputs)],
                         ids=["same columns", "other dtypes"])  # fmt: skip
def test_no_call_is_lost_or_mixed(others: Schema) -> None:
    app = standing.app()
    standing.put(app, "times", SCHEMA, times(1))
    turns = Semaphore(0)  # a version comes when each door has answered, one by another

    def ask(door: str) -> Counter[float]:
        factors: Counter[float] = Counter()
        for _ in range(CALLS):
            answers: Array = np.array(DOORS[door](caller, "times", SCHEMA, ROWS))[:, 0]
            (factor,) = set(answers / ROWS["x"])
            factors[factor] += 1
            turns.release()
        return factors

    with standing.asked(app) as caller, ThreadPoolExecutor(len(DOORS)) as callers:
        running = [callers.submit(ask, door) for door in DOORS]
        version = 1
        while not all(call.done() for call in running):
            for _ in DOORS:
                turns.acquire(timeout=1)
            version += 1
            schema = others if version % 2 else SCHEMA
            standing.put(app, "times", schema, times(version), str(version))
        answered = [call.result() for call in running]
    assert all(factors.total() == CALLS for factors in answered)
    assert all(len(factors) > 1 for factors in answered)
