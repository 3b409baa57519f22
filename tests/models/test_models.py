"""Models logged by MLflow alone, promoted, and asked by their names."""

import json
import re
import warnings
from typing import Any
from urllib.parse import quote

import catboost
import httpx
import numpy as np
import pandas as pd
import psutil
from mlflow.models import infer_signature
from numpy.typing import NDArray
from playwright.sync_api import expect
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.e2e.browser import browsing
from tests.models.conftest import Models
from tests.stack import wait_for
from tests.web.scrape import value

with warnings.catch_warnings():  # mlflow warns about its own type hints
    warnings.simplefilter("ignore")
    import mlflow.catboost
    import mlflow.sklearn

SECONDS = 60.0
SKOPS = {"serialization_format": "skops"}
RANDOM = np.random.default_rng(7)
HOMES = pd.DataFrame(
    {"rooms": RANDOM.integers(1, 9, 300).astype(float), "size m²": RANDOM.uniform(20, 300, 300)}
)
PRICE = 3.0 * HOMES["size m²"] + 10 * HOMES["rooms"]


def predictions(answer: list[dict[str, Any]]) -> NDArray[Any]:
    return np.array([next(iter(row.values())) for row in answer])


def test_a_model_answers_by_the_columns_that_it_was_fitted_with(models: Models) -> None:
    model = make_pipeline(StandardScaler(), LinearRegression()).fit(HOMES, PRICE)
    name = "Home prices (São Paulo)"
    models.log(model, name, mlflow.sklearn, **SKOPS)
    models.promote(name)
    answer = models.served(name, HOMES.to_dict("records"))
    np.testing.assert_allclose(predictions(answer), model.predict(HOMES), rtol=1e-9)
    assert models.ask(name, HOMES.to_dict("records")[0]).json() == answer[0]

    wrong = models.ask(name, [{"rooms": 2, "size m²": 50}, {"rooms": "2", "size m²": 50}])
    assert wrong.status_code == 422
    assert wrong.json()["detail"][0]["loc"] == ["body", 1, "rooms"]
    unknown = models.ask(name, {"rooms": 2, "size": 50})
    assert "size m²" in unknown.json()["detail"][0]["msg"]

    version = models.client.get_model_version(name, "1")
    assert version.tags.keys() >= {"serving.digest", "mlflow.ascenso.answers"}
    run = models.client.get_run(str(version.run_id)).info
    models.client.log_metric(run.run_id, "rmse", 12.5)
    with browsing() as page:
        page.goto(models.place(name, ""))
        shown = page.inner_text("body")
        page.click("button")
        expect(page.locator("output")).to_contain_text("/1: {")
        first = f"{{{page.inner_text('output').partition('{')[2]}"
    of_run = f"{run.run_name} ({run.run_id})"
    for words in ("as its model says", of_run, "rmse", "12.5", "made up of what the model"):
        assert words in shown
    document = httpx.get(models.place(name, "openapi.json")).json()
    content = document["paths"]["/predict"]["post"]["requestBody"]["content"]
    example = models.ask(name, content["application/json"]["example"])
    assert (example.status_code, example.json()) == (200, json.loads(first))
    assert httpx.get(models.place(name, "docs")).status_code == 200
    releases = httpx.get(f"{models.url}/releases").json()["releases"]
    (release,) = [each["live"] for each in releases if each["model"] == name]
    assert (release["runs"], release["schema"]) == ("onnx", "model")
    assert release["example"] == "made up"


def test_the_next_version_may_have_other_columns(models: Models) -> None:
    name = "changing"
    models.log(LinearRegression().fit(HOMES, PRICE), name, mlflow.sklearn, **SKOPS)
    models.promote(name)
    models.served(name, {"rooms": 2, "size m²": 50})
    bare = LinearRegression().fit(HOMES.to_numpy(), PRICE)
    models.log(bare, name, mlflow.sklearn, **SKOPS)
    models.promote(name, "2")
    answer = models.served(name, HOMES.to_numpy().tolist(), version="2")
    np.testing.assert_allclose(predictions(answer), bare.predict(HOMES.to_numpy()), rtol=1e-9)
    assert models.ask(name, {"rooms": 2, "size m²": 50}).status_code == 422


def test_categories_and_labels(models: Models) -> None:
    rows = HOMES.assign(city=RANDOM.choice(["Rosario", "01234", "NA"], len(HOMES)))
    model = catboost.CatBoostRegressor(iterations=20, verbose=False, allow_writing_files=False)
    model.fit(rows, PRICE, cat_features=["city"])
    models.log(model, "homes-cat", mlflow.catboost, signature=infer_signature(rows, PRICE))
    models.promote("homes-cat")
    answer = models.served("homes-cat", rows.to_dict("records"))
    np.testing.assert_allclose(predictions(answer), model.predict(rows), rtol=1e-12)

    labels = np.where(PRICE.median() < PRICE, "dear", "cheap")
    classifier = make_pipeline(StandardScaler(), LogisticRegression()).fit(HOMES, labels)
    models.log(
        classifier,
        "labels",
        mlflow.sklearn,
        input_example=HOMES.head(),
        serialization_format="skops",
    )
    models.client.set_registered_model_alias("labels", "champion", "1")
    answer = models.served("labels", HOMES.to_dict("records"))
    assert predictions(answer).tolist() == classifier.predict(HOMES).tolist()


def test_a_pickle_is_read_as_data(models: Models) -> None:
    forest = RandomForestRegressor(10, random_state=0).fit(HOMES, PRICE)
    models.log(forest, "forest", mlflow.sklearn, serialization_format="cloudpickle")
    models.promote("forest")
    answer = models.served("forest", HOMES.to_dict("records"))
    np.testing.assert_allclose(predictions(answer), forest.predict(HOMES), rtol=1e-12)
    releases = httpx.get(f"{models.url}/releases").json()["releases"]
    (live,) = [each["live"] for each in releases if each["model"] == "forest"]
    assert live["note"].startswith("read from a pickle; 20,000 rows are answered alike")


def test_a_refusal_reaches_the_caller(models: Models) -> None:
    class Own(LinearRegression):  # type: ignore[misc]
        pass

    models.log(
        Own().fit(HOMES, PRICE), "own code", mlflow.sklearn, serialization_format="cloudpickle"
    )
    models.promote("own code")
    wait_for(lambda: "refused" in models.ask("own code", {}).text, SECONDS)
    said = models.ask("own code", {})
    assert said.status_code == 503
    assert "own code: version 1 was refused: pickle" in said.json()["detail"]


def test_what_is_not_promoted_is_not_there(models: Models) -> None:
    name = "leaving"
    models.log(LinearRegression().fit(HOMES, PRICE), name, mlflow.sklearn, **SKOPS)
    assert models.ask(name, {}).status_code == 404
    models.promote(name)
    models.served(name, {"rooms": 2, "size m²": 50})
    models.client.set_registered_model_tag(name, "serve", "false")
    wait_for(lambda: models.ask(name, {}).status_code == 404, SECONDS)
    models.client.delete_registered_model_tag(name, "serve")
    models.served(name, {"rooms": 2, "size m²": 50})
    models.promote(name, stage="Archived")
    wait_for(lambda: models.ask(name, {}).status_code == 404, SECONDS)
    assert "Those that are" in models.ask(name, {}).json()["detail"]
    assert models.ask("contugas-anomaly", {}).status_code == 404  # it has a service of its own


def test_calls_as_mlflow_serves_them(models: Models) -> None:
    name = "as mlflow"
    model = LinearRegression().fit(HOMES, PRICE)
    models.log(model, name, mlflow.sklearn, **SKOPS)
    models.promote(name)
    models.served(name, {"rooms": 2, "size m²": 50})
    place = models.place(name, "invocations")
    rows = HOMES.head(3)
    bodies = [
        {"dataframe_split": rows.to_dict("split")},
        {"dataframe_records": rows.to_dict("records")},
        {"inputs": rows.to_dict("list")},
    ]
    for body in bodies:
        said = httpx.post(place, json=body).json()
        np.testing.assert_allclose(said["predictions"], model.predict(rows), rtol=1e-9)
    csv = {"content-type": "text/csv"}
    said = httpx.post(place, content=rows.to_csv(index=False), headers=csv).json()
    np.testing.assert_allclose(said["predictions"], model.predict(rows), rtol=1e-9)
    wrong = httpx.post(place, json={"instances": [{"rooms": "many", "size m²": 1}]})
    assert (wrong.status_code, wrong.json()["error_code"]) == (400, "BAD_REQUEST")
    xml = httpx.post(place, content=b"<a/>", headers={"content-type": "text/xml"})
    assert xml.status_code == 415
    assert httpx.get(models.place(name, "ping")).status_code == 200
    assert httpx.get(models.place("nobody", "ping")).status_code == 404


def test_calls_of_the_open_inference_protocol(models: Models) -> None:
    name = "as triton"
    model = LinearRegression().fit(HOMES.to_numpy(), PRICE)
    models.log(model, name, mlflow.sklearn, **SKOPS)
    models.promote(name)
    rows = HOMES.head(3).to_numpy()
    models.served(name, rows.tolist())
    base = f"{models.url}/v2/models/{quote(name)}"
    described = httpx.get(base).json()
    (tensor,) = described["inputs"]
    given = {"name": tensor["name"], "shape": [3, 2], "datatype": "FP64"}
    said = httpx.post(
        f"{base}/infer", json={"id": "7", "inputs": [given | {"data": rows.tolist()}]}
    )
    assert (said.json()["id"], said.json()["model_version"]) == ("7", "1")
    np.testing.assert_allclose(said.json()["outputs"][0]["data"], model.predict(rows), rtol=1e-9)

    given["parameters"] = {"binary_data_size": rows.nbytes}
    header = json.dumps({"inputs": [given], "parameters": {"binary_data_output": True}}).encode()
    length = "inference-header-content-length"
    said = httpx.post(
        f"{base}/infer", content=header + rows.tobytes(), headers={length: str(len(header))}
    )
    answer = np.frombuffer(said.content[int(said.headers[length]) :], np.float64)
    np.testing.assert_allclose(answer, model.predict(rows), rtol=1e-9)

    cut = httpx.post(
        f"{base}/infer", content=header + b"12345", headers={length: str(len(header))}
    )
    assert cut.status_code == 400
    assert "bytes of data are left" in cut.json()["error"]
    lying = httpx.post(f"{base}/infer", content=header, headers={length: "-1"})
    assert lying.status_code == 400
    assert httpx.get(f"{base}/ready").status_code == 200
    assert httpx.get(f"{base}/versions/2/ready").status_code == 404
    assert httpx.get(f"{models.url}/v2/health/ready").status_code == 200


def test_metrics_tell_the_memory_of_workers_and_models(models: Models) -> None:
    name = "weighed"
    model = RandomForestRegressor(30, random_state=0).fit(HOMES, PRICE)
    models.log(model, name, mlflow.sklearn, serialization_format="cloudpickle")
    models.promote(name)
    models.served(name, HOMES.head(2).to_dict("records"))

    def told() -> float:
        return value(models.url, "ascenso_model_memory_bytes", model=name)

    wait_for(lambda: told() > 0, SECONDS)
    (kept,) = models.home.glob(f"cache/**/{name}/**/verdict.json")
    assert told() == json.loads(kept.read_text())["memory"]
    workers = re.findall(
        r'ascenso_worker_memory_bytes{pid="(\d+)"} (\S+)',
        httpx.get(f"{models.url}/metrics").text,
    )
    assert workers
    for pid, size in workers:
        assert 0.8 < float(size) / psutil.Process(int(pid)).memory_info().rss < 1.25
