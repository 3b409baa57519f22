"""deploy/backup.sh: a copy of the registry and the bucket serves the same answers elsewhere."""

import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from bentos.registry.tags import STATE_TAG
from deploy.local.settings import ROOT
from tests.deploy.company import Company
from tests.deploy.judges import judge
from tests.postgres import find
from tests.services import served
from tests.serving.servers import BUCKET, SCRIPTS, Store, storing
from tests.stack import free_ports, wait_for

SCRIPT = ROOT / "deploy" / "backup.sh"
MODEL = "contugas-anomaly"
API = "/api/2.0/mlflow"
READINGS = [{"presion": 1.2 + i, "temperatura": 25.5 - i, "volumen": 100.0 * i} for i in range(20)]


def backup(
    what: str, folder: Path, server: Company, store: Store, database: str = "mlflow"
) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(SCRIPTS), str(Path(find("pg_dump")).parent), os.environ["PATH"]])
    env = server.env(database) | store.env | {"S3_BUCKET": BUCKET, "PATH": path}
    command = [str(SCRIPT), what, str(folder)]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=200)


def promoter(server: Company) -> httpx.Client:
    auth = ("promoter", server.passwords["promoter"])
    return httpx.Client(base_url=server.url + API, auth=auth, timeout=60)


def state(server: Company) -> str:
    """What the version's tag says."""
    with promoter(server) as http:
        query = {"name": MODEL, "version": "1"}
        version = http.get("/model-versions/get", params=query).json()["model_version"]
    return next((t["value"] for t in version.get("tags", []) if t["key"] == STATE_TAG), "")


def answers(server: Company, folder: Path) -> tuple[Any, str]:
    """What a new service, as the user `service`, answers, and by which version."""
    folder.mkdir()
    user = server.as_user("service")
    with served("bentos.contugas:Contugas", server.url, folder, **user) as url:
        wait_for(lambda: state(server) == "live", 120)  # it may write its notes
        answer = httpx.post(f"{url}/predict", json=READINGS, timeout=60).raise_for_status()
        return answer.json(), answer.headers["x-model-version"]


@pytest.mark.timeout(900)
def test_what_was_saved_serves_the_same_answers(server: Company, tmp_path: Path) -> None:
    body = {"name": MODEL, "version": "1", "stage": "Production"}
    with promoter(server) as http:
        assert http.post("/model-versions/transition-stage", json=body).is_success
    before = answers(server, tmp_path / "before")
    saved = backup("save", tmp_path / "saved", server, server.store)
    assert saved.returncode == 0, saved.stderr

    server.database.run("createdb", "restored")
    with storing(tmp_path / "elsewhere") as (store, _):
        done = backup("restore", tmp_path / "saved", server, store, "restored")
        assert done.returncode == 0, done.stderr
        (folder := tmp_path / "new").mkdir()
        other = replace(server, store=store, folder=folder, port=free_ports(1)[0])
        with other.serving("restored"):
            assert answers(other, tmp_path / "after") == before

    again = backup("restore", tmp_path / "saved", server, server.store, "restored")
    assert again.returncode == 1
    assert "restore into an empty one" in again.stderr


@pytest.mark.parametrize("arguments", [[], ["save"], ["wipe", "folder"]])
def test_wrong_words_are_answered_by_the_right_ones(arguments: list[str]) -> None:
    env = {"PATH": os.environ["PATH"], "S3_BUCKET": "any", "AWS_DEFAULT_REGION": "any"}
    done = subprocess.run([SCRIPT, *arguments], env=env, capture_output=True, text=True)
    assert done.returncode == 2
    assert "backup.sh save|restore FOLDER" in done.stderr


def test_the_script_has_no_fault() -> None:
    judge("shellcheck", SCRIPT)
