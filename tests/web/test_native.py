import asyncio
import gzip
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any

import bentoml
import httpx
import numpy as np
import pytest
from bentoml.exceptions import BentoMLException
from bentoml.validators import ContentType
from numpy.typing import NDArray
from starlette.requests import Request

from bentos.bento.native import Native
from bentos.bento.native import call as native_call
from bentos.serving.slot import Slot
from bentos.settings import LimitSettings, Settings
from tests.memory import release
from tests.stack import wait_for
from tests.web.guarded import PASSWORD, bearer, secured, users_of
from tests.web.serving import serving
from tests.web.small import (
    Gated,
    Matrix,
    Point,
    Sum,
    gated_slot,
    small_app,
    small_slot,
    total,
)

Sums = Annotated[NDArray[np.float64], ContentType("application/json")]


@contextmanager
def native(
    slot: Slot[Point, Sum], timeout: float = 60, settings: Settings | None = None
) -> Iterator[str]:
    """A BentoML service with a native door into the slot, before its app."""
    small = small_app(slot, timeout, settings=settings)
    door: Native[Point, Sum] = Native(small)

    @bentoml.asgi_app(small)
    @bentoml.service(name="small", metrics={"enabled": False})
    class Small:
        @bentoml.api(input_spec=native_call())  # type: ignore[untyped-decorator]
        async def predict_batch(self, rows: Request, ctx: bentoml.Context) -> Sums:
            """Add x and y."""
            return await door.answer(rows, ctx)

    app = Small.to_asgi(is_main=True)  # type: ignore[attr-defined]
    with serving(app, lifespan="on") as url:
        yield url


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with native(small_slot(version="3")) as url:
        yield url


def call(url: str, rows: Any) -> httpx.Response:
    return httpx.post(f"{url}/predict_batch", json={"rows": rows}, timeout=60)


def test_answers_a_matrix_in_its_order(url: str) -> None:
    answer = call(url, [[number, 0.5] for number in range(100)])
    assert answer.status_code == 200
    assert answer.json() == [[number + 0.5] for number in range(100)]
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-model-version"] == "adder/3"
    assert call(url, []).json() == []


def test_a_gzip_is_unpacked_and_nothing_else_is(url: str) -> None:
    body = gzip.compress(b'{"rows": [[1, 2]]}')
    for packing, status in [("gzip", 200), ("br", 415)]:
        headers = {"content-type": "application/json", "content-encoding": packing}
        answer = httpx.post(f"{url}/predict_batch", content=body, headers=headers, timeout=60)
        assert answer.status_code == status
        assert answer.json() == [[3.0]] or "send it as gzip" in answer.text


ROWS = np.array([[1.0, 2.0], [3.0, 4.5]])


@pytest.mark.parametrize("rows", [ROWS, ROWS.tolist(), ROWS.astype(np.float32)])
def test_bentomls_own_client_calls_it(url: str, rows: Any) -> None:
    with bentoml.SyncHTTPClient(url) as client:
        answers = client.predict_batch(rows=rows)
    assert isinstance(answers, np.ndarray)
    assert answers.tolist() == [[3.0], [7.5]]


def test_bentomls_async_client_calls_it(url: str) -> None:
    async def calls() -> None:
        async with bentoml.AsyncHTTPClient(url) as client:
            answers = await asyncio.gather(*(client.predict_batch(ROWS + n) for n in range(5)))
        assert [a.tolist() for a in answers] == [[[3 + 2 * n], [7.5 + 2 * n]] for n in range(5)]

    asyncio.run(calls())


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"rows": [1, 2]}', "rows[0]: Expected `array`, got `int`; a row is [x, y]"),
        (b'{"rows": [[1, 2], [1]]}', "rows[1]: Expected `array` of length 2; a row is [x, y]"),
        (b'{"rows": [[1, 2, 3]]}', "rows[0]: Expected `array` of length 2; a row is [x, y]"),
        (b'{"rows": [[1, NaN]]}', "rows[0][1], y: Must be a finite number, got NaN"),
        (b'{"rows": [[-Infinity, 1]]}', "rows[0][0], x: Must be a finite number, got -Infinity"),
        (b'{"rows": [[1, 2], ["3", 4]]}', "rows[1][0], x: Expected `float`, got `str`"),
        (b'{"rows": [[true, 4]]}', "rows[0][0], x: Expected `float`, got `bool`"),
        (b'{"rows": [[null, 4]]}', "rows[0][0], x: Expected `float`, got `null`"),
        (b'{"rows": [[[1], 4]]}', "rows[0][0], x: Expected `float`, got `array`"),
        (b'{"rows": [[1e9, 4]]}', "rows[0][0], x: Expected `float` <= 1000000.0"),
        (b'{"rows": [{"x": 1, "y": 2}]}', "rows[0]: Expected `array`, got `object`"),
        (b'{"rows": ' + b"[" * 9_000, "rows[0][0], x: Expected `float`, got `array`"),
        (b'{"rows": [' + b"[1,2]," * 100 + b"[1,2]]}", "body.rows: Expected `array` of length <="),
        (b'{"rows": 5}', "body.rows: Expected `array`, got `int`"),
        (b'{"rows": [], "colour": 1}', "body.colour: Unknown field"),
        (b"{}", "body.rows: Field required"),
        (b"[[1, 2]]", "body: Expected `object`, got `array`"),
        (b"", "body: The body is empty"),
        (b"rows", "body: JSON is malformed"),
    ],
)
def test_names_what_is_wrong(url: str, body: bytes, message: str) -> None:
    answer = httpx.post(f"{url}/predict_batch", content=body)
    assert answer.status_code == 422
    assert answer.json()[0]["error"].startswith(message)
    assert call(url, [[1, 2]]).status_code == 200


@pytest.mark.parametrize("rows", [[1.0, 2.0], [[1.0], [2.0]], [[float("nan"), 1.0]]])
def test_bentomls_client_learns_what_is_wrong(url: str, rows: Any) -> None:
    with bentoml.SyncHTTPClient(url) as client, pytest.raises(BentoMLException) as caught:
        client.predict_batch(rows=rows)
    assert caught.value.error_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert "rows[0]" in str(caught.value)


@pytest.mark.parametrize(
    "media_type",
    ["application/vnd.bentoml+pickle", "multipart/form-data", "text/plain", "application/x-yaml"],
)
def test_takes_json_only(url: str, media_type: str) -> None:
    answer = httpx.post(
        f"{url}/predict_batch", content=b"[" * 10_000, headers={"content-type": media_type}
    )
    assert answer.status_code == 415
    assert media_type in answer.json()[0]["error"]


def test_refuses_a_body_that_is_too_large(url: str) -> None:
    answer = call(url, [[1.0, 2.0]] * 2_000)
    assert answer.status_code == 413
    assert "10,000 bytes" in answer.json()[0]["error"]


def test_before_a_promotion_it_is_not_ready() -> None:
    slot = small_slot(predict=None)
    with native(slot) as url:
        answer = call(url, [[1, 2]])
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        assert "No version of adder serves yet" in answer.json()["detail"]
        slot.swap(release("1", total))
        assert call(url, [[1, 2]]).json() == [[3]]


def test_what_the_queue_does_not_take_is_refused_at_once() -> None:
    gated = Gated()
    slot = gated_slot(gated, LimitSettings(queue_rows=1))
    with native(slot) as url, ThreadPoolExecutor(2) as pool:
        first = pool.submit(call, url, [[1, 2]])
        assert gated.begun.wait(60)
        second = pool.submit(call, url, [[3, 4]])
        wait_for(lambda: slot.batcher.queued_rows == 1, 60)
        refused = call(url, [[5, 6]])
        gated.go_on.set()
        assert refused.status_code == 503
        assert "adder is overloaded" in refused.json()["detail"]
        assert [answer.result().json() for answer in (first, second)] == [[[3]], [[7]]]


def test_a_call_that_takes_too_long_ends() -> None:
    gated = Gated()
    with native(gated_slot(gated), timeout=0.1) as url:
        answer = call(url, [[1, 2]])
        gated.go_on.set()
    assert answer.status_code == 504
    assert "adder took longer than" in answer.json()["detail"]


def test_a_failing_model_shows_no_trace() -> None:
    def broken(rows: Matrix) -> Matrix:
        raise ZeroDivisionError("the model's own secret")

    with native(small_slot(broken)) as url:
        answer = call(url, [[1, 2]])
        assert httpx.get(f"{url}/livez").status_code == 200
    assert answer.status_code == 500
    assert "secret" not in answer.text


def test_a_guarded_service_is_so_by_this_door_too(tmp_path: Path) -> None:
    settings = secured(tmp_path)
    users_of(settings).add("ana", PASSWORD)
    with native(small_slot(), settings=settings) as url:
        for token in ("", "Bearer x"):
            headers = {"authorization": token}
            answer = httpx.post(f"{url}/predict_batch", json={"rows": []}, headers=headers)
            assert answer.status_code == 401
            assert answer.json() == {"error": "Authorization error"}  # BentoML's own words
        body = {"rows": [[1.0, 2.0]]}
        answer = httpx.post(f"{url}/predict_batch", json=body, headers=bearer(url))
        assert answer.json() == [[3.0]]
