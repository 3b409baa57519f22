"""What releases get is counted in the background, by all workers of a machine together."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from bentos.drift import counting
from bentos.drift.counting import Drifts, Places
from bentos.drift.reference import BESIDE, FILE, Reference, read
from bentos.drift.shelf import tidy
from bentos.serving.drift import Drift
from bentos.serving.release import Release
from bentos.serving.slot import Slot
from bentos.settings import DriftSettings
from bentos.web.metrics import DRIFT
from tests.drift.counts import tally
from tests.web.small import LIMITS, Point, Sum, small_slot

RANDOM = np.random.default_rng(0)
Worker = Callable[..., tuple[Slot[Point, Sum], Drifts]]


@pytest.fixture(autouse=True)
def _shared_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "SHARED_EVERY", 0.0)


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    """One more worker of the same machine."""
    workers: list[Drifts] = []

    def places(release: Release) -> Places:
        folder = tmp_path / "cache" / release.version.version
        known = (("training", folder / BESIDE), ("example", folder / FILE))
        return known, tmp_path / "drift" / "adder" / release.version.version  # type: ignore[return-value]

    def made(version: str = "1", **settings: object) -> tuple[Slot[Point, Sum], Drifts]:
        limits = msgspec.convert(LIMITS.model_dump() | {"rows_per_call": 50_000}, dict)
        slot = small_slot(version=version, limits=type(LIMITS)(**limits))
        given = DriftSettings.model_validate({"rows_a_second": 50_000, **settings})
        drifts = Drifts(lambda: [slot], places, tmp_path / "drift", given)
        drifts.look()
        workers.append(drifts)
        return slot, drifts

    yield made
    for drifts in workers:
        drifts._counted.clear()  # called leaks at the end of the process


def call(slot: Slot[Point, Sum], rows: int, shift: float = 0.0) -> None:
    x, y = RANDOM.normal(shift, size=rows), RANDOM.normal(size=rows)
    asyncio.run(slot.batcher.submit([Point(*map(float, row)) for row in zip(x, y, strict=True)]))


def found(slot: Slot[Point, Sum]) -> Drift:
    assert slot.live
    assert slot.live.sample.found
    return slot.live.sample.found


def trained(folder: Path, version: str = "1", beside: str = BESIDE) -> Reference:
    x, y = RANDOM.normal(size=20_000), RANDOM.normal(size=20_000)
    counted = tally(x=x, y=x + y)
    counted.sides["inputs"]["y"] = tally(x=y).sides["inputs"]["x"]
    counted.sides["outputs"] = {"total": counted.sides["outputs"]["y"]}
    made = counted.reference()
    path = folder / "cache" / version / beside
    path.parent.mkdir(parents=True)
    path.write_bytes(msgspec.json.encode(made))
    return made


def test_a_shift_is_told_of_its_column_and_of_the_answers(tmp_path: Path, worker: Worker) -> None:
    trained(tmp_path)
    slot, drifts = worker()
    call(slot, 2000)
    drifts.look()
    usual = found(slot)
    assert (usual.rows, usual.reference) == (2000, "training")
    assert all((c.psi or 0) < 0.1 for c in [*usual.columns.values(), *usual.outputs.values()])
    slot, drifts = worker()
    call(slot, 4000, shift=2.0)
    drifts.look()
    shifted = found(slot)
    assert shifted.rows == 6000, "those of the other worker, too"
    assert (shifted.columns["x"].psi or 0) > 0.25 > 0.1 > (shifted.columns["y"].psi or 0)
    assert (shifted.outputs["total"].psi or 0) > 0.25
    told = slot.report()["drift"]
    assert told["reference"] == "training"
    assert told["columns"]["x"].keys() == {"psi", "missing", "unknown", "outside"}


def test_an_example_is_usual_where_the_training_said_nothing(
    tmp_path: Path, worker: Worker
) -> None:
    trained(tmp_path, beside=FILE)
    slot, _ = worker()
    assert found(slot).reference == "example"


def test_else_the_first_rows_are_and_stay_so_after_a_restart(
    tmp_path: Path, worker: Worker
) -> None:
    (slot, drifts), (other, others) = worker(), worker()
    call(slot, 3000)
    call(other, 3000)
    for one in (drifts, others, drifts):
        one.look()
    assert (found(slot).rows, found(slot).reference) == (6000, None)
    slot, drifts = worker()  # as after a restart
    call(slot, 5000)
    drifts.look()
    made = read(tmp_path / "drift" / "adder" / "1" / FILE)
    assert made
    assert made.rows == 11_000
    for one in (drifts, others):
        one.look()
    assert [(found(s).rows, found(s).reference) for s in (slot, other)] == [(0, "served")] * 2
    call(other, 2000, shift=2.0)
    for one in (others, drifts):
        one.look()
    for each in (slot, other):
        assert (found(each).columns["x"].psi or 0) > 0.25
    assert worker()[0].live


def test_a_sample_is_counted_of_many_rows(worker: Worker) -> None:
    slot, drifts = worker(rows_a_second=100)
    call(slot, 500)
    call(slot, 500)
    drifts.look()
    assert found(slot).rows == 100


def test_nothing_is_held_where_nobody_counts(worker: Worker) -> None:
    slot, drifts = worker(exclude=["add*"])
    call(slot, 500)
    drifts.look()
    assert slot.live
    assert slot.live.sample.take(0) == []
    assert slot.report()["drift"] is None


def test_what_is_old_or_damaged_is_thrown_away(tmp_path: Path, worker: Worker) -> None:
    slot, drifts = worker()
    call(slot, 100)
    drifts.look()
    (path,) = (tmp_path / "drift").rglob("*.tally")
    (path.parent / "bad.tally").write_bytes(b"no tally")
    other, others = worker(hours=1e-9)
    assert found(other).rows == 0
    assert not list(path.parent.glob("*.tally"))
    assert others.shifted(other.live, other.live) == "" if other.live else False
    (tmp_path / "cache" / "1" / BESIDE).parent.mkdir(parents=True)
    (tmp_path / "cache" / "1" / BESIDE).write_text('{"rows": 0}')
    assert found(worker()[0]).reference is None
    tidy(tmp_path / "drift")
    assert path.parent.is_dir()


def test_metrics_are_bounded_and_forget_what_left(tmp_path: Path, worker: Worker) -> None:
    trained(tmp_path)
    slot, drifts = worker()
    call(slot, 1000, shift=2.0)
    drifts.look()
    registry = CollectorRegistry()
    registry.register(DRIFT)
    shown = generate_latest(registry).decode()
    assert 'ascenso_drift_psi{column="x",model="adder",side="inputs"}' in shown
    assert 'ascenso_drift_share{column="x",model="adder",side="inputs",what="outside"}' in shown
    assert 'ascenso_drift_rows{model="adder"} 1000.0' in shown
    assert slot.live
    slot.observer.vacated("stage Production", slot.live)
    assert "adder" not in generate_latest(registry).decode()
