import asyncio
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyarrow import parquet

from bentos.recording import recorder as module
from bentos.recording.calls import Recorded, place, recorded
from bentos.recording.reader import newest
from bentos.recording.recorder import Recorder, weight
from bentos.recording.store import Store
from bentos.serving.release import Release
from bentos.serving.waiting import Call, Part
from bentos.serving.witness import CALL_ID, Seen
from bentos.settings import RecordingSettings, Settings
from bentos.tensors import Batch
from tests.memory import numbers_slot, release
from tests.serving.servers import BUCKET, storing
from tests.stack import wait_for

DAWN = datetime(2000, 1, 1, tzinfo=UTC)
KEY = "sixteen bytes...."


class Counted:
    def __init__(self) -> None:
        self.kept: Counter[tuple[str, ...]] = Counter()
        self.lost: Counter[tuple[str, ...]] = Counter()


def settings(home: Path, models: Any, **recording: Any) -> Settings:
    uri = recording.pop("uri", str(home / "kept"))
    return Settings(
        home=home,
        recording=RecordingSettings.model_validate({"uri": uri, "models": models, **recording}),
    )


@contextmanager
def recording(home: Path, models: Any = None, **more: Any) -> Iterator[tuple[Recorder, Counted]]:
    counted = Counted()
    kept = settings(home, models or {"default": {"share": 1.0}}, **more)
    recorder = Recorder(
        kept,
        lambda labels, count: counted.kept.update({labels: count}),
        lambda labels, count: counted.lost.update({labels: count}),
    )
    yield recorder, counted


def seen(
    rows: int = 3, name: str = "small", calls: list[tuple[str, int]] | None = None, **columns: Any
) -> Seen:
    made: Release = release("7", name=name)
    inputs = Batch(columns or {"x": np.arange(rows, dtype=np.float64)})
    answers = Batch({"prediction": np.arange(inputs.size) * 2})
    return Seen(made, inputs, answers, [whole(*call) for call in calls or [("a", inputs.size)]])


def whole(name: str, rows: int) -> Part[Any, Any]:
    """A call that is wholly in a batch."""
    call = Call[Any, Any](range(rows), None, name=name)  # type: ignore[arg-type]
    return Part(call, 0, call.rows, call.size)


def read(home: Path, model: str = "small", most: int = 1000) -> list[Recorded]:
    return [recorded(t) for t in newest(Store(str(home / "kept")), model, DAWN, most)]


def test_a_call_is_kept_with_its_id_version_time_rows_and_answers(tmp_path: Path) -> None:
    async def call(recorder: Recorder) -> None:
        slot = numbers_slot()
        slot.witnesses.all.append(recorder)
        slot.swap(release("7"))
        CALL_ID.set("mine")
        await slot.predict([1.0, 2.0])
        CALL_ID.set("")
        await slot.predict([5.0])

    before = datetime.now(UTC)
    with recording(tmp_path) as (recorder, counted):
        recorder.start()
        asyncio.run(call(recorder))
        recorder.stop()
        assert recorder.trouble == ""
    (found,) = read(tmp_path)
    assert found.requests[:2] == ["mine", "mine"]
    assert found.rows == [0, 1, 0]
    assert found.ids[1] == "mine#1"
    assert re.fullmatch(r".+-\d+-[0-9a-f]{4}-0", found.requests[2])  # made for who gave none
    assert found.versions == ["7"] * 3
    assert found.inputs["x"].tolist() == [1.0, 2.0, 5.0]
    assert found.answers["twice"].tolist() == [2.0, 4.0, 10.0]
    assert (
        before.replace(tzinfo=None)
        <= found.times[0].item()
        <= datetime.now(UTC).replace(tzinfo=None)
    )
    assert counted.kept == {("small",): 3}
    assert not counted.lost
    (name,) = Store(str(tmp_path / "kept")).names()
    assert re.fullmatch(r"model=small/day=\d{4}-\d\d-\d\d/\d{8}T\d{6}-.+\.parquet", name)
    assert not list((tmp_path / "recordings").rglob("*.parquet"))  # sent, and gone here


def test_only_the_share_of_calls_is_kept_with_whole_calls(tmp_path: Path) -> None:
    with recording(tmp_path, {"default": {"share": 0.3}, "none": {}}) as (recorder, _):
        for at in range(200):
            calls = [(f"{at}-{n}", 2) for n in range(10)]
            recorder.saw(seen(calls=calls, x=np.arange(at * 20, at * 20 + 20)))
        assert recorder.watches("small")
        assert not recorder.watches("none")
        recorder.flush()
        recorder._sender.send()
    (found,) = read(tmp_path, most=10_000)
    assert 0.25 < len(found.rows) / 4000 < 0.35
    ids = [name.split("-") for name in found.requests[::2]]
    assert found.rows == [0, 1] * len(ids)
    assert found.inputs["x"][::2].tolist() == [int(at) * 20 + int(n) * 2 for at, n in ids]


def test_a_call_in_several_batches_is_recorded_wholly_or_not_at_all(tmp_path: Path) -> None:
    with recording(tmp_path, {"default": {"share": 0.5}}) as (recorder, _):
        for at in range(100):
            call = Call[Any, Any](range(6), None, name=f"cut {at}" if at % 2 else "")  # type: ignore[arg-type]
            for start in (0, 2, 4):
                part = Part(call, start, call.rows[start : start + 2], 2)
                recorder.saw(seen(rows=2)._replace(parts=[part]))
        assert not recorder._cut
        recorder.flush()
        recorder._sender.send()
    (found,) = read(tmp_path)
    calls = Counter(found.requests)
    assert 20 < len(calls) < 80
    assert set(calls.values()) == {6}
    assert found.rows == [0, 1, 2, 3, 4, 5] * len(calls)


def test_models_of_different_columns_do_not_trouble_each_other(tmp_path: Path) -> None:
    tensor, texts = np.ones((2, 3, 4), np.float32), np.array(["a", None], dtype=object)
    with recording(tmp_path) as (recorder, counted):
        recorder.saw(seen(name="one/two", x=tensor, name_of=texts))
        recorder.saw(seen(name="one/two", x=tensor[:, :2], name_of=texts))  # another shape
        recorder.saw(seen(name="other"))
        recorder.saw(seen(name="odd", x=np.array([1 + 2j])))  # no type of Arrow
        recorder.flush()
        recorder._sender.send()
    shapes = sorted(found.inputs["x"].shape for found in read(tmp_path, "one/two"))
    assert shapes == [(2, 2, 4), (2, 3, 4)]
    assert [found.inputs["name_of"].tolist() for found in read(tmp_path, "one/two")] == [
        ["a", None], ["a", None],
    ]  # fmt: skip
    assert read(tmp_path, "other")[0].inputs["x"].tolist() == [0.0, 1.0, 2.0]
    assert counted.lost == {("odd", "error"): 1}


def test_what_finds_no_room_is_dropped_and_counted(tmp_path: Path) -> None:
    with recording(tmp_path, buffer_mb=1) as (recorder, counted):
        for _ in range(5):
            recorder.saw(seen(x=np.zeros(50_000)))  # 400 KB, and as much of answers
        recorder.flush()
        recorder.saw(seen())
        recorder.flush()
    assert counted.lost == {("small", "buffer"): 4 * 50_000}
    assert counted.kept == {("small",): 50_003}


def test_without_room_on_disk_it_is_dropped_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "bytes_below", lambda folder: 2**20 + 1)
    with recording(tmp_path, disk_mb=1) as (recorder, counted):
        recorder.saw(seen())
        recorder.flush()
    (tmp_path / "recordings").write_text("no folder")
    monkeypatch.undo()
    recorder.saw(seen())
    recorder.flush()
    assert counted.lost == {("small", "disk"): 6}


def test_while_it_cannot_be_sent_it_waits_on_disk(tmp_path: Path) -> None:
    blocked = tmp_path / "kept"
    blocked.write_text("in the way")
    with recording(tmp_path, flush_seconds=0.1) as (recorder, counted):
        recorder.start()
        recorder.saw(seen())
        wait_for(lambda: "kept" in recorder.trouble, 60)
        assert counted.kept == {("small",): 3}
        recorder.stop()
    assert len(list((tmp_path / "recordings").rglob("*.parquet"))) == 1
    blocked.unlink()
    with recording(tmp_path) as (later, _):  # a new process sends what the last one left
        later.start()
        wait_for(lambda: blocked.exists() and read(tmp_path), 60)
        later.stop()
    assert read(tmp_path)[0].requests == ["a"] * 3


def test_what_is_recorded_while_s3_is_down_comes_there_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = f"s3://{BUCKET}/recordings"
    with storing(tmp_path / "s3") as (store, server):
        for name, value in store.env.items():
            monkeypatch.setenv(name, value)
        server.kill()
        with recording(tmp_path, uri=uri, flush_seconds=0.1) as (recorder, counted):
            recorder.start()
            recorder.saw(seen())
            wait_for(lambda: "cannot write s3://" in recorder.trouble, 120)
            server.start()
            recorder._sender.wake()
            wait_for(lambda: not recorder.trouble, 120)
            recorder.stop()
        assert not counted.lost
        kept = Store(uri)
        assert [recorded(t).requests for t in newest(kept, "small", DAWN, 9)] == [["a"] * 3]
        kept.remove(kept.names())
        assert kept.names() == []


def test_columns_are_hashed_or_left_out(tmp_path: Path) -> None:
    models = {"small": {"share": 1.0, "hash": ["who"], "omit": ["note"]}}
    who = np.array(["Ana", "Eva"], dtype=object)
    with recording(tmp_path, models, key=KEY) as (recorder, _):
        recorder.saw(seen(x=np.array([1.0, 2.0]), who=who, note=who))
        recorder.flush()
    (path,) = (tmp_path / "recordings").rglob("*.parquet")
    found = recorded(parquet.read_table(path))
    assert found.inputs.names == ("x", "who")
    assert found.hashed == {"who"}
    assert b"Ana" not in path.read_bytes()
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("recording", "words"),
    [
        ({"models": {"default": {"share": 0.1}}}, "recording.uri says no place"),
        ({"uri": "s3://"}, "give s3://bucket/prefix"),
        ({"uri": "gs://x"}, "give s3://bucket/prefix"),
        ({"models": {"x": {"hash": ["who"]}}}, "wants a key: ASCENSO_RECORDING__KEY"),
        ({"uri": "x", "models": {"x": {"hash": ["y"]}}, "key": "short"}, "less than 16 bytes"),
        ({"models": {"x": {"share": 1.5}}}, "less than or equal to 1"),
    ],
)
def test_settings_that_cannot_be(recording: Any, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        RecordingSettings.model_validate(recording).check()


def test_the_key_may_be_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "key"
    of_file = RecordingSettings(key_file=file)
    with pytest.raises(ValueError, match="key_file cannot be read"):
        of_file.secret()
    file.write_text("short")
    with pytest.raises(ValueError, match="less than 16 bytes"):
        of_file.secret()
    file.write_text(f"{KEY}\n")
    assert of_file.secret() == KEY.encode()


def test_old_days_are_pruned_where_keep_days_says_so(tmp_path: Path) -> None:
    old = datetime.now(UTC) - timedelta(days=9)
    kept, gone = (
        tmp_path / "kept" / place("small") / f"day={day:%Y-%m-%d}" / "x.parquet"
        for day in (datetime.now(UTC), old)
    )
    truth = tmp_path / "kept" / "truth" / place("small") / "x.parquet"
    for path in (kept, gone, truth):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    with recording(tmp_path, keep_days=7) as (recorder, _):
        recorder._sender.send()
    assert (kept.exists(), gone.exists(), truth.exists()) == (True, False, True)


def test_the_weight_is_that_of_texts_and_nested_values_too() -> None:
    texts = np.array(["x" * 10_000], dtype=object)
    nested = np.empty(1, dtype=object)
    nested[0] = {"a": ["x" * 10_000]}
    assert weight(Batch({"a": texts})) > 10_000
    assert weight(Batch({"a": nested})) > 10_000
    assert weight(Batch({"a": np.zeros((10, 10))})) == 800
