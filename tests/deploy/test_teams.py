"""Two teams on one MLflow with users: neither touches what is the other's."""

import os
import subprocess
import sys
from typing import Any

import httpx
import jwt
import pytest

from deploy.local.settings import ROOT
from tests.deploy.company import ANA, Company
from tests.openid import ED, Provider
from tests.stack import wait_for

API = "/api/2.0/mlflow"
TRAINERS = [("gina", "gas"), ("hana", "heat")]
PROMOTERS = [("gus", "gas"), ("hugo", "heat")]


def ask(server: Company, user: str, method: str, path: str, **body: Any) -> httpx.Response:
    with httpx.Client(auth=(user, server.passwords[user]), timeout=60) as http:
        key = "params" if method == "GET" else "json"
        options: Any = {key: body}
        return http.request(method, f"{server.url}{API}/{path}", **options)


def post(server: Company, user: str, path: str, **body: Any) -> int:
    return ask(server, user, "POST", path, **body).status_code


@pytest.fixture(scope="module", autouse=True)
def _models(server: Company) -> None:
    """Each trainer registers a version of a model of the team, and the accounts are looked at."""
    for trainer, team in TRAINERS:
        assert post(server, trainer, "experiments/create", name=f"{team}-trials") == 200
        assert post(server, trainer, "registered-models/create", name=f"{team}-model") == 200
        run = f"s3://elsewhere/{team}"
        version = {"name": f"{team}-model", "source": run}
        made = ask(server, trainer, "POST", "model-versions/create", **version)
        assert made.status_code == 200, made.text
    server.accounts()


@pytest.mark.parametrize(("trainer", "team"), TRAINERS)
def test_a_trainer_names_what_is_the_teams_and_nothing_else(
    server: Company, trainer: str, team: str
) -> None:
    other = "heat" if team == "gas" else "gas"
    refused = ask(server, trainer, "POST", "registered-models/create", name=f"{other}-x")
    assert refused.status_code == 403
    assert f"{trainer} may name models {team}-*, and not '{other}-x'" in refused.text
    for name in ("x", f"x-{team}-", f"{team}", ""):
        assert post(server, trainer, "registered-models/create", name=name) == 403
    rename = {"name": f"{team}-model", "new_name": f"{other}-x"}
    assert post(server, trainer, "registered-models/rename", **rename) == 403
    rename = {"name": f"{team}-model", "newName": f"{other}-x"}
    assert post(server, trainer, "registered-models/rename", **rename) == 403
    assert post(server, trainer, "experiments/create", name=f"{other}-x") == 403
    with httpx.Client(auth=(trainer, server.passwords[trainer]), timeout=60) as http:
        body = {"name": f"{other}-y"}
        page = http.post(f"{server.url}/ajax-api/2.0/mlflow/registered-models/create", json=body)
    assert page.status_code == 403


@pytest.mark.parametrize(("promoter", "team"), PROMOTERS)
def test_a_promoter_promotes_the_teams_and_no_other(
    server: Company, promoter: str, team: str
) -> None:
    other = "heat" if team == "gas" else "gas"
    move = {"version": "1", "stage": "Production"}
    path = "model-versions/transition-stage"
    assert post(server, promoter, path, name=f"{team}-model", **move) == 200
    assert post(server, promoter, path, name=f"{other}-model", **move) == 403
    assert post(server, promoter, path, name="contugas-anomaly", **move) == 403


@pytest.mark.parametrize(("trainer", "team"), TRAINERS)
def test_a_trainer_does_not_promote(server: Company, trainer: str, team: str) -> None:
    move = {"version": "1", "stage": "Staging"}
    for name in (f"{team}-model", "contugas-anomaly"):
        assert post(server, trainer, "model-versions/transition-stage", name=name, **move) == 403


@pytest.mark.parametrize(("member", "team"), [*TRAINERS, *PROMOTERS])
def test_what_is_another_teams_is_left_as_it_is(server: Company, member: str, team: str) -> None:
    other = "heat" if team == "gas" else "gas"
    name = f"{other}-model"
    changes: list[tuple[str, str, dict[str, str]]] = [
        ("POST", "model-versions/create", {"name": name, "source": "s3://elsewhere/evil"}),
        ("POST", "registered-models/set-tag", {"name": name, "key": "a", "value": "b"}),
        ("POST", "registered-models/alias", {"name": name, "alias": "live", "version": "1"}),
        (
            "POST",
            "model-versions/set-tag",
            {"name": name, "version": "1", "key": "a", "value": ""},
        ),
        ("PATCH", "registered-models/update", {"name": name, "description": "evil"}),
        ("POST", "registered-models/rename", {"name": name, "new_name": f"{team}-mine"}),
        ("DELETE", "model-versions/delete", {"name": name, "version": "1"}),
        ("DELETE", "registered-models/delete", {"name": name}),
    ]
    for method, path, body in changes:
        assert ask(server, member, method, path, **body).status_code == 403, path
    there = {"experiment_name": f"{other}-trials"}
    found = ask(server, "admin", "GET", "experiments/get-by-name", **there).json()["experiment"]
    number = found["experiment_id"]
    assert post(server, member, "runs/create", experiment_id=number) == 403
    assert ask(server, member, "GET", "experiments/get", experiment_id=number).status_code == 403
    seen = ask(server, member, "GET", "registered-models/search").json()
    names = [one["name"] for one in seen["registered_models"]]
    assert f"{team}-model" in names
    assert all(name.startswith(f"{team}-") for name in names)


def test_a_member_gets_what_a_colleague_made_since(server: Company) -> None:
    assert post(server, "gina", "registered-models/create", name="gas-new") == 200
    body = {"name": "gas-new", "description": "of us"}
    assert ask(server, "gus", "PATCH", "registered-models/update", **body).status_code == 403
    words = {f"MLFLOW_PASSWORD_{n.upper()}": word for n, word in server.passwords.items()}
    env = os.environ | server.env() | words | {"MLFLOW_TRACKING_URI": server.url}
    command = ["-m", "deploy.accounts", str(server.accounts_file), "--follow", "0.2"]
    follower = subprocess.Popen([sys.executable, *command], cwd=ROOT, env=env)
    try:
        wait_for(
            lambda: ask(server, "gus", "PATCH", "registered-models/update", **body).is_success, 120
        )
        assert post(server, "gina", "registered-models/create", name="gas-newer") == 200
        body = {"name": "gas-newer", "description": "of us"}
        wait_for(
            lambda: ask(server, "gus", "PATCH", "registered-models/update", **body).is_success, 120
        )
    finally:
        follower.terminate()
        follower.wait(60)


def test_who_is_in_no_team_goes_on_as_before(server: Company) -> None:
    for name in ("free-model", "gas-by-the-trainer"):
        assert post(server, "trainer", "registered-models/create", name=name) == 200
        gone = ask(server, "admin", "DELETE", "registered-models/delete", name=name)
        assert gone.status_code == 200


def test_who_comes_by_the_companys_login_has_the_grants_of_the_team(
    server: Company, login: Provider
) -> None:
    """By a token that the issuer signed for this server, and by no header of anybody else's."""

    def create(name: str, **headers: str) -> int:
        url = f"{server.url}{API}/registered-models/create"
        return httpx.post(url, json={"name": name}, headers=headers, timeout=60).status_code

    def bearing(token: str) -> dict[str, str]:
        return {"authorization": f"Bearer {token}"}

    assert create("gas-of-ana", **bearing(login.token())) == 200
    assert create("heat-of-ana", **bearing(login.token())) == 403
    move = {"name": "heat-model", "version": "1", "stage": "Production"}
    path = f"{server.url}{API}/model-versions/transition-stage"
    assert httpx.post(path, json=move, headers=bearing(login.token())).status_code == 403
    for bad in (
        login.token(aud="another"),
        login.token(exp=1),
        login.token(email="admin"),  # an account, but none that comes by the login
        login.token(email="gina"),
        login.token(email_verified=False),
        login.token(ED, "EdDSA"),  # signed with another key than it names
        jwt.encode(login.claims(), "0123456789abcdef0123456789abcdef", "HS256", {"kid": "shared"}),
        "none",
    ):
        assert create("gas-of-nobody", **bearing(bad)) == 401
    for name in ("x-forwarded-user", "x-forwarded-email", "x-auth-request-email"):
        assert create("gas-of-nobody", **{name: ANA}) == 401
    assert post(server, "gina", "registered-models/create", name="gas-of-gina") == 200
