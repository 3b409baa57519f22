"""Shifts are found as far as they go, and chance makes none."""

import numpy as np
import pytest
from scipy.stats import chi2

from bentos.drift.psi import psi
from bentos.drift.reference import Reference
from bentos.serving.drift import Bin, ColumnDrift
from tests.drift.counts import of_rows, tally

RANDOM = np.random.default_rng(0)
MANY = 20_000


def usual() -> Reference:
    return tally(
        x=RANDOM.normal(size=MANY),
        genre=RANDOM.choice(["rock", "metal", "folk"], MANY).tolist(),
        y=RANDOM.choice([0, 0, 0, 1], MANY),
    ).reference()


def drift(**columns: object) -> dict[str, ColumnDrift]:
    known = usual()
    found = tally(known, **columns).drift(known, "training")
    return found.columns | found.outputs


def test_the_formula() -> None:
    bins = [Bin("a", 0.5, 0.4), Bin("b", 0.5, 0.6)]
    expected = -0.1 * np.log(0.4 / 0.5) + 0.1 * np.log(0.6 / 0.5)
    assert psi(bins, 10**9, 10**9) == pytest.approx(expected, rel=1e-6)


def test_rows_alike_show_no_shift() -> None:
    found = drift(
        x=RANDOM.normal(size=2000),
        genre=RANDOM.choice(["rock", "metal", "folk"], 2000).tolist(),
        y=RANDOM.choice([0, 0, 0, 1], 2000),
    )
    assert all(column.psi is not None and column.psi < 0.05 for column in found.values()), found
    assert found["genre"].unknown == 0
    assert found["x"].outside == pytest.approx(0, abs=0.005)


def test_what_shifts_is_found_in_its_column_alone() -> None:
    found = drift(
        x=RANDOM.normal(1.0, size=2000),
        genre=RANDOM.choice(["rock", "metal", "folk"], 2000).tolist(),
        y=RANDOM.choice([0, 1, 1, 1], 2000),
    )
    assert (found["x"].psi or 0) > 0.5
    assert (found["genre"].psi or 0) < 0.05
    assert (found["y"].psi or 0) > 0.25


def test_missing_unknown_and_outside_are_told_as_shares() -> None:
    x = [*[np.nan] * 300, *[99.0] * 100, *RANDOM.normal(size=600)]
    genre = [*[None] * 100, *["polka"] * 400, *["rock"] * 500]
    found = drift(x=x, genre=RANDOM.permutation(np.array(genre, object)).tolist())
    assert found["x"].missing == 0.3
    assert found["x"].outside == pytest.approx(0.1, abs=0.002)
    assert found["genre"].missing == 0.1
    assert found["genre"].unknown == pytest.approx(0.4)
    assert found["x"].bins[-1] == Bin("missing", 0.0, 0.3)
    assert {each.label for each in found["genre"].bins} == {
        "rock", "metal", "folk", "others", "missing",
    }  # fmt: skip
    for column in found.values():
        assert sum(each.expected for each in column.bins) == pytest.approx(1)
        assert sum(each.observed for each in column.bins) == pytest.approx(1, abs=0.01)


def test_few_rows_tell_nothing() -> None:
    assert drift(x=RANDOM.normal(5.0, size=400))["x"].psi is None


def test_texts_where_numbers_are_usual_are_missing() -> None:
    assert drift(x=["a"] * 600)["x"].missing == 1


def test_without_a_reference_only_what_is_missing_is_told() -> None:
    found = tally(x=[1.0, np.nan]).drift(None, None)
    assert found.columns == {"x": ColumnDrift(None, 0.5)}
    assert found.report() == {
        "rows": 2,
        "reference": None,
        "columns": {"x": {"psi": None, "missing": 0.5, "unknown": None, "outside": None}},
        "outputs": {},
    }


def test_too_many_categories_are_never_unknown() -> None:
    known = tally(name=[f"name {n % 1500}" for n in range(3000)]).reference()
    found = tally(known, name=[f"other {n}" for n in range(1000)]).drift(known, "training")
    assert found.columns["name"].unknown is None


def test_its_distribution_by_chance_is_the_one_that_is_cited() -> None:
    """So a test by it has the level that it states."""
    random = np.random.default_rng(1)
    counted = []
    for _ in range(300):
        known = tally(x=random.normal(size=2000)).reference()
        found = tally(known, x=random.normal(size=1000)).drift(known, "training")
        counted.append((found.columns["x"].psi or 0) / (1 / 2000 + 1 / 1000))
    assert np.mean(counted) < 1.5 * 9
    assert np.mean(np.array(counted) > chi2.isf(0.001, 9)) < 0.03


def test_what_workers_counted_adds_up() -> None:
    x = RANDOM.normal(size=3000)
    genre = RANDOM.choice(np.array(["rock", "metal", None], dtype=object), 3000).tolist()
    whole = tally(x=x, genre=genre, y=x).reference()
    parts = of_rows(*(tally(x=x[p::3], genre=genre[p::3], y=x[p::3]) for p in range(3)))
    merged = parts.reference()
    assert (merged.rows, set(merged.inputs)) == (3000, {"x", "genre"})
    one, other = whole.inputs["genre"], merged.inputs["genre"]
    assert one == other
    edges = np.array(whole.inputs["x"].edges), np.array(merged.inputs["x"].edges)  # type: ignore[union-attr]
    assert np.abs(edges[0] - edges[1]).max() < 0.1
    assert np.abs(edges[1] - np.quantile(x, np.arange(1, 10) / 10)).max() < 0.1


def test_memory_stays_small_however_much_comes() -> None:
    numbers = tally(x=RANDOM.normal(size=10**6))
    texts = tally(name=[f"a rather long name {n}" for n in range(10**5)])
    assert len(numbers.encode()) < 20_000
    assert len(texts.encode()) < 200_000
