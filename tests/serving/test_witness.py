import asyncio
from functools import partial
from typing import Any

import numpy as np
import pytest

from bentos.serving.rack import Rack
from bentos.serving.slot import Slot
from bentos.serving.trial import Trial
from bentos.serving.witness import CALL_ID, Seen, named
from bentos.settings import ChallengerSettings
from bentos.tensors import Batch
from tests.memory import INLINE, THREADED, numbers_slot, release

pytestmark = pytest.mark.anyio


class Seer:
    def __init__(self) -> None:
        self.seen: list[Seen] = []

    def watches(self, model: str) -> bool:
        return model != "dull"

    def saw(self, seen: Seen) -> None:
        self.seen.append(seen)

    @property
    def versions(self) -> list[str]:
        return [seen.release.version.version for seen in self.seen]


async def ask(slot: Slot[float, float], name: str, rows: list[float]) -> Any:
    CALL_ID.set(name)
    return (await slot.predict(rows)).answers


@pytest.mark.parametrize("row_seconds", [INLINE, THREADED], ids=["inline", "threaded"])
async def test_a_batch_is_seen_once_with_the_calls_that_are_in_it(row_seconds: float) -> None:
    slot, seer = numbers_slot(), Seer()
    slot.witnesses.all.append(seer)
    live = release("7", row_seconds=row_seconds)
    slot.swap(live)
    calls = [ask(slot, "a", [1.0, 2.0]), ask(slot, "b", [3.0])]
    assert await asyncio.gather(*calls) == [[2.0, 4.0], [6.0]]
    (seen,) = seer.seen
    assert seen.release is live
    assert [(p.call.name, p.start, len(p.rows)) for p in seen.parts] == [("a", 0, 2), ("b", 0, 1)]
    assert seen.inputs["x"].tolist() == [1.0, 2.0, 3.0]
    assert seen.answers["twice"].tolist() == [2.0, 4.0, 6.0]


async def test_a_swap_is_seen_with_the_batches_of_each_release() -> None:
    slot, seer = numbers_slot(), Seer()
    slot.witnesses.all.append(seer)
    for version, times in (("1", 2.0), ("2", 3.0)):
        slot.swap(release(version, partial(np.multiply, times)))
        assert (await slot.predict([1.0])).answers == [times]
    await slot.predict([1.0], version="1")
    assert seer.versions == ["1", "2", "1"]
    assert [seen.answers["twice"].tolist() for seen in seer.seen] == [[2.0], [3.0], [2.0]]


async def test_a_witness_that_fails_fails_no_call(caplog: pytest.LogCaptureFixture) -> None:
    class Failing(Seer):
        def saw(self, seen: Seen) -> None:
            raise ValueError("not today")

    slot = numbers_slot()
    slot.witnesses.all.append(Failing())
    slot.swap(release())
    assert (await slot.predict([1.0])).answers == [2.0]
    assert "was answered, but not seen" in caplog.text


@pytest.mark.parametrize(("mode", "versions"), [("shadow", ["1"]), ("canary", ["2"])])
async def test_what_callers_were_answered_is_seen_and_no_shadow(
    mode: str, versions: list[str]
) -> None:
    slot, seer = numbers_slot(), Seer()
    slot.witnesses.all.append(seer)
    trial = Trial(slot, ChallengerSettings.model_validate({"mode": mode, "share": 1.0}))
    slot.try_beside(trial)
    slot.swap(release("1"))
    trial.slot.swap(release("2"))
    await slot.predict([1.0])
    await asyncio.gather(*trial._shadows)
    assert seer.versions == versions


def test_slots_that_come_later_have_the_witnesses_of_their_rack() -> None:
    def make(name: str) -> Slot[float, float]:
        return numbers_slot()

    rack, seer = Rack("", make), Seer()
    rack.witnesses.append(seer)
    one, dull = rack.add(["any", "dull"])
    assert one.witnesses.all == [seer]
    assert dull.witnesses.all == []


def test_arrays_have_the_names_of_the_contract_where_they_fit() -> None:
    batch = Batch({"a": np.zeros(2)})
    assert named(batch, ["x"]) is batch
    assert named(np.zeros((2, 2)), ["x", "y"]).names == ("x", "y")
    assert named(np.zeros(2), ["x"]).names == ("x",)
    assert named(np.zeros((2, 3)), ["x"], "prediction").names == ("prediction",)
    assert named(np.zeros((2, 3, 4)), []).names == ("",)
