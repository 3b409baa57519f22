"""The contract of itransformer, as `bentoml serve bentos.itransformer:ITransformer` keeps it."""

from typing import Any

import numpy as np
import pytest

from tests.itransformer.bench import QUICK, Bench, rows
from training.itransformer.forecaster import CONFIG, WEIGHTS, load
from training.itransformer.frames import from_rows


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
    kept = (here.home / "cache" / "itransformer-plant").glob("1-*")
    (folder,) = (path for path in kept if not path.suffix)
    model = load(folder / WEIGHTS, folder / CONFIG)
    expected = model.predict(from_rows(data).window(["OT", "HU"], 24)[None])[0]
    values = [[row["OT"], row["HU"]] for row in forecast]
    np.testing.assert_allclose(values, expected[:4], rtol=1e-4)


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
