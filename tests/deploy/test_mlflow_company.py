"""mlflow/start.sh with users, on a real PostgreSQL and a real S3."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from bentos.cli import main
from bentos.itransformer.catalog import Catalog
from bentos.itransformer.jobs import Jobs
from bentos.registry.runs import Runs
from bentos.settings import Settings
from deploy.local.settings import ROOT
from tests.deploy.company import ANA, PEOPLE, SITE, START, Company, run

PAGE = ROOT / "docs" / "operations.md"
MODEL = "contugas-anomaly"
API = "/api/2.0/mlflow"


def client(server: Company, user: str) -> httpx.Client:
    return httpx.Client(base_url=server.url, auth=(user, server.passwords[user]), timeout=60)


def post(server: Company, user: str, path: str, **body: object) -> httpx.Response:
    with client(server, user) as http:
        return http.post(path if path.startswith("/") else f"{API}/{path}", json=body)


def stage(server: Company, user: str, name: str = MODEL, to: str = "Production") -> httpx.Response:
    path = "model-versions/transition-stage"
    return post(server, user, path, name=name, version="1", stage=to)


def tag(server: Company, user: str) -> httpx.Response:
    path = "model-versions/set-tag"
    return post(server, user, path, name=MODEL, version="1", key="serving.state", value="live")


def test_nobody_gets_in_without_a_password(server: Company) -> None:
    path = f"{server.url}{API}/registered-models/search"
    assert httpx.get(path, timeout=60).status_code == 401
    assert httpx.get(path, auth=("admin", "password1234"), timeout=60).status_code == 401
    assert httpx.get(f"{server.url}/health", timeout=60).status_code == 200


def test_a_strange_host_is_refused(server: Company) -> None:
    with client(server, "admin") as http:
        answer = http.get(f"{API}/registered-models/search", headers={"host": "evil.example"})
    assert answer.status_code == 403


@pytest.mark.parametrize(
    ("page", "status"), [(f"https://{SITE}", 200), ("https://evil.example", 403)]
)
def test_only_the_page_of_its_own_promotes_by_mouse(
    server: Company, page: str, status: int
) -> None:
    """With the origins of Helm's production, behind the host name that it has there."""
    body = {"name": MODEL, "version": "1", "stage": "None"}
    with client(server, "promoter") as http:
        answer = http.post(
            f"{API}/model-versions/transition-stage",
            json=body,
            headers={"host": SITE, "origin": page},
        )
    assert answer.status_code == status, answer.text


def test_the_trainer_registers_and_does_not_promote(server: Company) -> None:
    assert stage(server, "trainer").status_code == 403
    assert tag(server, "trainer").status_code == 403
    assert stage(server, "promoter").status_code == 200
    assert stage(server, "promoter", to="None").status_code == 200


def test_the_doctor_says_what_an_account_may_not(server: Company) -> None:
    def warned(user: str) -> set[str]:
        result = CliRunner().invoke(
            main, ["doctor", "registry", "admission", "--json"], env=server.as_user(user)
        )
        assert result.exit_code == 0, result.output
        return {one["check"] for one in json.loads(result.output) if one["state"] == "warning"}

    assert {"may tag", "may move stages"} <= warned("trainer")
    assert "may move stages" not in warned("promoter")


def test_the_trainer_grants_itself_nothing(server: Company) -> None:
    grant = {"username": "trainer", "resource_id": "*", "permission": "EDIT"}
    for kind in ("registered_model_version", "prompt", "registered_model"):
        path = "/api/3.0/mlflow/users/permissions/grant"
        answer = post(server, "trainer", path, resource_type=kind, **grant)
        assert answer.status_code == 403, answer.text
    assert stage(server, "trainer").status_code == 403


def test_the_trainer_promotes_no_model_dressed_as_a_prompt(server: Company) -> None:
    prompt = {"key": "mlflow.prompt.is_prompt", "value": "true"}
    made = post(server, "trainer", "registered-models/create", name="other", tags=[prompt])
    assert made.status_code == 403
    assert post(server, "trainer", "registered-models/create", name="dressed").status_code == 200
    source = f"models:/{MODEL}/1"
    version = post(server, "trainer", "model-versions/create", name="dressed", source=source)
    assert version.status_code == 200, version.text
    dress = post(server, "trainer", "registered-models/set-tag", name="dressed", **prompt)
    assert dress.status_code == 200
    assert stage(server, "trainer", name="dressed").status_code == 403
    path = "registered-models/delete-tag"
    assert post(server, "trainer", path, name="dressed", **prompt).status_code != 200
    assert stage(server, "admin", name="dressed").status_code == 200  # it is there


def test_an_alias_is_open_to_whoever_may_register(server: Company) -> None:
    """MLflow has no permission for it: production follows a stage."""
    path = "registered-models/alias"
    set_alias = {"name": MODEL, "alias": "challenger", "version": "1"}
    assert post(server, "trainer", path, **set_alias).status_code == 200
    assert post(server, "service", path, **set_alias).status_code == 200  # of what serves
    assert post(server, "promoter", path, **set_alias).status_code == 403


def test_the_service_reads_and_writes_its_tags(server: Company) -> None:
    assert tag(server, "service").status_code == 200
    body = {"name": MODEL, "version": "1", "key": "serving.state"}
    with client(server, "service") as http:
        assert http.request("DELETE", f"{API}/model-versions/delete-tag", json=body).is_success
        found = http.get(f"{API}/registered-models/search").json()["registered_models"]
        assert MODEL in {model["name"] for model in found}
        query = {"name": MODEL, "version": "1"}
        uri = http.get(f"{API}/model-versions/get-download-uri", params=query).json()
        folder = uri["artifact_uri"].removeprefix("mlflow-artifacts:/")
        listing = http.get(f"{API}-artifacts/artifacts", params={"path": folder}).json()
        assert "MLmodel" in {entry["path"] for entry in listing["files"]}
        mine = {"name": MODEL, "key": "mlflow.serving.replica", "value": "{}"}
        assert http.post(f"{API}/registered-models/set-tag", json=mine).is_success
        gone = http.request("DELETE", f"{API}/registered-models/delete", json={"name": MODEL})
        assert gone.status_code == 403


def test_the_forecaster_runs_jobs_and_ends_models_of_others(
    server: Company, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The trainer made experiment and model; whoever may only EDIT cannot delete them."""
    with connected(server, "trainer", monkeypatch) as trainer:
        experiment = trainer.experiment("itransformer")
        body = {"experiment_id": experiment, "name": "model"}
        logged = post(server, "trainer", "logged-models", **body).json()["model"]["info"]
        trainer.put(logged["artifact_uri"], "config.json", b"{}")
    body = {"name": "itransformer-plant"}
    assert post(server, "trainer", "registered-models/create", **body).is_success
    version = body | {"source": logged["artifact_uri"], "model_id": logged["model_id"]}
    assert post(server, "trainer", "model-versions/create", **version).is_success

    with connected(server, "forecaster", monkeypatch) as runs:
        jobs = Jobs(runs, tmp_path / "jobs", 1)
        job = jobs.add("train", "plant", True, b"{}", b"rows")
        jobs.cancel(jobs.get(job))
        assert jobs.get(job).info.status == "KILLED"
        assert stage(server, "forecaster", "itransformer-plant").status_code == 200
        settings = Settings(home=tmp_path, mlflow_tracking_uri=server.url)
        assert Catalog(runs, settings).delete("plant") == ["1/config.json"]
        assert "itransformer-plant" not in runs.models()


@contextmanager
def connected(server: Company, user: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runs]:
    """A client as the service itransformer has it."""
    for name, value in server.as_user(user).items():
        monkeypatch.setenv(name, value)
    runs = Runs(server.url)
    with runs.http:
        yield runs


def test_accounts_may_be_applied_again_and_change_a_password(server: Company) -> None:
    old = server.passwords["service"]
    server.passwords["service"] = "another-password"
    server.accounts()
    assert tag(server, "service").status_code == 200
    assert stage(server, "trainer").status_code == 403
    with httpx.Client(base_url=server.url, auth=("service", old), timeout=60) as http:
        assert http.get(f"{API}/registered-models/search").status_code == 401


def test_the_admin_changes_its_password_as_the_page_says(server: Company) -> None:
    (body,) = re.findall(r"users/update-password --json '(.*)'`", PAGE.read_text())
    old, new = server.passwords["admin"], "a-password-for-later"
    with client(server, "admin") as http:
        path = f"{API}/users/update-password"
        change = json.loads(body.replace("OLD", old).replace("NEW", new))
        assert http.patch(path, json=change).status_code == 200
        back = {**change, "current_password": new, "password": old}
        assert http.patch(path, json=back, auth=("admin", new)).status_code == 200


def test_files_lie_in_the_bucket_and_rows_in_postgresql(server: Company) -> None:
    assert server.store.client.list_objects_v2(Bucket="models", MaxKeys=1)["KeyCount"] == 1
    count = server.database.run("psql", "-Atc", "select count(*) from model_versions")
    assert int(count) >= 1
    users = server.database.run("psql", "-Atc", "select username from users")
    assert set(users.split()) == {"admin", ANA, *PEOPLE}


REVISION = "select version_num from alembic_version"
REVISIONS = f"{REVISION} union select version_num from alembic_version_auth order by 1"

LAST_BUT_ONE = """
from alembic import command
from alembic.script import ScriptDirectory
from mlflow.store.db.utils import _get_alembic_config, create_sqlalchemy_engine
from mlflow.store.tracking.dbmodels.initial_models import Base

uri = "postgresql+psycopg2://"
Base.metadata.create_all(create_sqlalchemy_engine(uri))
config = _get_alembic_config(uri)
command.upgrade(config, ScriptDirectory.from_config(config).get_revision("head").down_revision)
"""


def test_migrating_again_changes_nothing(server: Company) -> None:
    before = server.database.run("psql", "-Atc", REVISIONS)
    server.migrate()
    assert server.database.run("psql", "-Atc", REVISIONS) == before


def test_of_servers_that_migrate_at_once_each_is_done_in_the_end(server: Company) -> None:
    """As the pods of a first day do: what fails is started again, and finds nothing to do."""
    server.database.run("createdb", "fresh")
    env = os.environ | server.env("fresh")
    both = [subprocess.Popen([START, "migrate"], env=env, cwd=ROOT) for _ in range(2)]
    ended = [one.wait(280) for one in both]
    assert 0 in ended
    if any(ended):
        server.migrate("fresh")
    head = server.database.run("psql", "-Atc", REVISIONS)
    assert server.database.run("psql", "-Atc", REVISIONS, database="fresh") == head


def test_an_old_schema_is_brought_up_to_date(server: Company) -> None:
    server.database.run("createdb", "old")
    run([sys.executable, "-c", LAST_BUT_ONE], server.env("old"))
    old = server.database.run("psql", "-Atc", REVISION, database="old")
    server.migrate("old")
    head = server.database.run("psql", "-Atc", REVISIONS)
    assert old not in head
    assert server.database.run("psql", "-Atc", REVISIONS, database="old") == head


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("MLFLOW_BACKEND_STORE_URI", "postgresql://u:p@h/d", "give it by PGPASSWORD"),
        ("MLFLOW_FLASK_SERVER_SECRET_KEY", "", "give a random string"),
        ("MLFLOW_AUTH_ADMIN_PASSWORD", "short", "12"),
    ],
)
def test_what_is_missing_or_weak_is_named(
    server: Company, name: str, value: str, said: str
) -> None:
    assert said in refused(server, server.env() | {name: value, "PGDATABASE": "postgres"})


def refused(server: Company, env: dict[str, str]) -> str:
    """What start.sh says when it does not serve."""
    done = subprocess.run(
        [START], env=os.environ | env, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode != 0
    return done.stderr
