"""The contract of itransformer, as `bentoml serve bentos.itransformer:ITransformer` keeps it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.itransformer.bench import QUICK, Bench, rows
from tests.itransformer.refusals import detail
from tests.training.itransformer.read import from_rows
from training.itransformer.bands import BANDS
from training.itransformer.bands import read as read_bands
from training.itransformer.forecaster import CONFIG, WEIGHTS, load


def test_training_is_accepted_and_carried_out(here: Bench, accepted: dict[str, Any]) -> None:
    job_id = accepted["job_id"]
    assert accepted == {
        "status": "training_started",
        "message": "El modelo 'plant' se está entrenando en segundo plano.",
        "job_id": job_id,
    }
    ended = here.job(job_id)
    assert 0 < ended.pop("train_loss") < 10
    assert 0 < ended.pop("val_loss") < 10
    assert isinstance(ended.pop("serves"), bool)  # by now, or not yet
    assert ended == {
        "job_id": job_id,
        "model_name": "plant",
        "kind": "train",
        "status": "finished",
        "progress": 1.0,
        "epoch": 2,
        "epochs": 2,
        "version": "1",
        "error": None,
    }
    listed = here.client.get("/jobs").json()
    assert listed["count"] == len(listed["jobs"])
    assert job_id in [job["job_id"] for job in listed["jobs"]]


def test_forecasts_are_those_of_the_model(here: Bench) -> None:
    data = rows(40)
    answer = here.post("/predict", "plant", data, points=4)
    assert answer.status_code == 200
    body = answer.json()
    forecast = body.pop("forecast")
    assert body == {"status": "success", "model_used": "plant", "version": "1"}
    assert answer.headers["x-model-version"] == "itransformer-plant/1"
    assert [row["date"] for row in forecast] == [f"2024-01-02 {h}:00:00" for h in range(16, 20)]
    folder = fetched(here)
    model = load(folder / WEIGHTS, folder / CONFIG)
    expected = model.predict(from_rows(data).window(["OT", "HU"], 24)[None])[0]
    values = [[row["OT"], row["HU"]] for row in forecast]
    np.testing.assert_allclose(values, expected[:4], rtol=1e-4)


def fetched(here: Bench) -> Path:
    """The files of the first version."""
    kept = (here.home / "cache" / "itransformer-plant").glob("1-*")
    (folder,) = (path for path in kept if not path.suffix)
    return folder


def test_an_interval_lies_around_the_forecast(here: Bench) -> None:
    data = rows(40)
    plain = here.post("/predict", "plant", data, points=4)
    body = here.post("/predict", "plant", data, points=4, interval=0.9).json()
    lower, upper = body.pop("lower"), body.pop("upper")
    assert (body.pop("interval"), body.pop("checked")) == (0.9, 0)
    assert body == plain.json()  # which an answer without an interval is, to the byte
    assert plain.json().keys() == {"status", "model_used", "version", "forecast"}
    window = from_rows(data).ordered(["OT", "HU"]).values[-24:]
    half = read_bands(fetched(here) / BANDS).half(0.9, window)
    for at, (low, middle, high) in enumerate(zip(lower, body["forecast"], upper, strict=True)):
        assert low["date"] == middle["date"] == high["date"]
        for column, name in enumerate(("OT", "HU")):
            assert high[name] - middle[name] == pytest.approx(half[at, column])
            assert middle[name] - low[name] == pytest.approx(half[at, column])
    long = rows(60)  # which hold windows whose truth is known
    held = here.post("/predict", "plant", long, points=4, interval=0.9).json()
    assert held["checked"] == 11
    alone = here.post("/predict", "plant", long, points=4).json()["forecast"]
    assert [row["OT"] for row in held["forecast"]] == pytest.approx(
        [row["OT"] for row in alone], rel=1e-4
    )
    far = [row | {"HU": row["HU"] + (at % 2) * 40} for at, row in enumerate(long)]
    wide = here.post("/predict", "plant", far, points=4, interval=0.9).json()
    assert wide["upper"][0]["HU"] - wide["lower"][0]["HU"] > 40
    narrow = here.post("/predict", "plant", data, points=4, interval=0.5).json()
    assert narrow["upper"][0]["OT"] < upper[0]["OT"]


def test_an_interval_that_cannot_be_told_is_named(here: Bench) -> None:
    said = detail(here.post("/predict", "plant", rows(30), interval=0.99))
    assert said.startswith("interval is 0.99: itransformer-plant/1: 16 windows of its training")
    assert said.endswith("ask for less, or train on more rows")
    for level in (0, 1, -0.5, 95, "high"):
        answer = here.post("/predict", "plant", rows(30), interval=level)
        assert answer.status_code == 422
        assert answer.json()["detail"][0]["loc"] == ["body", "interval"]


def test_rows_are_mended_where_that_is_asked_for(here: Bench) -> None:
    data = rows(40)
    whole = here.post("/predict", "plant", data).json()["forecast"]
    for row in data[10:13]:
        row["HU"] = None
    gaps = data[:20] + data[21:]
    body = here.post("/predict", "plant", gaps[::-1], sort=True, fill="linear").json()
    assert list(body) == ["status", "model_used", "version", "forecast", "sorted", "filled"]
    assert (body["sorted"], body["filled"]) == (True, {"OT": 1, "HU": 4})
    assert [row["date"] for row in body["forecast"]] == [row["date"] for row in whole]
    assert "goes back from the row before" in detail(
        here.post("/predict", "plant", gaps[::-1], fill="linear")
    )
    said = detail(here.post("/predict", "plant", gaps, sort=True))
    assert said.startswith("data: row 11, column HU: 'nan' is no finite number")
    data[-1]["OT"] = None
    said = detail(here.post("/predict", "plant", data, fill="linear"))
    assert said.startswith("data: column OT has no value at 2024-01-02 15:00:00, its last date")
    odd = here.post("/predict", "plant", data, fill="zero")
    assert (odd.status_code, odd.json()["detail"][0]["loc"]) == (422, ["body", "fill"])


@pytest.mark.parametrize(
    ("step", "dates"),
    [
        ("15min", ["2024-01-01 07:30:00", "2024-01-01 07:45:00"]),
        ("D", ["2024-01-31 00:00:00", "2024-02-01 00:00:00"]),
        ("MS", ["2026-07-01 00:00:00", "2026-08-01 00:00:00"]),
    ],
)
def test_the_step_is_that_of_the_data(here: Bench, step: str, dates: list[str]) -> None:
    forecast = here.post("/predict", "plant", rows(30, step), points=2).json()["forecast"]
    assert [row["date"] for row in forecast] == dates
    whole = here.post("/predict", "plant", rows(30, step)).json()["forecast"]
    assert len(whole) == QUICK["pred_len"]


def test_columns_may_come_in_any_order(here: Bench) -> None:
    turned = [dict(reversed(row.items())) for row in rows(30)]
    one, other = (here.post("/predict", "plant", data).json() for data in (rows(30), turned))
    assert one == other
