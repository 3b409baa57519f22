import subprocess
import sys
from collections.abc import Iterator
from typing import Annotated, Any
from urllib.parse import urlsplit

import httpx
import msgspec
import pytest
from fastapi.openapi.models import OpenAPI
from msgspec import Meta
from playwright.sync_api import Browser, Page, sync_playwright
from playwright.sync_api import Route as Call
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount
from starlette.types import ASGIApp

from bentos.web import docs
from bentos.web.body import Decoder, decode_query, read
from bentos.web.endpoint import Answer, Endpoint, routes
from bentos.web.errors import JSON, Failure, handlers
from tests.web.serving import serving

CHROMIUM = "/usr/bin/chromium"
PATIENCE = 120_000.0  # milliseconds
ARGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


class Reading(msgspec.Struct, forbid_unknown_fields=True):
    """One hour of one client."""

    presion: Annotated[float, Meta(description="bar")]
    temperatura: float
    volumen: float


class Verdict(msgspec.Struct):
    cluster: int
    prediccion: int


class Song(msgspec.Struct, forbid_unknown_fields=True):
    tempo: float
    artists: str | None = None


ONE = {"presion": 1.2, "temperatura": 25.5, "volumen": 100.0}
decode: Decoder[Reading | list[Reading]] = Decoder(Reading | list[Reading])


async def predict(request: Request) -> Response:
    value = decode(await read(request.scope, request.receive, 10_000))
    verdicts = [Verdict(2, 1)] * len(value) if isinstance(value, list) else Verdict(2, 1)
    return Response(msgspec.json.encode(verdicts), media_type=JSON)


async def rate(request: Request) -> Response:
    song = decode_query(request.query_params.multi_items(), Song)
    return Response(msgspec.json.encode(song.tempo), media_type=JSON)


ENDPOINTS = [
    Endpoint(
        "POST",
        "/predict",
        predict,
        "Judge readings",
        {200: Answer("One verdict a reading", Verdict | list[Verdict], Verdict(2, 1))},
        body=Reading | list[Reading],
        examples={"one": ONE, "bulk": [ONE, ONE]},
    ),
    Endpoint(
        "GET",
        "/predict/params",
        rate,
        "Rate a song",
        {200: Answer("How popular it is", float)},
        query=Song,
        examples={"one": {"tempo": 120.5}},
    ),
    Endpoint(
        "GET",
        "/models/{model_id:path}",
        rate,
        "One model",
        {404: Answer("No such model", Failure)},
    ),
    Endpoint("POST", "/cache/clear", predict, "Forget", {200: Answer("Cleared")}, bearer=True),
    Endpoint("GET", "/hidden", rate, include_in_schema=False),
]


def service() -> Starlette:
    readers = docs.routes("contugas <b>", "1.2.3", ENDPOINTS, "Anomalies in gas readings")
    return Starlette(routes=[*routes(ENDPOINTS), *readers], exception_handlers=handlers())


def document() -> dict[str, Any]:
    return docs.openapi("contugas", "1.2.3", ENDPOINTS)


def test_the_document_is_openapi() -> None:
    made = document()
    OpenAPI.model_validate(made)
    assert made["openapi"].startswith("3.1")
    assert sorted(made["components"]["schemas"]) == [
        "Failure",
        "Problem",
        "Problems",
        "Reading",
        "Song",
        "Verdict",
    ]
    names = [call["operationId"] for path in made["paths"].values() for call in path.values()]
    assert names == [
        "post_predict",
        "get_predict_params",
        "get_models_model_id",
        "post_cache_clear",
    ]


def test_a_body_is_described_with_its_examples_and_its_422() -> None:
    operation = document()["paths"]["/predict"]["post"]
    content = operation["requestBody"]["content"]["application/json"]
    assert {"$ref": "#/components/schemas/Reading"} in content["schema"]["anyOf"]
    assert content["examples"]["bulk"] == {"value": [ONE, ONE]}
    assert list(operation["responses"]) == ["200", "422"]
    example = operation["responses"]["200"]["content"]["application/json"]["example"]
    assert example == {"cluster": 2, "prediccion": 1}


def test_query_path_and_security_are_described() -> None:
    paths = document()["paths"]
    tempo, artists = paths["/predict/params"]["get"]["parameters"]
    assert tempo == {
        "name": "tempo",
        "in": "query",
        "required": True,
        "schema": {"type": "number"},
        "example": 120.5,
    }
    assert not artists["required"]
    (model_id,) = paths["/models/{model_id}"]["get"]["parameters"]
    assert (model_id["name"], model_id["in"]) == ("model_id", "path")
    assert "422" not in paths["/models/{model_id}"]["get"]["responses"]
    assert paths["/cache/clear"]["post"]["security"] == [{"bearer": []}]
    assert document()["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"


def test_fastapi_is_not_imported() -> None:
    code = "import sys; from bentos.web import docs; docs.routes('a', '1', [])\n"
    code += "raise SystemExit('fastapi' in sys.modules or 'fastapi_offline' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


class Prefixed:
    """A proxy that cuts "/outside" from the path and tells the service nothing about it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app({**scope, "path": scope["path"].removeprefix("/outside")}, receive, send)


@pytest.fixture(scope="module", params=["", "/contugas", "/outside"])
def address(request: pytest.FixtureRequest) -> Iterator[str]:
    """Alone, mounted, and behind a proxy that cuts its prefix."""
    prefix: str = request.param
    app: ASGIApp = service()
    if prefix == "/outside":
        app = Prefixed(app)
    elif prefix:
        app = Starlette(routes=[Mount(prefix, app)])
    with serving(app) as url:
        yield f"{url}{prefix}"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM, args=ARGS, timeout=PATIENCE
        )
        yield chromium
        chromium.close()


class Visit:
    """A page, what it asked for, and what left for another host."""

    def __init__(self, browser: Browser, address: str) -> None:
        self.page: Page = browser.new_page()
        self.page.set_default_timeout(PATIENCE)
        self.errors: list[str] = []
        self.gone: list[str] = []
        self.home = urlsplit(address).netloc
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("response", lambda answer: self._note(answer.url, answer.status))
        self.page.route(lambda url: urlsplit(url).netloc != self.home, self._catch)

    def _note(self, url: str, status: int) -> None:
        if status >= 400 and not url.endswith("/predict"):
            self.errors.append(f"{status} {url}")

    def _catch(self, call: Call) -> None:
        self.gone.append(call.request.url)
        call.abort()


@pytest.fixture
def visit(browser: Browser, address: str) -> Iterator[Visit]:
    seen = Visit(browser, address)
    yield seen
    seen.page.close()
    assert seen.errors == []
    assert seen.gone == []


def execute(page: Page) -> tuple[str, str]:
    page.get_by_role("button", name="Execute").click()
    answer = page.locator(".live-responses-table tbody")
    status = answer.locator(".response-col_status").inner_text()
    return status.split()[0], answer.locator(".microlight").first.inner_text()


def test_swagger_tries_a_post(visit: Visit, address: str) -> None:
    visit.page.goto(f"{address}/docs")
    assert visit.page.title() == "contugas <b>"
    visit.page.get_by_text("Judge readings").click()
    status, body = execute(visit.page)
    assert status == "200"
    assert msgspec.json.decode(body) == {"cluster": 2, "prediccion": 1}
    assert visit.page.locator(".request-url").inner_text().endswith(f"{address}/predict")

    visit.page.locator("textarea.body-param__text").fill('[{"presion": 1.2}]')
    with visit.page.expect_response(f"{address}/predict") as answered:
        visit.page.get_by_role("button", name="Execute").click()
    assert answered.value.status == 422
    assert answered.value.json()["detail"][0]["loc"] == ["body", 0, "temperatura"]
    visit.page.locator(".live-responses-table").get_by_text("Field required").wait_for()


def test_swagger_tries_a_query(visit: Visit, address: str) -> None:
    visit.page.goto(f"{address}/docs")
    visit.page.get_by_text("Rate a song").click()
    assert execute(visit.page) == ("200", "120.5")


def test_redoc_shows_and_searches(visit: Visit, address: str) -> None:
    visit.page.goto(f"{address}/redoc")
    visit.page.get_by_role("heading", name="Judge readings").wait_for()
    visit.page.get_by_placeholder("Search").fill("rate")
    visit.page.locator("[data-role='search:results']").get_by_text("Rate a song").wait_for()


def test_pages_forbid_other_hosts_and_assets_are_kept(address: str) -> None:
    with httpx.Client(base_url=f"{address}/") as client:
        for path in ("docs", "redoc", "openapi.json"):
            answer = client.get(path)
            assert answer.status_code == 200
            assert "default-src 'none'" in answer.headers["content-security-policy"]
            assert answer.headers["cache-control"] == "no-cache"
        for name in (
            "swagger-ui.css",
            "swagger-ui-bundle.js",
            "redoc.standalone.js",
            "favicon.png",
        ):
            asset = client.get(f"docs/assets/{name}")
            assert asset.status_code == 200
            assert asset.headers["cache-control"] == "public, max-age=86400"
            again = client.get(
                f"docs/assets/{name}", headers={"if-none-match": asset.headers["etag"]}
            )
            assert again.status_code == 304
        for path in ("docs/assets/none.js", "docs/assets/", "docs/assets/..%2f__init__.py"):
            assert client.get(path).status_code == 404
