"""Counts in a file that several processes share, and what is read from them."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from bentos.web.console.counts import Counts, total
from bentos.web.console.ring import DAY, HOUR, MINUTES, Ring
from bentos.web.metrics import SECONDS

NOON = 1_800_000_000.0  # a whole number of all spans' places


def many(path: Path, times: int) -> None:
    ring = Ring(path)
    for _ in range(times):
        ring.add(NOON, {"models/wine": Counts(calls=1, rows=2)})


def test_processes_add_to_the_same_places(tmp_path: Path) -> None:
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        list(pool.map(many, [tmp_path / "t.db"] * 2, [50] * 2))
    for span in (MINUTES, HOUR, DAY):
        places = Ring(tmp_path / "t.db").read(span, NOON)["models/wine"]
        assert (places[-1].calls, places[-1].rows) == (100, 200)
        assert len(places) == span.places
        assert total(places[:-1]) == Counts()


def test_what_is_older_than_a_turn_is_gone_and_the_file_does_not_grow(tmp_path: Path) -> None:
    ring = Ring(tmp_path / "t.db")
    for turn in range(3):
        for place in range(HOUR.places):
            at = NOON + turn * 3600 + place * 60
            ring.add(at, {"m": Counts(calls=turn + 1)})
    now = NOON + 2 * 3600 + 59 * 60
    assert [one.calls for one in ring.read(HOUR, now, "m")["m"]] == [3] * 60
    assert [one.calls for one in ring.read(HOUR, now + 120, "m")["m"]] == [3] * 58 + [0, 0]
    assert total(ring.read(DAY, now, "m")["m"]).calls == 60 * (1 + 2 + 3)
    with ring._open() as db:
        (rows,) = db.execute("SELECT COUNT(*) FROM traffic").fetchone()
    assert rows <= MINUTES.places + HOUR.places + DAY.places

    ring.add(now + 2 * 86_400, {"other": Counts(calls=1)})
    assert list(ring.read(DAY, now, "")) == [], "models that left are forgotten"


def test_one_name_is_read_alone(tmp_path: Path) -> None:
    ring = Ring(tmp_path / "t.db")
    ring.add(NOON, {"a/x": Counts(calls=1), "b/x": Counts(calls=2)})
    assert total(ring.read(HOUR, NOON, "a/x")["a/x"]).calls == 1
    assert ring.read(HOUR, NOON, "c/x")["c/x"] == [Counts()] * HOUR.places
    assert ring.read(HOUR, NOON).keys() == {"a/x", "b/x"}


def test_quantiles_lie_within_their_bucket() -> None:
    times = [0.0] * (len(SECONDS) + 1)
    times[SECONDS.index(0.005)] = 90
    times[SECONDS.index(0.1)] = 10
    counts = Counts(calls=100, errors=5, rows=300, batches=100, times=times)
    assert counts.quantile(0.45) == pytest.approx(0.00375)
    middle, slow = counts.quantile(0.5), counts.quantile(0.99)
    assert middle
    assert slow
    assert 0.0025 < middle < 0.005
    assert 0.05 < slow < 0.1
    assert (counts.failing, counts.batch) == (0.05, 3)
    beyond = Counts(times=[0.0] * len(SECONDS) + [1.0])
    assert beyond.quantile(0.5) == SECONDS[-1]
    nothing = Counts()
    assert (nothing.quantile(0.5), nothing.failing, nothing.batch) == (None, None, None)
    assert not nothing
    assert counts.minus(counts) == Counts()
