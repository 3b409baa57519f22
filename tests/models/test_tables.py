"""Tables of Arrow at `/NAME/predict`: which form comes, which goes, and what is refused."""

from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pytest

from bentos.models.openapi import document
from bentos.protocols.arrow_stream import MEDIA_TYPE as ARROW
from bentos.serving.release import Probabilities
from bentos.settings import LimitSettings
from bentos.tensors import Batch, Column, Schema
from tests.protocols import standing
from tests.protocols.arrow_tables import read, stream

SCHEMA = Schema((Column("x", "float64"), Column("kind", "string")), (Column("twice", "float64"),))
LIMITS = LimitSettings(body_bytes=50_000, rows_per_call=1000)
GIVEN = pa.table({"x": [1.5, 2.0], "kind": ["a", "b"]})


def twice(batch: Batch) -> Batch:
    return Batch({"twice": batch["x"] * 2})


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    app = standing.app(limits=LIMITS)
    standing.put(app, "twice", SCHEMA, twice)
    with standing.asked(app) as caller:
        yield caller.http


def post(client: httpx.Client, body: Any, **headers: str) -> httpx.Response:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post("/twice/predict", content=body, headers=names)


def test_a_table_is_answered_by_a_table(client: httpx.Client) -> None:
    said = post(client, stream(GIVEN), content_type=ARROW)
    assert said.status_code == 200
    assert said.headers["content-type"] == ARROW
    assert said.headers["x-model-version"] == "twice/1"
    assert read(said.content).to_pydict() == {"twice": [3.0, 4.0]}


@pytest.mark.parametrize(
    ("accept", "table"),
    [
        ("*/*", True),
        (ARROW, True),
        ("application/json", False),
        (f"{ARROW}, application/json", True),
    ],
)
def test_who_says_what_it_accepts_gets_that(
    client: httpx.Client, accept: str, table: bool
) -> None:
    said = post(client, stream(GIVEN), content_type=ARROW, accept=accept)
    if table:
        assert read(said.content).num_rows == 2
    else:
        assert said.json() == [{"twice": 3.0}, {"twice": 4.0}]
        assert said.headers["content-type"] == "application/json"


def test_rows_in_json_may_be_answered_by_a_table(client: httpx.Client) -> None:
    said = post(client, b'{"x": 1.5, "kind": "a"}', accept=ARROW)
    assert read(said.content).to_pydict() == {"twice": [3.0]}


def test_an_error_names_the_column_and_is_json(client: httpx.Client) -> None:
    wrong = pa.table({"x": [1.5, None], "kind": ["a", "b"]})
    said = post(client, stream(wrong), content_type=ARROW)
    assert said.status_code == 422
    (problem,) = said.json()["detail"]
    assert problem["loc"] == ["body", 1, "x"]
    assert "is missing" in problem["msg"]
    noise = post(client, b"\xff" * 100, content_type=ARROW)
    assert noise.status_code == 422
    assert "no stream of Arrow" in noise.text


def test_bounds_are_those_of_json(client: httpx.Client) -> None:
    kinds = pa.array(["a"] * 1001).dictionary_encode()
    many = pa.table({"x": np.zeros(1001, np.float32), "kind": kinds})
    assert "send at most 1000" in post(client, stream(many), content_type=ARROW).text
    long = pa.table({"x": [1.0], "kind": ["a" * 60_000]})
    assert post(client, stream(long), content_type=ARROW).status_code == 413


def test_probabilities_are_an_object_of_classes() -> None:
    app = standing.app()
    release = standing.put(app, "twice", SCHEMA, twice)

    def shares(batch: Batch) -> Batch:
        return Batch({"twice": batch["x"] * 2, "probabilities": np.array([[0.25, 0.75]] * 2)})

    object.__setattr__(release, "probabilities", Probabilities(("no", "yes"), shares))
    with standing.asked(app) as caller:
        headers = {"content-type": ARROW}
        said = caller.http.post(
            "/twice/predict?proba=true", content=stream(GIVEN), headers=headers
        )
    assert read(said.content).to_pylist()[0] == {
        "twice": 3.0, "probabilities": {"no": 0.25, "yes": 0.75},
    }  # fmt: skip


def test_openapi_tells_of_both_forms() -> None:
    described = document("twice", standing.put(standing.app(), "twice", SCHEMA, twice))
    post = described["paths"]["/predict"]["post"]
    forms = {"application/json", ARROW}
    assert post["requestBody"]["content"].keys() == forms
    assert post["responses"]["200"]["content"].keys() == forms
