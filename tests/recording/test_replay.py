from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bentos.recording.calls import Recorded
from bentos.recording.comparing import SHOWN_LABELS, Comparison, Report
from bentos.recording.drawing import replay as drawn
from bentos.recording.recorder import Recorder
from bentos.recording.replay import Replayed, replayed
from bentos.recording.replaying import CannotReplay
from bentos.recording.store import Store
from bentos.registry.client import Version
from bentos.serving.release import Contract, Release
from bentos.serving.witness import Seen
from bentos.settings import RecordingSettings, Settings
from bentos.tensors import Batch, Column, Schema
from tests.memory import release
from tests.recording.test_recorder import whole

DAWN = datetime(2000, 1, 1, tzinfo=UTC)
BY_SCHEMA = Contract(None, None, by_schema=True)
PNG = b"\x89PNG\r\n\x1a\n"
Predict = Callable[[Any], Any]


def record(home: Path, name: str, inputs: Batch, answers: Batch, **settings: Any) -> Store:
    """Recordings of one call, `call`."""
    share = {"default": {"share": 1.0, **settings}}
    kept = RecordingSettings.model_validate(
        {"uri": str(home / "kept"), "models": share, "key": "sixteen bytes...."}
    )
    recorder = Recorder(
        Settings(home=home, recording=kept), lambda *_: None, lambda *_: pytest.fail("lost")
    )
    recorder.saw(Seen(release("1", name=name), inputs, answers, [whole("call", inputs.size)]))
    recorder.flush()
    recorder._sender.send()
    return Store(str(home / "kept"))


def by_schema(predict: Predict, *columns: Column) -> Release:
    schema = Schema(columns or (Column("x", "float64"),))
    return Release(Version("any", "2"), predict, "native", 0.0, 0.1, schema=schema)


def asked(store: Store, candidate: Release, contract: Contract = BY_SCHEMA, **more: Any) -> Report:
    most = more.pop("most", 1000)
    return replayed(store, candidate, contract, DAWN, most, 0.01, **more).report


def compared(before: Any, after: Any, tolerance: float = 0.01) -> Replayed:
    """A comparison of one column of answers."""
    one, other = Batch({"y": np.array(before)}), Batch({"y": np.array(after)})
    rows, times = one.size, np.full(one.size, np.datetime64("2026-03-01T12:00:00", "us"))
    calls = Recorded(times, ["c"] * rows, list(range(rows)), ["1"] * rows, one, one)
    comparison = Comparison(tolerance)
    comparison.add(calls, one, np.ones(rows, bool), other)
    return Replayed(comparison.report("m", "2", "what was answered"), comparison.numbers())


def test_labels_make_a_table_of_confusion() -> None:
    found = compared(["a", "a", "b", "b"], ["a", "b", "b", "b"])
    report = found.report
    assert (report.rows, report.equal, report.differing) == (4, 3, 1)
    assert report.share == 0.25
    assert report.columns["y"].labels == (("a", "a", 1), ("a", "b", 1), ("b", "b", 2))
    assert [(row.id, row.before, row.after) for row in report.worst] == [("c#1", "a", "b")]
    assert (report.since, report.until) == ("2026-03-01T12:00:00Z", "2026-03-01T12:00:00Z")
    assert drawn(report, found.numbers).startswith(PNG)


def test_numbers_have_quantiles_and_the_worst_first() -> None:
    before = np.linspace(1, 100, 100)
    after = before + np.where(np.arange(100) < 90, 0.0, np.arange(100))
    found = compared(before, after)
    report = found.report
    assert report.differing == 10
    differences = report.columns["y"].differences
    assert differences == {
        f"{q:g}": pytest.approx(np.quantile(after - before, q)) for q in (0.5, 0.9, 0.99, 1.0)
    }
    assert report.worst[0].id == "c#99"
    assert (report.worst[0].before, report.worst[0].after) == ("100", "199")
    assert drawn(report, found.numbers).startswith(PNG)


@pytest.mark.parametrize(
    ("before", "after", "differing"),
    [
        ([1.0, 100.0], [1.009, 100.9], 0),  # within a hundredth
        ([1.0, 100.0], [1.02, 102.0], 2),
        ([np.nan, np.inf, -np.inf], [np.nan, np.inf, -np.inf], 0),
        ([np.nan, 1.0, np.inf, np.inf], [1.0, np.nan, -np.inf, 1.0], 4),
        ([0.0], [1e-12], 0),
        ([0.0], [0.5], 1),
        ([[1.0, 2.0], [3.0, 4.0]], [[1.0, 2.0], [3.0, 9.0]], 1),  # tensors by their worst element
        ([1, 2], [1.0, 3.0], 2),  # labels that are now numbers: 1 and 1.0 are two labels
        ([True, False], [True, True], 1),
    ],
)
def test_what_counts_as_equal(before: Any, after: Any, differing: int) -> None:
    assert compared(before, after).report.differing == differing


def test_many_labels_are_put_together() -> None:
    labels = [f"label {at}" for at in range(50)]
    report = compared(labels, labels[::-1]).report
    shown = {label for pair in report.columns["y"].labels for label in pair[:2]}
    assert len(shown) == SHOWN_LABELS + 1
    assert sum(rows for *_, rows in report.columns["y"].labels) == 50


def test_a_candidate_is_asked_by_its_schema(tmp_path: Path) -> None:
    texts = np.array(["a", None, "b"], dtype=object)
    inputs = Batch({"x": np.array([1.0, 2.0, 3.0]), "who": texts})
    store = record(tmp_path, "any", inputs, Batch({"prediction": np.array([1, 0, 1])}))
    seen: list[Batch] = []

    def predict(batch: Batch) -> Batch:
        seen.append(batch)
        return Batch({"prediction": np.array([1, 1, 1])})

    columns = Column("who", "string", nullable=True), Column("x", "float32")
    report = asked(store, by_schema(predict, *columns))
    assert seen[0].names == ("who", "x")
    assert seen[0]["who"].tolist() == ["a", None, "b"]
    assert seen[0]["x"].dtype == np.float32
    assert [row.id for row in report.worst] == ["call#1"]
    assert report.against == "what was answered"


@pytest.mark.parametrize("kept", [np.arange(6.0).reshape(2, 3), np.zeros((2, 4, 3))])
def test_models_of_services_are_asked_by_arrays(kept: Any, tmp_path: Path) -> None:
    def predict(rows: Any) -> Any:
        assert np.array_equal(rows, kept)
        return np.zeros(len(rows))

    zeros = Batch({"prediction": np.zeros(2)})
    named = Batch.of_block(("a", "b", "c"), kept) if kept.ndim == 2 else Batch({"": kept})
    store = record(tmp_path, "small", named, zeros)
    inputs = dict.fromkeys("abc", "double") if kept.ndim == 2 else None
    assert asked(store, release("2", predict), Contract(inputs, None)).equal == 2


def test_rows_that_a_candidate_fails_at_differ_and_trouble_no_others(tmp_path: Path) -> None:
    def predict(batch: Batch) -> Batch:
        if (batch["x"] == 2).any():
            raise ValueError("no twos")
        return Batch({"prediction": batch["x"]})

    x = np.array([1.0, 2.0, 3.0])
    store = record(tmp_path, "any", Batch({"x": x}), Batch({"prediction": x}))
    report = asked(store, by_schema(predict))
    assert (report.rows, report.equal, report.failed) == (3, 2, 1)
    assert report.worst[0].id == "call#1"
    failing = asked(store, by_schema(lambda batch: 1 / 0))
    assert (failing.equal, failing.failed) == (0, 3)


def test_two_versions_may_be_held_against_each_other(tmp_path: Path) -> None:
    x = np.array([1.0, 2.0])
    store = record(tmp_path, "any", Batch({"x": x}), Batch({"prediction": x * 9}))
    same = by_schema(lambda batch: Batch({"prediction": batch["x"]}))
    report = asked(store, same, against=same)
    assert (report.equal, report.against) == (2, "version 2")
    with pytest.raises(CannotReplay, match="itself fails at 2 rows"):
        asked(store, same, against=by_schema(lambda batch: 1 / 0))


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ([Column("who", "string")], "'who' was recorded as digests only"),
        ([Column("note", "string", required=False)], "'note' was not recorded"),
        ([Column("x", "float64", (3,))], "takes other columns"),
        ([Column("x", "datetime")], "takes other columns"),
    ],
)
def test_columns_that_were_not_kept(columns: list[Column], words: str, tmp_path: Path) -> None:
    who = np.array(["a"], dtype=object)
    inputs = Batch({"x": np.zeros(1), "who": who, "note": who})
    answers = Batch({"prediction": np.zeros(1)})
    store = record(tmp_path, "any", inputs, answers, hash=["who"], omit=["note"])
    with pytest.raises(CannotReplay, match=words):
        asked(store, by_schema(lambda batch: answers, *columns))


def test_without_recordings_and_without_a_common_column(tmp_path: Path) -> None:
    x = np.zeros(1)
    store = record(tmp_path, "any", Batch({"x": x}), Batch({"prediction": x}))
    other = by_schema(lambda batch: Batch({"score": x}))
    with pytest.raises(CannotReplay, match="answers other columns"):
        asked(store, other)
    with pytest.raises(CannotReplay, match="no rows of any"):
        asked(store, other, most=0)
    with pytest.raises(CannotReplay, match="no rows of any"):
        replayed(store, other, BY_SCHEMA, datetime.now(UTC) + timedelta(hours=1), 9, 0.01)


def test_only_the_newest_rows_are_read(tmp_path: Path) -> None:
    for at in range(3):
        values = np.full(4, float(at))
        store = record(tmp_path, "any", Batch({"x": values}), Batch({"prediction": values}))
        for path in (tmp_path / "kept").rglob("2*.parquet"):  # as if a second had passed
            path.rename(path.with_name(f"{at}-{path.name}"))
    read: list[float] = []

    def predict(batch: Batch) -> Batch:
        read.extend(batch["x"])
        return Batch({"prediction": batch["x"]})

    told: list[int] = []
    assert asked(store, by_schema(predict), most=6, tell=told.append).equal == 6
    assert read == [2.0] * 4 + [1.0] * 2
    assert told == [4, 6]
