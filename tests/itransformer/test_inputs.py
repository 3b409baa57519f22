"""What itransformer refuses, and how it names what is wrong."""

import json
from typing import Any

import pytest

from bentos.web.errors import JSON
from tests.itransformer.bench import Bench, rows
from tests.itransformer.refusals import detail

NO_DATA = "Faltan los datos ('data') en el JSON"


def changed(count: int, at: int, **values: Any) -> list[dict[str, Any]]:
    """Rows of which one is not as it should be."""
    data = rows(count)
    data[at] = {**data[at], **values}
    return data


FAULTS = [
    (None, NO_DATA),
    ([], NO_DATA),
    (changed(200, 4, HU="wet"), "data: column HU has 'wet', which is no number."),
    (changed(200, 4, HU=None), "data: row 5, column HU: 'nan' is no finite number"),
    (changed(200, 4, OT=True), "data: row 5, column OT: 'True' is no number."),
    (changed(200, 4, date="soon"), "data: row 5, column date: 'soon' is no date like"),
    (changed(200, 4, date="2023-01-01"), "data: row 5, of 2023-01-01 00:00:00, goes back"),
    ([{"date": row["date"]} for row in rows(200)], "data needs the column date and one of num"),
    ([{"OT": 1.0}] * 200, "data needs the column date and one of numbers; it has: OT."),
]


@pytest.mark.parametrize("path", ["/train", "/fine_tuning", "/predict"])
@pytest.mark.parametrize(("data", "message"), FAULTS)
def test_rows_that_cannot_be_used_are_named(
    here: Bench, path: str, data: Any, message: str
) -> None:
    assert detail(here.post(path, "plant", data)).startswith(message)


@pytest.mark.parametrize(
    ("path", "model", "data", "more", "message"),
    [
        ("/train", "x", rows(100), {}, "data has 100 rows; training with seq_len 96 and pred_len"),
        ("/train", "x", rows(200, HU=3), {}, "data: column HU is constant (3) in the"),
        ("/train", "x", rows(200), {"n_heads": 3}, "`d_model` is 128: it must be a multiple of"),
        ("/train", "../x", rows(200), {}, "The model name is '../x': give up to 100 letters"),
        ("/fine_tuning", "plant", rows(30), {}, "data has 30 rows; training with seq_len 24"),
        ("/fine_tuning", "plant", rows(90, "D"), {}, "data has a row every D; the model was"),
        ("/fine_tuning", "plant", rows(90, X=1), {}, "data has the columns OT, HU, X; the model"),
        ("/predict", "plant", rows(23), {}, "data has 23 rows; a forecast needs at least 24."),
        ("/predict", "plant", rows(30, X=1), {}, "data has the columns OT, HU, X; the model's"),
        ("/predict", "plant", rows(30), {"points": 7}, "points is 7: itransformer-plant/1 for"),
        ("/predict", "plant", changed(30, 29, OT=1e300), {}, "data: column"),
        ("/predict", "a b", rows(30), {}, "The model name is 'a b': give up to 100 letters"),
    ],
)
def test_what_does_not_fit_is_named(
    here: Bench, path: str, model: str, data: Any, more: dict[str, Any], message: str
) -> None:
    assert detail(here.post(path, model, data, **more)).startswith(message)


def test_nan_as_python_writes_it_is_named(here: Bench) -> None:
    body = json.dumps({"model_name": "plant", "data": changed(30, 2, OT=float("nan"))})
    answer = here.client.post("/predict", content=body)
    assert detail(answer) == "data: column OT has 'NaN', which is no number."


@pytest.mark.parametrize("path", ["/train", "/fine_tuning", "/predict", "/download_model"])
def test_malformed_bodies(here: Bench, path: str) -> None:
    for body in (b"", b"{", b"[]", b'{"model_name": 1}', b'{"unknown": 1}', b"\xff"):
        answer = here.client.post(path, content=body, headers={"content-type": JSON})
        assert answer.status_code == 422, (body, answer.text)
        assert answer.json()["detail"][0]["loc"][0] == "body"


@pytest.mark.parametrize("path", ["/train", "/fine_tuning"])
def test_what_a_page_sends_without_asking_starts_no_training(here: Bench, path: str) -> None:
    body = json.dumps({"model_name": "page", "data": rows(200)})
    for kind in ({"content-type": "text/plain"}, {"content-type": "multipart/form-data"}, {}):
        said = detail(here.client.post(path, content=body, headers=kind), 415)
        assert said.endswith("send application/json, and say so in content-type")
    foreign = {"origin": "http://evil.example", "content-type": JSON}
    assert "evil.example" in detail(here.client.post(path, content=body, headers=foreign), 403)
    for path in ("/clear_all_models", "/delete_model/plant", f"/jobs/{'0' * 32}"):
        assert "evil.example" in detail(here.client.delete(path, headers=foreign), 403)


@pytest.mark.parametrize(
    ("path", "more", "field"),
    [
        ("/train", {"epochs": 0}, "epochs"),
        ("/train", {"seq_len": "a"}, "seq_len"),
        ("/predict", {"points": 0}, "points"),
        ("/predict", {"epochs": 1}, "epochs"),
    ],
)
def test_wrong_fields_are_named(here: Bench, path: str, more: dict[str, Any], field: str) -> None:
    answer = here.post(path, "plant", rows(30), **more)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body", field]
    nameless = here.post(path, None, rows(30))
    assert nameless.json()["detail"][0]["loc"] == ["body", "model_name"]


def test_unknown_models(here: Bench) -> None:
    for path in ("/predict", "/fine_tuning"):
        said = detail(here.post(path, "nobody", rows(60)), 404)
        assert said.startswith("No model 'nobody' is in production. Those that are: ")
    answer = here.client.post("/download_model", json={"model_name": "nobody"})
    assert detail(answer, 404) == "There is no model 'nobody'"
    answer = here.client.delete("/delete_model/nobody")
    assert detail(answer, 404) == "There is no model 'nobody'"
    assert "give up to 100 letters" in detail(here.client.delete("/delete_model/a.b"))


def test_unknown_jobs(here: Bench) -> None:
    for job_id in ("nobody", "0" * 32):
        assert job_id in detail(here.client.get(f"/jobs/{job_id}"), 404)
        assert job_id in detail(here.client.delete(f"/jobs/{job_id}"), 404)
