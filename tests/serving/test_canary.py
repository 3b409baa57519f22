"""A challenger that does worse than the champion is withdrawn, by what all replicas saw."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bentos.registry.tags import ENDED_TAG
from bentos.serving.release import Release
from bentos.serving.slot import Slot
from bentos.serving.table import Table
from bentos.serving.trial import Trial, read_by
from bentos.settings import ChallengerSettings
from bentos.tensors import BadInput, Batch, Schema
from bentos.tensors.schema import Column
from bentos.web.console.counts import Counts
from bentos.web.console.overview import ended, together
from tests.memory import numbers_slot, release
from tests.serving.gate import Gate
from tests.serving.service import Open, Service, run
from tests.serving.versions import Shelf, state
from tests.stack import wait_for

SPOILS = 0.123  # version 2 fails at it
CANARY = {"default": {"mode": "canary", "share": 1.0}}


def tried(mode: str, fails: Exception) -> tuple[Slot[float, float], Trial[float, float]]:
    """A challenger that fails at each call, beside a champion that fails at rows below 0."""
    slot = numbers_slot()
    trial = Trial(slot, ChallengerSettings.model_validate({"mode": mode, "share": 1.0}))
    slot.try_beside(trial)

    def champion(rows: Any) -> Any:
        if (rows < 0).any():
            raise BadInput("x is negative")
        return rows

    def challenger(rows: Any) -> Any:
        raise fails

    slot.swap(release("1", champion))
    trial.slot.swap(release("2", challenger))
    return slot, trial


@pytest.mark.parametrize("mode", ["shadow", "canary"])
def test_what_the_champion_does_not_take_is_no_failure_of_the_challenger(mode: str) -> None:
    async def asked() -> None:
        slot, trial = tried(mode, BadInput("x is strange"))
        for value in (1.0, -1.0, 2.0):
            try:
                assert (await slot.predict([value])).answers == [value]
            except BadInput:
                assert value < 0
        await asyncio.gather(*trial._shadows)
        (second, *more) = trial.evidence().new.seconds()
        assert (second.failed + sum(s.failed for s in more), trial.counts.errors) == (2, 2)

    asyncio.run(asked())


class Pair:
    """Two services with homes of their own, and calls to both."""

    def __init__(self, services: Sequence[Service]) -> None:
        self.services = services

    def ask(self, *rows: float) -> set[str]:
        """Ask both; gives the versions that answered."""
        return {service.ask(row)[1] for row in rows for service in self.services}

    @property
    def challengers(self) -> list[str | None]:
        trials = [service.slot.trial for service in self.services]
        live = [trial.slot.live if trial else None for trial in trials]
        return [one.version.version if one else None for one in live]


@pytest.fixture
def pair(open_service: Open, shelf: Shelf, gate: tuple[Gate, str]) -> Pair:
    """Both serve version 1, and version 2 is a canary that gets all calls."""
    shelf.promote(shelf.add(1.0))
    shelf.add(1.0)
    ledger = {"url": gate[1]}
    pair = Pair(
        [open_service(home=h, ledger=ledger, challengers=CANARY) for h in ("here", "there")]
    )
    for service in pair.services:
        spoil(service)
        service.start()
    shelf.registry.set_alias(shelf.name, "2", "challenger")
    wait_for(lambda: pair.challengers == ["2", "2"], 90)
    return pair


def spoil(service: Service) -> None:
    """Let version 2 fail at some rows."""

    def ask(release: Release, rows: Sequence[float]) -> list[float]:
        if release.version.version == "2" and SPOILS in rows:
            raise RuntimeError("bad allocation")
        return run(release, rows)

    assert isinstance(service.slot.trial, Trial)
    service.slot.trial.slot.batcher._engine._run = ask


def test_a_bad_challenger_ends_everywhere_and_a_good_one_stays(
    pair: Pair, shelf: Shelf, gate: tuple[Gate, str], open_service: Open
) -> None:
    here, there = pair.services
    assert pair.ask(*[1.0] * 20) == {"2"}
    fleet = here.watcher.fleet
    assert fleet
    assert here.slot.trial
    wait_for(lambda: together(fleet.of(here.slot.trial.slot)) == Counts(40), 60)  # type: ignore[union-attr]
    for service, failures in ((here, 2), (here, 1), (there, 2)):  # of each too few
        second = int(time.time())
        wait_for(lambda last=second: int(time.time()) > last, 60)  # type: ignore[misc]
        for _ in range(failures):
            assert service.ask(SPOILS) == (SPOILS, "1"), "the champion answers in its place"
    wait_for(lambda: pair.challengers == [None, None], 60)
    assert pair.ask(1.0, SPOILS) == {"1"}
    wait_for(lambda: state(shelf, 2) == "withdrawn", 60)
    words = shelf.version(2).tag("ascenso")
    found = "5 of 45 calls failed; of the champion, 0 of 0 (as 2 processes counted)"
    assert found in words
    assert shelf.registry.model(shelf.name).tag(f"{ENDED_TAG}2")
    wait_for(lambda: ("vacated", "2") in here.history(), 60)
    assert ended(here.slot).startswith(f"version 2 is not tried: watch: {found}")
    told = [event for event in history(pair, shelf) if event[1] == "2" and event[0] != "swap"]
    assert {what for what, *_ in told} == {"refusal", "vacated"}
    assert all(found in why for *_, why in told)
    pair.services[0].watcher.reload()
    fresh = open_service(home="fresh", ledger={"url": gate[1]}, challengers=CANARY)
    fresh.look()
    assert fresh.slot.trial
    assert fresh.slot.trial.slot.live is None, "it is not taken again, nor by one that comes later"
    assert pair.challengers == [None, None]

    for number in (None, "2"):  # until it is set anew
        if number:
            shelf.registry.set_alias(shelf.name, number, "challenger")
        else:
            shelf.registry.delete_alias(shelf.name, "challenger")
            wait_for(lambda: all(not s.slot.trial.slot.promised for s in pair.services), 60)  # type: ignore[union-attr]
    wait_for(lambda: pair.challengers == ["2", "2"], 90)
    gate[0].shut()  # and alone, each judges by its own evidence
    try:
        wait_for(lambda: not any(s.watcher.jury.sits for s in pair.services), 90)
        assert pair.ask(*[1.0] * 20) == {"2"}
        assert pair.challengers == ["2", "2"]

        def gone() -> bool:
            pair.ask(1.0, SPOILS)
            return pair.challengers == [None, None]

        wait_for(gone, 90)
    finally:
        gate[0].open()


def history(pair: Pair, shelf: Shelf) -> list[tuple[str, str, str]]:
    events = pair.services[0].watcher.ledger.history(shelf.name)
    return [(event.what, event.version, event.why) for event in events]


def test_a_challenger_reads_the_rows_by_its_own_schema() -> None:
    """Or else it would fail at every call of a champion whose schema knows other categories."""
    x, y, z = (Column(name, "float64") for name in "xyz")
    rows = Table(Batch({"x": np.ones(1), "y": np.ones(1)}), Schema((x, y)))
    same, fewer, other = (
        replace(release("2", lambda a: a), schema=Schema(columns))
        for columns in ((x, y), (x,), (x, z))
    )
    assert read_by(rows, same) is rows
    theirs = read_by(rows, fewer)
    assert isinstance(theirs, Table)
    assert (theirs.schema, theirs.batch.names) == (fewer.schema, ("x",))
    assert read_by(rows, other) is None
    assert read_by(Table(rows.batch, rows.schema, probable=True), same) is None
