"""What is around spotify's answers: pages of other origins, docs, metrics, the stack."""

from pathlib import Path

import httpx
import pytest

from bentos import spotify
from bentos.settings import Settings
from tests.spotify.songs import ALIAS, MODEL, PLACES, SONG, ask, spelled
from tests.stack import Stack
from tests.web.scrape import value
from tests.web.serving import serving


@pytest.mark.parametrize(
    ("page", "may"), [("https://songs.example.com", True), ("http://localhost:3000", False)]
)
def test_pages_of_configured_origins_may_call(client: httpx.Client, page: str, may: bool) -> None:
    expected = {"access-control-allow-origin": page} if may else {}
    asked = {"origin": page, "access-control-request-method": "POST"}
    answers = [
        client.options("/predict/", headers=asked),
        client.post("/predict/", json=SONG, headers={"origin": page}),
        client.post("/predict/", json={}, headers={"origin": page}),
        client.get("/predict/params", params=spelled(SONG), headers={"origin": page}),
    ]
    assert [answer.status_code for answer in answers] == [200 if may else 400, 200, 422, 200]
    for answer in answers:
        found = answer.headers.get("access-control-allow-origin")
        assert found == expected.get("access-control-allow-origin")


def test_pages_on_localhost_may_call_the_local_stack(stack: Stack) -> None:
    for page, may in [("http://localhost:8080", True), ("https://songs.example.com", False)]:
        headers = {"origin": page}
        url = f"{stack.api}/spotify/predict/"
        answer = httpx.post(url, json=SONG, headers=headers, timeout=60)
        assert answer.status_code == 200
        assert ("access-control-allow-origin" in answer.headers) == may


def test_it_answers_in_the_stack(stack: Stack) -> None:
    with httpx.Client(base_url=f"{stack.api}/spotify", timeout=60, trust_env=False) as client:
        posted = client.post("/predict", json=SONG)
        assert posted.headers["x-model-version"].startswith(f"{MODEL}/")
        assert ask(client, "get", SONG).json() == posted.json()
        assert client.get("/docs").status_code == 200


def test_the_docs_tell_both_routes_from_one_definition(client: httpx.Client) -> None:
    body = client.get("/openapi.json").json()
    parameters = body["paths"]["/predict/params"]["get"]["parameters"]
    assert [parameter["name"] for parameter in parameters] == list(SONG)
    assert [parameter["required"] for parameter in parameters] == [True] * 14 + [False] * 4
    song = body["components"]["schemas"]["Song"]
    assert list(song["properties"]) == list(SONG)
    assert [parameter["schema"] for parameter in parameters] == list(song["properties"].values())
    example = body["paths"]["/predict/"]["post"]["requestBody"]["content"]["application/json"]
    answer = client.post("/predict/", json=example["examples"]["several"]["value"])
    assert len(answer.json()) == 2


def test_releases_and_metrics_tell_of_it(client: httpx.Client, url: str, version: str) -> None:
    (report,) = client.get("/releases").json()["releases"]
    assert (report["model"], report["channel"]) == (MODEL, f"alias {ALIAS}")
    assert (report["live"]["version"], report["live"]["runs"]) == (version, "native")
    before = value(url, "ascenso_batch_rows_sum", model=MODEL)
    client.post("/predict/", json=[SONG] * 7)
    assert value(url, "ascenso_batch_rows_sum", model=MODEL) - before == 7
    client.get("/predict/params", params=spelled(SONG))
    assert value(url, "ascenso_requests_total", service="spotify", route="query", status="200") > 0


def test_before_a_promotion_both_routes_say_so(tmp_path: Path) -> None:
    app = spotify.build(Settings(home=tmp_path))
    with serving(app) as url, httpx.Client(base_url=url, timeout=60) as client:
        for place in PLACES:
            answer = ask(client, place, SONG)
            assert answer.status_code == 503
            assert int(answer.headers["retry-after"]) > 0
            assert f"No version of {MODEL} serves yet" in answer.json()["detail"]
