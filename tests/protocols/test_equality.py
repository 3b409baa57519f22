"""Every door gives the same answers, to the last bit."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bentos.protocols import answers
from bentos.tensors import Batch, Column, Schema
from bentos.tensors.batch import Array
from tests.flavors.kinds import CASES
from tests.flavors.logged import Case, rows, saved
from tests.flavors.test_opening import batch
from tests.protocols import standing
from tests.protocols.doors import DOORS, Caller, flat

KINDS = [
    "scikit-learn",
    "scikit-learn by names",
    "scikit-learn of objects",
    "scikit-learn of texts",
    "catboost of categories",
    "xgboost booster",
    "lightgbm wrapper",
    "keras",
    "onnx",
    "torch",
]
ROWS = 1000


APP = standing.app()


@pytest.fixture(scope="module")
def caller() -> Iterator[Caller]:
    with standing.asked(APP) as caller:
        yield caller


@pytest.mark.parametrize("kind", KINDS)
def test_every_door_gives_the_same_answers(caller: Caller, kind: str, tmp_path: Path) -> None:
    case = CASES[kind]()
    release = standing.stand(APP, kind, saved(case, "both", tmp_path).folder)
    assert release.schema is not None
    table = thousand(release.schema, case)
    own = zip(*map(answers.values, release.predict(table).values()), strict=True)
    expected = [flat(list(row)) for row in own]
    assert len(expected) == ROWS
    for name, door in DOORS.items():
        assert door(caller, kind, release.schema, table) == expected, name


def thousand(schema: Schema, case: Case) -> Batch:
    """Rows like those of the training, no number of them twice."""
    few = batch(schema, case, rows(case, ROWS // 4))
    return Batch({c.name: _varied(c, np.concatenate([few[c.name]] * 4)) for c in schema.inputs})


def _varied(column: Column, values: Array) -> Array:
    if not column.dtype.startswith("float"):
        return values
    factors = np.random.default_rng(0).uniform(0.5, 1.5, values.shape)
    return np.asarray((values * factors).astype(values.dtype))
