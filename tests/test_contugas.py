"""The contract of contugas, as `bentoml serve bentos.contugas:Contugas` keeps it."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bentoml
import httpx
import msgspec
import numpy as np
import pytest
from mlflow.artifacts import download_artifacts
from numpy.typing import NDArray

import mlflow
from tests.services import served
from tests.stack import Stack, wait_for
from tests.web.scrape import value
from training.contugas.train import load

FIELDS = ("presion", "temperatura", "volumen")
READING = {"presion": 1.2, "temperatura": 25.5, "volumen": 100.0}
MODEL = "contugas-anomaly"


@pytest.fixture(scope="module")
def url(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("contugas")
    with served("bentos.contugas:Contugas", stack.mlflow, folder) as url:
        yield url


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        yield client


@pytest.fixture(scope="module")
def rows() -> NDArray[np.float64]:
    """Readings (200, 3), most of them far from any client: every answer comes up."""
    generator = np.random.default_rng(5)
    return generator.uniform([-5, -20, -50], [30, 60, 400], (200, 3)).round(3)


def readings(rows: NDArray[np.float64]) -> list[dict[str, float]]:
    return [dict(zip(FIELDS, row, strict=True)) for row in rows.tolist()]


def answers(matrix: NDArray[Any]) -> list[dict[str, int]]:
    return [dict(zip(("cluster", "prediccion"), row, strict=True)) for row in matrix.tolist()]


def post(client: httpx.Client, body: bytes) -> httpx.Response:
    return client.post("/predict", content=body, headers={"content-type": "application/json"})


@pytest.fixture(scope="module")
def expected(
    stack: Stack,
    client: httpx.Client,
    rows: NDArray[np.float64],
    tmp_path_factory: pytest.TempPathFactory,
) -> NDArray[np.int64]:
    """What the version that serves answers by itself: (200, 2) of cluster, prediccion."""
    version = client.post("/predict", json=READING).headers["x-model-version"]
    folder = tmp_path_factory.mktemp("model")
    mlflow.set_tracking_uri(stack.mlflow)  # another test may have set its own
    path = download_artifacts(f"models:/{version}", dst_path=str(folder))
    matrix: NDArray[np.int64] = load(Path(path))(rows)
    return matrix


def test_answers_one_reading(client: httpx.Client) -> None:
    answer = client.post("/predict", json=READING)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-model-version"].startswith(f"{MODEL}/")
    body = answer.json()
    assert body.keys() == {"cluster", "prediccion"}
    assert body["cluster"] in range(5)
    assert body["prediccion"] in (0, 1)


def test_answers_a_list_as_the_model_itself_does(
    client: httpx.Client, rows: NDArray[np.float64], expected: NDArray[np.int64]
) -> None:
    assert len(np.unique(expected, axis=0)) > 3
    assert client.post("/predict", json=readings(rows)).json() == answers(expected)


def test_a_list_keeps_its_order(client: httpx.Client, rows: NDArray[np.float64]) -> None:
    there = client.post("/predict", json=readings(rows)).json()
    back = client.post("/predict", json=readings(rows[::-1])).json()
    assert there == back[::-1]
    assert client.post("/predict", json=[]).json() == []


def with_presion(value: str) -> bytes:
    return f'{{"presion": {value}, "temperatura": 25.5, "volumen": 100.0}}'.encode()


BAD = {
    "missing": (b'{"presion": 1.2, "temperatura": 25.5}', ["body", "volumen"]),
    "extra": (msgspec.json.encode(READING | {"color": "rojo"}), ["body", "color"]),
    "NaN": (with_presion("NaN"), ["body", "presion"]),
    "Infinity": (with_presion("Infinity"), ["body", "presion"]),
    "minus Infinity": (with_presion("-Infinity"), ["body", "presion"]),
    "beyond a float": (with_presion("1e999"), ["body", "presion"]),
    "beyond any gauge": (with_presion("1e10"), ["body", "presion"]),
    "a number of 5,000 digits": (with_presion("9" * 5000), ["body", "presion"]),
    "text": (with_presion('"1.2"'), ["body", "presion"]),
    "true": (with_presion("true"), ["body", "presion"]),
    "null": (with_presion("null"), ["body", "presion"]),
    "a list": (with_presion("[1.2]"), ["body", "presion"]),
    "an object": (with_presion("{}"), ["body", "presion"]),
    "in a list": (b"[%b,%b]" % (with_presion("1"), with_presion("null")), ["body", 1, "presion"]),
    "a list in a list": (b"[[1.2, 25.5, 100.0]]", ["body", 0]),
    "a number": (b"5", ["body"]),
    "nothing": (b"", ["body"]),
    "blanks": (b"  \n", ["body"]),
    "no JSON": (b"presion=1.2&temperatura=25.5&volumen=100", ["body"]),
    "cut off": (b'{"presion": 1.2, "temp', ["body"]),
    "no UTF-8": (b'{"presion": "\xff"}', ["body", "presion"]),
    "100,000 brackets": (b"[" * 100_000, ["body", 0]),
    "100,000 brackets in a field": (with_presion("[" * 100_000), ["body", "presion"]),
    "10,001 readings": (b"[" + b",".join([with_presion("1")] * 10_001) + b"]", ["body"]),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_named_by_its_field(client: httpx.Client, what: str) -> None:
    body, loc = BAD[what]
    answer = post(client, body)
    assert answer.status_code == 422
    assert [problem["loc"] for problem in answer.json()["detail"]] == [loc]
    assert len(answer.content) < 1_000
    assert "Traceback" not in answer.text
    assert client.post("/predict", json=READING).status_code == 200


def test_ten_megabytes_are_too_large(client: httpx.Client) -> None:
    answer = post(client, b"[" + with_presion("1").ljust(10_000_000) + b"]")
    assert answer.status_code == 413
    assert client.post("/predict", json=READING).status_code == 200


def test_a_call_of_the_allowed_size_is_answered(client: httpx.Client) -> None:
    answer = client.post("/predict", json=[READING] * 10_000)
    assert len(answer.json()) == 10_000
    assert len({(a["cluster"], a["prediccion"]) for a in answer.json()}) == 1


def batches(url: str) -> tuple[float, float, float]:
    """How many batches ran, how many rows in them, and how many batches of one row."""
    return (
        value(url, "ascenso_batch_rows_count", model=MODEL),
        value(url, "ascenso_batch_rows_sum", model=MODEL),
        value(url, "ascenso_batch_rows_bucket", model=MODEL, le="1.0"),
    )


def test_concurrent_calls_share_batches_and_a_bad_one_fails_alone(
    url: str, rows: NDArray[np.float64], expected: NDArray[np.int64]
) -> None:
    bodies: list[Any] = readings(rows)
    bodies[77] = READING | {"volumen": "mucho"}

    async def call_all() -> list[httpx.Response]:
        limits = httpx.Limits(max_connections=len(bodies))
        async with httpx.AsyncClient(limits=limits, timeout=60, trust_env=False) as client:
            calls = (client.post(f"{url}/predict", json=body) for body in bodies)
            return list(await asyncio.gather(*calls))

    def shared() -> bool:
        """Whether a batch was larger than one row, which hangs on how the calls come in."""
        before = batches(url)
        given = asyncio.run(call_all())
        ran, answered, single = np.subtract(batches(url), before)
        assert answered == len(bodies) - 1
        assert given.pop(77).status_code == 422
        assert [answer.json() for answer in given] == answers(np.delete(expected, 77, axis=0))
        return bool(single < ran)

    wait_for(shared, 60)


def test_bentomls_own_clients_get_the_same_answers(
    url: str, rows: NDArray[np.float64], expected: NDArray[np.int64]
) -> None:
    with bentoml.SyncHTTPClient(url) as client:
        assert client.predict_batch(rows=rows).tolist() == expected.tolist()
    answer = httpx.post(f"{url}/predict_batch", json={"rows": rows.tolist()}, timeout=60)
    assert answer.json() == expected.tolist()
    assert answer.headers["x-model-version"].startswith(f"{MODEL}/")


def test_rows_of_both_doors_share_batches(url: str, rows: NDArray[np.float64]) -> None:
    """BentoML's own dispatcher would keep the rows of its door apart."""

    async def call_all() -> list[httpx.Response]:
        limits = httpx.Limits(max_connections=len(rows))
        async with httpx.AsyncClient(limits=limits, timeout=60, trust_env=False) as client:
            fast = (client.post(f"{url}/predict", json=body) for body in readings(rows[:100]))
            native = (
                client.post(f"{url}/predict_batch", json={"rows": [row]})
                for row in rows[100:].tolist()
            )
            return list(await asyncio.gather(*fast, *native))

    def shared() -> bool:
        before = batches(url)
        assert {answer.status_code for answer in asyncio.run(call_all())} == {200}
        ran, answered, _ = np.subtract(batches(url), before)
        assert answered == len(rows)
        return bool(ran < answered)

    wait_for(shared, 60)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([1.2, 25.5, 100.0], "rows[0]: Expected `array`"),
        ([[1.2, 25.5]], "rows[0]: Expected `array` of length 3"),
        ([[1.2, 25.5, None]], "rows[0][2], volumen: Expected `float`"),
    ],
)
def test_the_native_door_names_what_is_wrong(url: str, rows: Any, message: str) -> None:
    answer = httpx.post(f"{url}/predict_batch", json={"rows": rows}, timeout=60)
    assert answer.status_code == 422
    assert message in answer.text


def test_tells_how_it_is(client: httpx.Client) -> None:
    assert client.get("/livez").status_code == 200
    assert client.get("/readyz").status_code == 200
    assert client.get("/predict").status_code == 405
    (report,) = client.get("/releases").json()["releases"]
    assert report["model"] == MODEL
    version = client.post("/predict", json=READING).headers["x-model-version"]
    assert version == f"{MODEL}/{report['live']['version']}"
