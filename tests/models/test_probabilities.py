"""How probable classes are: asked for by some calls, in batches with others."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bentos.models.calls import Row, Stale, ask, run
from bentos.protocols.rows import Rows, by_class
from bentos.serving.release import Release
from bentos.serving.slot import Slot
from bentos.serving.table import Table
from bentos.settings import Channel, LimitSettings
from bentos.tensors import Batch
from bentos.web.errors import UnprocessableBody
from tests.admission.judged import BY_SCHEMA, admitted
from tests.flavors.kinds import CASES
from tests.flavors.logged import rows, saved
from tests.memory import Tally

pytestmark = pytest.mark.anyio
FEW = 5


def serving(kind: str, folder: Path) -> tuple[Slot[Row, Row], Release, Tally]:
    """A slot in which a model of this kind serves."""
    version = saved(CASES[kind](), "both", folder).folder
    release, tally = admitted(version, BY_SCHEMA), Tally()
    slot = Slot[Row, Row](
        "m", BY_SCHEMA, run, Channel(alias="champion"), LimitSettings(), tally, join=Table.join
    )
    slot.swap(release)
    return slot, release, tally


@pytest.mark.parametrize(
    ("kind", "runs"), [("scikit-learn", "onnx"), ("catboost of categories", "native")]
)
async def test_who_asks_gets_them(kind: str, runs: str, tmp_path: Path) -> None:
    slot, release, tally = serving(kind, tmp_path)
    assert (release.runs, release.schema is not None) == (runs, True)
    table = rows(CASES[kind](), FEW)

    def read(release: Release) -> Batch:
        assert release.schema
        return Rows(release.schema, FEW).decode(table.to_json(orient="records").encode()).batch

    (asked, _), (plain, _) = await asyncio.gather(ask(slot, read, 9, True), ask(slot, read, 9))
    assert tally.rows == [2 * FEW]  # one batch
    assert [*plain, "probabilities"] == list(asked)
    model: Any = CASES[kind]().model
    wanted = model.predict_proba(table)
    np.testing.assert_allclose(asked["probabilities"], wanted, rtol=1e-9)
    first = by_class(asked, release.probabilities.classes)["probabilities"][0]
    assert first == dict(zip(["high", "low", "middle"], asked["probabilities"][0], strict=True))


async def test_a_model_without_them_says_why(tmp_path: Path) -> None:
    slot, release, _ = serving("scikit-learn, no names", tmp_path)
    batch = Batch({"": np.ones((1, 4))})
    with pytest.raises(UnprocessableBody) as wrong:
        await ask(slot, lambda release: batch, 9, True)
    assert "a RandomForestRegressor has no predict_proba" in wrong.value.sentence
    assert release.schema
    with pytest.raises(Stale):  # read by a release that had them
        run(release, Table(batch, release.schema, probable=True))
