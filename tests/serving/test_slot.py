import asyncio
from datetime import UTC, datetime

import msgspec
import pytest

from bentos.refusal import Refusal
from bentos.registry.client import Version
from bentos.serving.batching import NoRelease
from bentos.serving.slot import Slot
from tests.memory import numbers_slot, release


@pytest.fixture
def slot() -> Slot[float, float]:
    return numbers_slot()


@pytest.mark.anyio
async def test_answers_with_what_is_live(slot: Slot[float, float]) -> None:
    with pytest.raises(NoRelease):
        await slot.predict([1.0])
    slot.swap(release("1"))
    assert (await slot.predict([1.0, 2.5])).answers == [2.0, 5.0]
    slot.swap(release("2", predict=lambda rows: rows * 3))
    answered = await slot.predict([1.0, 2.5])
    assert answered.answers == [3.0, 7.5]
    assert answered.release is slot.live


@pytest.mark.anyio
async def test_calls_wait_for_what_is_being_restored(slot: Slot[float, float]) -> None:
    slot.restore(ongoing=True)
    early = asyncio.create_task(slot.predict([1.0]))
    await asyncio.wait([early], timeout=0.1)
    assert not early.done()
    slot.swap(release("1"))
    assert (await early).answers == [2.0]


@pytest.mark.anyio
async def test_calls_are_turned_away_when_there_was_nothing_to_restore(
    slot: Slot[float, float],
) -> None:
    slot.restore(ongoing=True)
    early = asyncio.create_task(slot.predict([1.0]))
    await asyncio.wait([early], timeout=0.1)
    slot.restore(ongoing=False)
    with pytest.raises(NoRelease):
        await early


def test_a_swap_keeps_the_release_before_it(slot: Slot[float, float]) -> None:
    first, second, third = (release(str(number)) for number in (1, 2, 3))
    for one in (first, second):
        slot.swap(one)
    assert (slot.live, slot.previous) == (second, first)
    slot.swap(third, keep_previous=False)
    assert (slot.live, slot.previous) == (third, None)


def test_a_swap_ends_the_candidacy(slot: Slot[float, float]) -> None:
    slot.consider(Version("small", "2"), "MLflow does not answer")
    slot.swap(release("2"))
    assert slot.candidate is None
    assert slot.report()["trouble"] is None


def test_a_refusal_leaves_what_serves_and_says_why(slot: Slot[float, float]) -> None:
    slot.swap(release("1"))
    slot.consider(Version("small", "2"), slot.trouble)
    slot.refuse(Version("small", "2"), Refusal("pickle", "log it with skops"))
    report = slot.report()
    assert report["live"]["version"] == "1"
    assert report["candidate"] is None
    refused = report["refused"]
    assert (refused.version, refused.reason, refused.message) == (
        "2",
        "pickle",
        "log it with skops",
    )
    ago = datetime.now(UTC) - datetime.fromisoformat(refused.at)
    assert 0 <= ago.total_seconds() < 60


def test_vacated_it_has_nothing_to_answer_with(slot: Slot[float, float]) -> None:
    slot.swap(release("1"))
    slot.swap(release("2"))
    slot.vacate()
    assert (slot.live, slot.previous) == (None, None)


def test_the_report_is_json(slot: Slot[float, float]) -> None:
    slot.swap(release("7", row_seconds=0.0012345))
    slot.refuse(Version("small", "8"), Refusal("latency", "too slow"))
    report = msgspec.json.decode(msgspec.json.encode(slot.report()))
    assert report["model"] == "small"
    assert report["channel"] == "alias champion"
    assert report["live"]["version"] == "7"
    assert report["live"]["row_ms"] == 1.234
    assert report["previous"] is None
    assert report["refused"]["reason"] == "latency"


@pytest.mark.anyio
async def test_calls_wait_for_the_version_that_is_on_its_way(slot: Slot[float, float]) -> None:
    slot.promise()
    slot.consider(Version("small", "1"))
    assert slot.hindrance == "version 1 is being checked"
    call = asyncio.create_task(slot.predict([1.0]))
    await asyncio.sleep(0)
    assert not call.done()
    slot.swap(release("1"))
    assert (await call).release is slot.live


@pytest.mark.anyio
async def test_calls_do_not_wait_for_what_is_held_up(slot: Slot[float, float]) -> None:
    slot.promise()
    slot.consider(Version("small", "1"), "S3 is down")
    with pytest.raises(NoRelease):
        await slot.predict([1.0])
    assert slot.hindrance == "version 1 is being checked, and waits: S3 is down"
    slot.refuse(Version("small", "1"), Refusal("pickle", "log it with skops"))
    assert slot.hindrance == "version 1 was refused: pickle: log it with skops"
    slot.empty("")
    assert slot.hindrance == "promote one to the alias champion"


def test_what_the_registry_did_not_say_is_not_said(slot: Slot[float, float]) -> None:
    assert slot.hindrance == "MLflow has not said yet what is promoted"
    slot.consider(None, "MLflow answered 403")
    assert slot.hindrance == "MLflow answered 403"
