"""The contract of itransformer, as `bentoml serve bentos.itransformer:ITransformer` keeps it."""

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tests.forecasting import zips
from tests.forecasting.bench import KEY, LONG, QUICK, Bench, bench, rows
from tests.forecasting.zips import HOSTILE
from tests.stack import wait_for
from training.itransformer.forecaster import CONFIG, WEIGHTS, load
from training.itransformer.frames import from_rows

NO_DATA = "Faltan los datos ('data') en el JSON"
NOT_AUTHORIZED = "No autorizado. Clave de administración incorrecta o ausente."


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("here"), ASCENSO_JOBS__QUEUED="2") as service:
        yield service


@pytest.fixture(scope="module")
def accepted(service: Bench) -> dict[str, Any]:
    """The answer to the first call of all."""
    answer = service.post("/train", "plant", rows(200), **QUICK)
    assert answer.status_code == 202, answer.text
    told: dict[str, Any] = answer.json()
    return told


@pytest.fixture(scope="module")
def here(service: Bench, accepted: dict[str, Any]) -> Bench:
    """A service where `plant` was trained."""
    service.end(accepted["job_id"])
    wait_for(lambda: service.serves("plant", "1"), 30)
    return service


def detail(answer: httpx.Response, status: int = 400) -> str:
    assert answer.status_code == status, answer.text
    return str(answer.json()["detail"])


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
    told = answer.json()
    forecast = told.pop("forecast")
    assert told == {"status": "success", "model_used": "plant", "version": "1"}
    assert answer.headers["x-model-version"] == "itransformer-plant/1"
    assert [row["date"] for row in forecast] == [f"2024-01-02 {h}:00:00" for h in range(16, 20)]
    (folder,) = (here.home / "cache" / "itransformer-plant").glob("1-*[0-9a-f]")
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


def changed(count: int, at: int, **values: Any) -> list[dict[str, Any]]:
    """Rows of which one is not as it should be."""
    data = rows(count)
    data[at] = {**data[at], **values}
    return data


FAULTS = [
    (None, NO_DATA),
    ([], NO_DATA),
    (changed(200, 4, HU="wet"), "data: column HU has 'wet', which is no number."),
    (changed(200, 4, HU=None), "data: row 5, column HU: 'nan' is no finite number"),
    (changed(200, 4, OT=True), "data: row 5, column OT: 'True' is no number."),
    (changed(200, 4, date="soon"), "data: row 5, column date: 'soon' is no date like"),
    (changed(200, 4, date="2023-01-01"), "data: row 5, of 2023-01-01 00:00:00, goes back"),
    ([{"date": row["date"]} for row in rows(200)], "data needs the column date and one of num"),
    ([{"OT": 1.0}] * 200, "data needs the column date and one of numbers; it has: OT."),
]


@pytest.mark.parametrize("path", ["/train", "/fine_tuning", "/predict"])
@pytest.mark.parametrize(("data", "message"), FAULTS)
def test_rows_that_cannot_be_used_are_named(
    here: Bench, path: str, data: Any, message: str
) -> None:
    assert detail(here.post(path, "plant", data)).startswith(message)


@pytest.mark.parametrize(
    ("path", "model", "data", "more", "message"),
    [
        ("/train", "x", rows(100), {}, "data has 100 rows; training with seq_len 96 and pred_len"),
        ("/train", "x", rows(200, HU=3), {}, "data: column HU is constant (3) in the"),
        ("/train", "x", rows(200), {"n_heads": 3}, "`d_model` is 128: it must be a multiple of"),
        ("/train", "../x", rows(200), {}, "The model name is '../x': give up to 100 letters"),
        ("/fine_tuning", "plant", rows(30), {}, "data has 30 rows; training with seq_len 24"),
        ("/fine_tuning", "plant", rows(90, "D"), {}, "data has a row every D; the model was"),
        ("/fine_tuning", "plant", rows(90, X=1), {}, "data has the columns OT, HU, X; the model"),
        ("/predict", "plant", rows(23), {}, "data has 23 rows; a forecast needs at least 24."),
        ("/predict", "plant", rows(30, X=1), {}, "data has the columns OT, HU, X; the model's"),
        ("/predict", "plant", rows(30), {"points": 7}, "points is 7: itransformer-plant/1 for"),
        ("/predict", "plant", changed(30, 29, OT=1e300), {}, "data: column"),
        ("/predict", "a b", rows(30), {}, "The model name is 'a b': give up to 100 letters"),
    ],
)
def test_what_does_not_fit_is_told(
    here: Bench, path: str, model: str, data: Any, more: dict[str, Any], message: str
) -> None:
    assert detail(here.post(path, model, data, **more)).startswith(message)


def test_nan_as_python_writes_it_is_named(here: Bench) -> None:
    body = json.dumps({"model_name": "plant", "data": changed(30, 2, OT=float("nan"))})
    answer = here.client.post("/predict", content=body)
    assert detail(answer) == "data: column OT has 'NaN', which is no number."


@pytest.mark.parametrize("path", ["/train", "/fine_tuning", "/predict", "/download_model"])
def test_malformed_bodies(here: Bench, path: str) -> None:
    for body in (b"", b"{", b"[]", b'{"model_name": 1}', b'{"unknown": 1}', b"\xff"):
        answer = here.client.post(path, content=body)
        assert answer.status_code == 422, (body, answer.text)
        assert answer.json()["detail"][0]["loc"][0] == "body"


@pytest.mark.parametrize(
    ("path", "more", "field"),
    [
        ("/train", {"epochs": 0}, "epochs"),
        ("/train", {"seq_len": "a"}, "seq_len"),
        ("/predict", {"points": 0}, "points"),
        ("/predict", {"epochs": 1}, "epochs"),
    ],
)
def test_wrong_fields_are_named(here: Bench, path: str, more: dict[str, Any], field: str) -> None:
    answer = here.post(path, "plant", rows(30), **more)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body", field]
    nameless = here.post(path, None, rows(30))
    assert nameless.json()["detail"][0]["loc"] == ["body", "model_name"]


def test_unknown_models(here: Bench) -> None:
    for path in ("/predict", "/fine_tuning"):
        said = detail(here.post(path, "nobody", rows(60)), 404)
        assert said.startswith("No model 'nobody' is in production. Those that are: ")
    answer = here.client.post("/download_model", json={"model_name": "nobody"})
    assert detail(answer, 404) == "There is no model 'nobody'"
    answer = here.client.delete("/delete_model/nobody")
    assert detail(answer, 404) == "There is no model 'nobody'"
    assert "give up to 100 letters" in detail(here.client.delete("/delete_model/a.b"))


def test_unknown_jobs(here: Bench) -> None:
    for job_id in ("nobody", "0" * 32):
        assert job_id in detail(here.client.get(f"/jobs/{job_id}"), 404)
        assert job_id in detail(here.client.delete(f"/jobs/{job_id}"), 404)


def test_jobs_wait_in_a_row_and_can_be_cancelled(here: Bench) -> None:
    running = here.start("long", **LONG)
    wait_for(lambda: here.status(running) == "RUNNING", 120)
    second = here.start("second", **QUICK)
    tuning = here.post("/fine_tuning", "plant", rows(80), promote=True)
    assert (tuning.status_code, tuning.json()["status"]) == (202, "fine_tuning_started")
    assert tuning.json()["message"] == "El modelo 'plant' se está ajustando en segundo plano."
    third = tuning.json()["job_id"]
    answer = here.post("/train", "fourth", rows(200), **QUICK)
    assert detail(answer, 503).startswith("2 jobs wait already")
    assert int(answer.headers["retry-after"]) >= 1
    waiting = here.job(second)
    assert (waiting["status"], waiting["progress"], waiting["epoch"]) == ("running", 0.0, 0)
    cancelled = here.client.delete(f"/jobs/{second}")
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    assert here.status(third) == "SCHEDULED"
    assert here.client.delete(f"/jobs/{running}").status_code in (200, 202)
    ended = here.end(running)
    assert (ended["status"], ended["version"], ended["error"]) == ("cancelled", None, None)
    tuned = here.end(third)
    assert (tuned["status"], tuned["version"], tuned["epochs"]) == ("finished", "2", 2)
    wait_for(lambda: here.serves("plant", "2"), 30)
    assert here.job(second)["status"] == "cancelled"
    assert detail(here.client.delete(f"/jobs/{third}"), 409).endswith("is finished already")
    assert names(here) == {"plant"}


def names(bench: Bench) -> set[str]:
    models = bench.client.get("/list_models").json()["models"]
    return {model["model_name"] for model in models}


def test_a_service_that_is_killed_amid_training_tells_the_truth(here: Bench) -> None:
    """And goes on with what waits; a trainer that is killed by itself is told too."""
    cut, waiting = here.start("cut", **LONG), here.start("later", **LONG)
    wait_for(lambda: here.status(cut) == "RUNNING", 120)
    trainers = here.processes("training.itransformer work")
    assert trainers
    (worker,) = [
        process
        for process in here.processes("bentos.itransformer")
        if "worker" in " ".join(process.cmdline())
    ]
    worker.kill()
    wait_for(lambda: not any(process.is_running() for process in trainers), 10)
    wait_for(lambda: answers(here), 60)
    wait_for(lambda: here.job(cut)["status"] != "running", 10)
    told = here.job(cut)
    assert told["status"] == "failed"
    assert told["error"].startswith("The service was stopped or killed while this job ran.")
    wait_for(lambda: here.status(waiting) == "RUNNING", 120)
    for process in here.processes("training.itransformer work"):
        process.kill()
    told = here.end(waiting)
    assert told["status"] == "failed"
    assert told["error"].startswith("The training's process ended by signal 9")


def answers(here: Bench) -> bool:
    try:
        return here.client.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


def test_while_mlflow_is_down_nothing_is_accepted(here: Bench) -> None:
    before = here.client.get("/jobs").json()["count"]
    here.mlflow.kill()
    try:
        for answer in (
            here.post("/train", "lost", rows(200), **QUICK),
            here.client.get("/jobs"),
            here.client.get("/list_models"),
            here.client.delete("/delete_model/plant"),
        ):
            assert "MLflow at" in detail(answer, 503)
        assert here.serves("plant", "2")
    finally:
        health = here.mlflow.url
        here.mlflow.url = f"{health}/health"
        here.mlflow.start()
        here.mlflow.url = health
    assert here.client.get("/jobs").json()["count"] == before


def upload(bench: Bench, content: bytes, name: str = "plant.zip", **more: Any) -> httpx.Response:
    return bench.client.post("/upload_model", files={"file": (name, content)}, **more)


def test_a_download_forecasts_the_same_in_another_stack(
    here: Bench, tmp_path_factory: pytest.TempPathFactory
) -> None:
    answer = here.client.post("/download_model", json={"model_name": "plant"})
    assert answer.status_code == 200
    assert answer.headers["content-disposition"] == 'attachment; filename="plant_complete.zip"'
    names = zipfile.ZipFile(io.BytesIO(answer.content)).namelist()
    assert sorted(names) == ["config.json", "plant.pkl", "plant.pth"]
    everything = '["deletes", "uploads", "training"]'
    folder = tmp_path_factory.mktemp("there")
    with bench(folder, ASCENSO_ADMIN__PROTECTS=everything) as there:
        guarded = (
            upload(there, answer.content),
            there.post("/train", "x", rows(200)),
            there.post("/fine_tuning", "x", rows(200)),
            there.client.delete("/delete_model/plant"),
            there.client.delete(f"/jobs/{'0' * 32}"),
        )
        assert {detail(refused, 401) for refused in guarded} == {NOT_AUTHORIZED}
        there.client.headers["X-Admin-Key"] = KEY
        told = upload(there, answer.content, "plant_complete.zip")
        assert told.status_code == 200, told.text
        assert told.json() == {
            "status": "success",
            "message": "Modelo 'plant_complete.zip' instalado correctamente",
            "files": ["config.json", "plant.pkl", "plant.pth"],
        }
        wait_for(lambda: there.serves("plant", "1"), 30)
        one, other = (each.post("/predict", "plant", rows(60)).json() for each in (here, there))
        assert one["forecast"] == other["forecast"]
        assert left(there) == []


def left(bench: Bench) -> list[Path]:
    """What uploads and downloads left on disk."""
    return list((bench.home / "passing").iterdir())


def test_a_pair_of_the_original_is_installed(here: Bench) -> None:
    form = {"model_name": "imported", "columns": "OT,HU"}
    told = upload(here, zips.original(), "modelo.zip", data=form)
    assert told.status_code == 200, told.text
    assert told.json()["message"] == "Modelo 'modelo.zip' instalado correctamente"
    assert told.json()["files"] == ["plant.pkl", "plant.pth"]
    wait_for(lambda: here.serves("imported", "1"), 30)


def test_hostile_zips_leave_nothing(here: Bench) -> None:
    before = here.client.get("/list_models").json()
    for what in ("zip-slip", "symlink", "bomb", "nested bomb", "truncated"):
        make, reason = HOSTILE[what]
        assert reason in detail(upload(here, make())), what
        assert left(here) == []
    make, reason = HOSTILE["scaler with code"]
    assert reason in detail(upload(here, make()))
    assert not zips.ESCAPED.exists()
    assert here.client.get("/list_models").json() == before
    assert left(here) == []


def test_uploads_that_are_no_form_or_no_zip(here: Bench) -> None:
    assert "send one .zip" in detail(here.client.post("/upload_model", content=b"x"))
    assert "is called 'plant.rar'" in detail(upload(here, b"x", "plant.rar"))
    odd = upload(here, zips.original(), data={"n_heads": "many"})
    assert odd.status_code == 422
    assert odd.json()["detail"][0]["loc"] == ["body", "n_heads"]
    assert "give up to 100 letters" in detail(
        upload(here, zips.original(), data={"model_name": "."})
    )


def test_models_are_listed_and_deleted(here: Bench) -> None:
    listing = here.client.get("/list_models").json()
    assert listing["count"] == len(listing["models"])
    plant = next(model for model in listing["models"] if model["model_name"] == "plant")
    assert plant.keys() == {"model_name", "last_modified", "size_kb", "version", "stage"}
    assert (plant["version"], plant["stage"]) == ("2", "Production")
    assert plant["size_kb"] > 5
    told = here.client.delete("/delete_model/imported").json()
    files = told.pop("deleted_files")
    assert {"1/MLmodel", "1/model.safetensors", "1/config.json"} <= set(files)
    assert told == {"status": "success", "message": "Modelo 'imported' eliminado correctamente."}
    assert detail(here.client.delete("/delete_model/imported"), 404)
    wait_for(lambda: here.post("/predict", "imported", rows(30)).status_code == 404, 30)
    assert here.post("/predict", "plant", rows(30)).status_code == 200


def test_everything_goes_with_the_key_alone(here: Bench) -> None:
    for key in (b"", b"wrong", "ñ".encode()):
        answer = here.client.delete("/clear_all_models", headers={b"X-Admin-Key": key})
        assert detail(answer, 401) == NOT_AUTHORIZED
    answer = here.client.delete("/clear_all_models", headers={"X-Admin-Key": KEY})
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "success",
        "message": "Limpieza completa realizada con éxito.",
    }
    assert here.client.get("/list_models").json() == {"models": [], "count": 0}
    wait_for(lambda: here.post("/predict", "plant", rows(30)).status_code == 404, 30)
