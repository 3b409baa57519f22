from collections.abc import Iterator

import httpx
import pytest
from starlette.routing import Mount, Router

from bentos.serving.slot import Slot
from bentos.web.app import App
from bentos.web.endpoint import Endpoint
from bentos.web.hot import Hot
from bentos.web.query import query
from tests.web.serving import serving
from tests.web.small import Gated, Point, Sum, gated_slot, small_app, small_slot


def queried(slot: Slot[Point, Sum], timeout: float = 60) -> App:
    """The small service with a query route."""
    hot = Hot("small", "/add", slot, Point, timeout)
    return small_app(slot, endpoints=[Endpoint("GET", "/add/params", query(hot))])


@pytest.fixture(scope="module", params=["", "/small"], ids=["alone", "mounted"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    prefix: str = request.param
    app = queried(small_slot(version="3"))
    with serving(Router([Mount(prefix, app)]) if prefix else app) as url:
        yield url + prefix


def test_a_query_gets_the_answer_of_a_post(url: str) -> None:
    got = httpx.get(f"{url}/add/params?x=1.5&y=2")
    posted = httpx.post(f"{url}/add", json={"x": 1.5, "y": 2})
    assert (got.status_code, got.content) == (200, posted.content)
    for name in ("content-type", "x-model-version"):
        assert got.headers[name] == posted.headers[name]
    assert got.headers["x-model-version"] == "adder/3"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "x"),
        ("x=1.5", "y"),
        ("x=1.5&y=", "y"),
        ("x=1.5&y=two", "y"),
        ("x=nan&y=2", "x"),
        ("x=1e7&y=2", "x"),
        ("x=1&x=1&y=2", "x"),
        ("x=1&y=2&z=3", "z"),
    ],
)
def test_a_bad_query_is_named_by_its_field(url: str, query: str, field: str) -> None:
    answer = httpx.get(f"{url}/add/params?{query}")
    assert answer.status_code == 422
    assert [problem["loc"] for problem in answer.json()["detail"]] == [["query", field]]


def test_only_get_is_allowed(url: str) -> None:
    assert httpx.post(f"{url}/add/params?x=1&y=2").status_code == 405


def test_without_a_release_it_is_not_ready() -> None:
    with serving(queried(small_slot(predict=None))) as url:
        answer = httpx.get(f"{url}/add/params?x=1&y=2")
    assert answer.status_code == 503
    assert "retry-after" in answer.headers


def test_a_model_that_takes_too_long_is_named() -> None:
    gated = Gated()
    with serving(queried(gated_slot(gated), timeout=0.05)) as url:
        answer = httpx.get(f"{url}/add/params?x=1&y=2")
        gated.go_on.set()
    assert answer.status_code == 504
