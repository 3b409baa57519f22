"""Jobs wait, are cancelled, and are cut off; MLflow is down."""

import httpx

from tests.itransformer.bench import LONG, QUICK, Bench, ended, rows
from tests.itransformer.refusals import detail
from tests.stack import wait_for


def test_jobs_wait_in_a_row_and_can_be_cancelled(here: Bench) -> None:
    running = here.start("long", **LONG)
    wait_for(lambda: here.status(running) == "RUNNING", 180)
    second = here.start("second", **QUICK)
    gaps = rows(80)[:40] + rows(80)[41:]
    mending = {"sort": True, "fill": "linear"}
    tuning = here.post("/fine_tuning", "plant", gaps[::-1], promote=True, **mending)
    assert (tuning.status_code, tuning.json()["status"]) == (202, "fine_tuning_started")
    assert tuning.json()["message"] == "El modelo 'plant' se está ajustando en segundo plano."
    assert (tuning.json()["sorted"], tuning.json()["filled"]) == (True, {"OT": 1, "HU": 1})
    third = tuning.json()["job_id"]
    answer = here.post("/train", "fourth", rows(200), **QUICK)
    assert detail(answer, 503).startswith("2 jobs wait already")
    assert int(answer.headers["retry-after"]) >= 1
    waiting = here.job(second)
    assert (waiting["status"], waiting["progress"], waiting["epoch"]) == ("running", 0.0, 0)
    assert here.client.delete(f"/jobs/{second}").status_code in (200, 202)
    assert here.end(second)["status"] == "cancelled"
    assert here.status(third) == "SCHEDULED"
    assert here.client.delete(f"/jobs/{running}").status_code in (200, 202)
    ended = here.end(running)
    assert (ended["status"], ended["version"], ended["error"]) == ("cancelled", None, None)
    tuned = here.end(third)
    assert (tuned["status"], tuned["version"], tuned["epochs"]) == ("finished", "2", 2)
    wait_for(lambda: here.serves("plant", "2"), 120)
    assert here.job(second)["status"] == "cancelled"
    assert detail(here.client.delete(f"/jobs/{third}"), 409).endswith("is finished already")
    assert names(here) == {"plant"}


def names(bench: Bench) -> set[str]:
    models = bench.client.get("/list_models").json()["models"]
    return {model["model_name"] for model in models}


def test_a_service_that_is_killed_amid_training_tells_the_truth(here: Bench) -> None:
    """And goes on with what waits; a trainer that is killed by itself is job too."""
    cut, waiting = here.start("cut", **LONG), here.start("later", **LONG)
    wait_for(lambda: here.status(cut) == "RUNNING", 180)
    trainers = here.processes("training.itransformer work")
    assert trainers
    (worker,) = [
        process
        for process in here.processes("bentos.itransformer:")
        if "worker" in " ".join(process.cmdline())
    ]
    worker.kill()
    wait_for(lambda: all(map(ended, trainers)), 60)
    wait_for(lambda: answers(here), 180)
    job = here.end(cut)
    assert job["status"] == "failed"
    assert job["error"].startswith("The service was stopped or killed while this job ran.")
    wait_for(lambda: here.status(waiting) == "RUNNING", 180)
    for process in here.processes("training.itransformer work"):
        process.kill()
    job = here.end(waiting)
    assert job["status"] == "failed"
    assert job["error"].startswith("The training's process ended by signal 9")


def answers(here: Bench) -> bool:
    try:
        return here.client.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


def test_while_mlflow_is_down_nothing_is_accepted(here: Bench) -> None:
    before = jobs(here)
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
    wait_for(lambda: jobs(here) == before, 60)


def jobs(bench: Bench) -> int:
    """How many there are; -1 while nobody can tell."""
    answer = bench.client.get("/jobs")
    return int(answer.json()["count"]) if answer.is_success else -1
