"""A relay in front of an MLflow with users: each sees what MLflow lets it see, and no more."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.deploy.company import Company
from tests.serving.relays import Relay, counted, relaying

API = "/api/2.0"
WAITING = {"prefer": "wait=20", "a-im": "ascenso-models"}


@pytest.fixture
def relay(server: Company, tmp_path: Path) -> Iterator[Relay]:
    with relaying(server.url, tmp_path / "relay", relay={"permit_seconds": 300}) as relay:
        yield relay


def test_an_account_sees_its_own_models_and_files_only(relay: Relay, server: Company) -> None:
    def ask(
        user: str, path: str, password: str = "", method: str = "GET", **headers: str
    ) -> httpx.Response:
        auth = (user, password or server.passwords[user])
        with httpx.Client(auth=auth, timeout=60) as http:
            return http.request(method, relay.url + path, headers=headers)

    def post(user: str, path: str, **body: str) -> httpx.Response:
        with httpx.Client(auth=(user, server.passwords[user]), timeout=60) as http:
            return http.post(f"{relay.url}{API}/mlflow/{path}", json=body)

    def models(user: str) -> set[str]:
        answer = ask(user, f"{API}/mlflow/registered-models/search", **WAITING)
        assert answer.status_code == 200, answer.text
        assert answer.headers["etag"]
        return {one["name"] for one in answer.json().get("registered_models", [])}

    for user, team in (("gina", "gas"), ("hana", "heat")):
        assert post(user, "registered-models/create", name=f"{team}-relayed").is_success
    made = post("gina", "experiments/create", name="gas-relayed")
    experiment = made.json()["experiment_id"]
    gina, hana = models("gina"), models("hana")
    assert "gas-relayed" in gina - hana
    assert "heat-relayed" in hana - gina
    assert gina | hana < models("service")
    search = f"{API}/mlflow/registered-models/search"
    assert ask("gina", search, "not her password", **WAITING).status_code == 401
    assert httpx.get(relay.url + search, headers=WAITING).status_code == 401
    odd = [(name.encode(), value.encode()) for name, value in WAITING.items()]
    odd += [(b"cookie", b"\xf1")]
    assert httpx.get(relay.url + search, headers=odd).status_code == 401

    files = f"{API}/mlflow-artifacts/artifacts"
    place = f"{experiment}/models/m-{'0' * 32}/artifacts/model.bin"
    with httpx.Client(auth=("gina", server.passwords["gina"]), timeout=60) as http:
        assert http.put(f"{relay.url}{files}/{place}", content=b"theirs").is_success
    for _ in range(2):  # from MLflow, and from disk
        assert ask("gina", f"{files}/{place}").content == b"theirs"
    assert ask("service", f"{files}/{place}").content == b"theirs"
    kept = counted("files_total", found="kept")
    for path in (
        place,
        place.replace("models", "%6dodels"),
        place.replace("models", "%256dodels"),
        place.replace("/models", "//models"),
        place.replace("/models", "/./models"),
        place.replace("models", "x/../models"),
        place.replace("models", "x/%2e%2e/models"),
    ):
        answer = ask("hana", f"{files}/{path}")
        assert b"theirs" not in answer.content
        assert not answer.is_success
    assert ask("gina", f"{files}/{place}", "not her password").status_code == 401
    assert httpx.get(f"{relay.url}{files}/{place}").status_code == 401
    assert counted("files_total", found="kept") == kept
