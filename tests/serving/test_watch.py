"""A release that does worse than the one before it is taken back, and chance alone takes none."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

from bentos.drift import counting
from bentos.refusal import Refusal
from bentos.registry.tags import WITHDRAWN_TAG
from bentos.serving.comparison import FEWEST_FAILURES, FEWEST_SECONDS
from bentos.serving.record import Second
from bentos.serving.release import Release
from bentos.settings import Channel
from bentos.tensors import BadInput
from tests.serving.service import Open, Service, run
from tests.serving.versions import INPUTS, Shelf, digest, signed, state
from tests.stack import wait_for

UNKNOWN = 0.123


def spoiled(service: Service, version: str) -> Service:
    """A version that fails at some rows, as a library does without memory."""

    def ask(release: Release, rows: Sequence[float]) -> list[float]:
        if release.version.version == version and UNKNOWN in rows:
            raise RuntimeError("bad allocation")
        return run(release, rows)

    service.slot.batcher._engine._run = ask
    return service


def call(service: Service) -> None:
    with suppress(RuntimeError):
        service.ask(UNKNOWN)


def withdrawn(service: Service) -> bool:
    """Whether version 1 serves again, after a call and a look more."""
    call(service)
    service.look()
    return service.live == "1"


@pytest.fixture
def bad(shelf: Shelf) -> str:
    """The second of two versions."""
    shelf.add(1.0)
    return shelf.add(2.0).version


def test_a_release_that_fails_goes_back_by_itself(
    shelf: Shelf, bad: str, open_service: Open
) -> None:
    service = spoiled(open_service(), bad)
    for number in ("1", bad):
        shelf.promote(number, archive=True)
        service.look()
        assert service.live == number, service.slot.refused
        call(service)
    wait_for(lambda: withdrawn(service), 60)
    assert service.ask(UNKNOWN) == (UNKNOWN, "1")
    assert [state(shelf, number) for number in (1, 2)] == ["live", "withdrawn"]
    assert "calls failed; of the release before" in shelf.version(2).tag("ascenso")
    assert service.slot.report()["refused"].reason == "watch"
    history = [("swap", "1"), ("swap", "2"), ("refusal", "2"), ("withdrawal", "1")]
    assert service.history() == history
    service.look()
    service.watcher.reload()
    assert service.live == "1", "it is not taken again"
    fresh = open_service(home="fresh")
    fresh.look()
    assert fresh.live == "1", "nor by a process that was not there"
    shelf.promote(bad)
    service.look()
    assert service.live == bad, "until it is promoted anew"


def test_an_alias_that_moves_away_and_back_promotes_anew(
    shelf: Shelf, bad: str, open_service: Open
) -> None:
    service = spoiled(open_service(Channel(alias="champion")), bad)
    for number in ("1", bad):
        shelf.registry.set_alias(shelf.name, number, "champion")
        service.look()
    wait_for(lambda: withdrawn(service), 60)
    for number in ("1", bad):
        shelf.registry.set_alias(shelf.name, number, "champion")
        service.look()
    assert service.live == bad
    assert not told(shelf)


def test_what_one_process_takes_back_all_do(shelf: Shelf, bad: str, open_service: Open) -> None:
    service, other = spoiled(open_service(), bad), open_service(home="other")
    for number in ("1", bad):
        shelf.promote(number, archive=True)
        for one in (service, other):
            one.look()
    wait_for(lambda: withdrawn(service), 60)
    other.look()
    assert other.live == "1"
    assert state(shelf, 2) == "withdrawn"


def test_one_that_came_later_goes_back_too(shelf: Shelf, bad: str, open_service: Open) -> None:
    service = spoiled(open_service(), bad)
    for number in ("1", bad):
        shelf.promote(number, archive=True)
        service.look()
    later = open_service(home="later")
    later.look()
    assert (later.live, later.slot.previous) == (bad, None)
    wait_for(lambda: withdrawn(service), 60)
    later.look()
    assert later.ask(UNKNOWN) == (UNKNOWN, "1")
    assert later.history() == [("swap", bad), ("restore", "1"), ("refusal", bad)]
    assert [state(shelf, number) for number in (1, 2)] == ["live", "withdrawn"]
    later.look()
    assert later.live == "1"
    shelf.promote(bad)
    later.look()
    assert later.live == bad, "until it is promoted anew"


def asked(service: Service, random: np.random.Generator, rows: int = 1000) -> None:
    """Let it answer, and count the answers."""
    service.watcher.drifts.look()
    call = service.slot.predict(random.normal(size=rows).tolist())
    asyncio.run_coroutine_threadsafe(call, service._loop).result(60)
    service.watcher.drifts.look()


@pytest.mark.parametrize("wanted", [True, False])
def test_one_whose_answers_shift_goes_back_where_that_is_wanted(
    shelf: Shelf, bad: str, open_service: Open, monkeypatch: pytest.MonkeyPatch, wanted: bool
) -> None:
    monkeypatch.setattr(counting, "SHARED_EVERY", 0.0)
    random = np.random.default_rng(0)
    service = open_service(promotion={"watch": {"distribution": wanted}})
    for number in ("1", bad):
        shelf.promote(number, archive=True)
        service.look()
        asked(service, random)
    service.look()
    assert service.live == ("1" if wanted else bad)
    if wanted:
        assert "PSI" in shelf.version(2).tag("ascenso")
        assert state(shelf, 2) == "withdrawn"


def told(shelf: Shelf) -> str:
    """What the registry tells all processes of version 2."""
    return shelf.registry.model(shelf.name).tag(f"{WITHDRAWN_TAG}2")


STRANGE = 0.456


NEVER_SEEN = 0.789


@pytest.fixture
def forgetful(shelf: Shelf, tmp_path: Path) -> str:
    """The second of two versions that take known numbers alone, which does not know STRANGE."""
    for name, known in (("one", [STRANGE]), ("two", [])):
        numbers = np.append(INPUTS["x"], known)
        model = make_pipeline(OrdinalEncoder(), LinearRegression())
        folder = signed(model.fit(numbers[:, None], numbers), tmp_path / name)
        version = shelf.publish(folder, digest(folder))
    return version.version


def refused(service: Service, row: float) -> bool:
    """Whether version 1 serves again, after a good call, one that may be bad, and a look more."""
    service.ask(3.0)
    with suppress(BadInput):
        service.ask(row)
    service.watcher.opinions.look()
    service.look()
    return service.live == "1"


def test_one_that_refuses_what_was_answered_before_goes_back(
    shelf: Shelf, forgetful: str, open_service: Open
) -> None:
    service = open_service()
    for number in ("1", forgetful):
        shelf.promote(number, archive=True)
        service.look()
    with pytest.raises(BadInput):
        service.ask(STRANGE)
    wait_for(lambda: refused(service, STRANGE), 60)
    assert service.ask(STRANGE)[1] == "1"
    assert "refuses rows that version 1 answers: " in shelf.version(2).tag("ascenso")
    assert state(shelf, 2) == "withdrawn"


@pytest.mark.parametrize(("row", "wanted"), [(NEVER_SEEN, True), (STRANGE, False)])
def test_a_bad_caller_takes_nothing_back(
    shelf: Shelf, forgetful: str, open_service: Open, row: float, wanted: bool
) -> None:
    """Whose rows the release before refuses, too; or nobody wants to know."""
    service = open_service(promotion={"watch": {"refusals": wanted}})
    for number in ("1", forgetful):
        shelf.promote(number, archive=True)
        service.look()
    live = service.slot.live
    assert live
    wait_for(lambda: refused(service, row) or live.record.seconds()[FEWEST_SECONDS:], 60)
    wait_for(lambda: refused(service, row) or live.disputed.asked > FEWEST_FAILURES, 60)
    assert service.live == forgetful
    assert live.disputed.taken == (0 if wanted else live.disputed.asked)


def test_it_may_be_switched_off(shelf: Shelf, bad: str, open_service: Open) -> None:
    service = open_service(promotion={"watch": {"errors": False}})
    for number in ("1", bad):
        shelf.promote(number, archive=True)
        service.look()
    live = service.slot.live
    assert live
    live.record._seconds.extend(Second(at, 9, 9) for at in range(9))
    service.look()
    assert service.live == bad


def test_one_whose_process_fails_too_often_goes_whatever_was_before(
    shelf: Shelf, bad: str, open_service: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    service, calm = open_service(), open_service(home="calm")
    for number in ("1", bad):
        shelf.promote(number, archive=True)
        service.look()
        calm.look()
    later = open_service(home="later")  # which has seen no other version
    later.look()
    assert (service.live, calm.live, later.live) == (bad, bad, bad)
    well = calm.slot.live
    unfit = Refusal("crash", "its process failed 5 times in 10 minutes")

    def fails(release: Release) -> Refusal | None:
        return unfit if release.version.version == bad and release is not well else None

    monkeypatch.setattr(Release, "unfit", property(fails))
    for one in (service, later, calm):  # the last one only hears of it, and says the same
        one.look()
        assert one.live == "1"
        refused = one.slot.report()["refused"]
        assert (refused.version, refused.reason) == (bad, "crash")
    assert told(shelf)
    service.look()
    assert service.live == "1", "it is not taken again"
