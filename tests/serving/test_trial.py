import asyncio
from collections.abc import Sequence
from threading import Event
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bentos.serving.release import Release
from bentos.serving.slot import Slot
from bentos.serving.trial import Trial
from bentos.settings import ChallengerSettings
from tests.memory import numbers_slot, release

Floats = NDArray[np.float64]


def tried(mode: str, share: float, champion: Release, challenger: Release) -> Slot[float, float]:
    slot = numbers_slot()
    settings = ChallengerSettings.model_validate({"mode": mode, "share": share})
    trial = Trial(slot, settings)
    slot.try_beside(trial)
    slot.swap(champion)
    trial.slot.swap(challenger)
    return slot


async def settled(trial: Trial[float, float]) -> None:
    async with asyncio.timeout(60):
        await asyncio.gather(*trial._shadows)


def failing(rows: Floats) -> Floats:
    raise ValueError("no answer")


def test_a_shadow_is_compared_and_never_returned() -> None:
    async def calls() -> None:
        slot = tried(
            "shadow", 1.0, release("1", lambda x: 2 * x), release("2", lambda x: 2 * abs(x))
        )
        assert isinstance(slot.trial, Trial)
        for value in (1.0, 2.0, 3.0, -4.0):
            answered = await slot.predict([value])
            assert answered.answers == [2 * value]
            assert answered.release.version.version == "1"
        await settled(slot.trial)
        report = slot.report()["challenger"]
        assert (report["compared"], report["agreement"]) == (4, 0.75)
        assert report["champion_ms"] > 0
        assert report["challenger_ms"] > 0

    asyncio.run(calls())


def test_forecasts_are_compared_too() -> None:
    """Answers that are arrays: of one shape, and near each other in every value."""

    async def calls() -> None:
        slot = tried(
            "shadow", 1.0, release("1", lambda x: 2 * x), release("2", lambda x: 2.01 * abs(x))
        )
        assert isinstance(slot.trial, Trial)

        def run(release: Release, rows: Sequence[float]) -> list[Any]:
            return [release.predict(np.array([row, row + 1])) for row in rows]

        slot.batcher._engine._run = slot.trial.slot.batcher._engine._run = run
        for value in (1.0, 2.0, -4.0):
            await slot.predict([value])
        await settled(slot.trial)
        report = slot.report()["challenger"]
        assert (report["compared"], report["agreed"], report["errors"]) == (3, 2, 0)

    asyncio.run(calls())


def test_a_failing_shadow_breaks_no_call() -> None:
    async def calls() -> None:
        slot = tried("shadow", 1.0, release("1", lambda x: 2 * x), release("2", failing))
        assert isinstance(slot.trial, Trial)
        assert (await slot.predict([1.0])).answers == [2.0]
        await settled(slot.trial)
        assert slot.trial.counts.errors == 1
        assert (await slot.predict([1.0])).answers == [2.0]

    asyncio.run(calls())


def test_a_shadow_that_hangs_is_spared_the_calls_and_slows_none() -> None:
    async def calls() -> None:
        go_on = Event()

        def hang(rows: Floats) -> Floats:
            go_on.wait(240)
            return rows

        slot = tried("shadow", 1.0, release("1", lambda x: 2 * x), release("2", hang))
        assert isinstance(slot.trial, Trial)
        for _ in range(3 * slot.limits.batch_rows):
            async with asyncio.timeout(60):
                assert (await slot.predict([1.0])).answers == [2.0]
        assert slot.trial.counts.dropped > slot.limits.batch_rows
        go_on.set()
        await settled(slot.trial)

    asyncio.run(calls())


def test_a_canary_answers_its_share() -> None:
    async def calls() -> None:
        slot = tried("canary", 0.5, release("1", lambda x: x), release("2", lambda x: -x))
        assert isinstance(slot.trial, Trial)
        for _ in range(400):
            answered = await slot.predict([1.0])
            by_canary = answered.release.version.version == "2"
            assert answered.answers == [-1.0 if by_canary else 1.0]
        assert 120 < slot.trial.counts.answered < 280  # 8 standard deviations

    asyncio.run(calls())


def test_where_a_canary_fails_the_champion_answers() -> None:
    async def calls() -> None:
        slot = tried("canary", 1.0, release("1", lambda x: 2 * x), release("2", failing))
        assert isinstance(slot.trial, Trial)
        answered = await slot.predict([1.0])
        assert (answered.answers, answered.release.version.version) == ([2.0], "1")
        assert slot.trial.counts.errors == 1

    asyncio.run(calls())


@pytest.mark.parametrize(("tag", "share"), [("0", 0.0), ("1", 1.0), ("0.25", 0.25), ("", 0.1)])
def test_the_tag_sets_the_share(tag: str, share: float) -> None:
    slot = tried("canary", 0.1, release("1", lambda x: x), release("2", lambda x: x))
    assert isinstance(slot.trial, Trial)
    slot.trial.adjust(tag, "the tag serving.traffic")
    assert (slot.trial.share, slot.trial.trouble) == (share, "")


@pytest.mark.parametrize("tag", ["2", "-0.1", "nan", "all"])
def test_a_bad_tag_changes_nothing_and_is_reported(tag: str) -> None:
    slot = tried("canary", 0.1, release("1", lambda x: x), release("2", lambda x: x))
    assert isinstance(slot.trial, Trial)
    slot.trial.adjust(tag, "the tag serving.traffic")
    assert slot.trial.share == 0.1
    assert repr(tag) in slot.report()["challenger"]["trouble"]


def test_a_new_challenger_is_counted_from_nothing() -> None:
    async def calls() -> None:
        slot = tried("shadow", 1.0, release("1", lambda x: x), release("2", lambda x: -x))
        assert isinstance(slot.trial, Trial)
        await slot.predict([1.0])
        await settled(slot.trial)
        slot.trial.slot.swap(release("3", lambda x: x))
        await slot.predict([1.0])
        await settled(slot.trial)
        assert (slot.trial.counts.compared, slot.trial.counts.agreed) == (1, 1)

    asyncio.run(calls())


def test_a_challenger_that_became_champion_is_not_compared_with_itself() -> None:
    async def calls() -> None:
        slot = tried("shadow", 1.0, release("2", lambda x: x), release("2", lambda x: x))
        assert isinstance(slot.trial, Trial)
        await slot.predict([1.0])
        assert slot.trial.counts.compared == 0
        assert not slot.trial._shadows

    asyncio.run(calls())
