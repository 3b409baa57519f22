"""Calls by every door are recorded in S3; a version is replayed on them, refused, and measured."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import bentoml
import httpx
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tritonclient.grpc import InferenceServerClient, InferInput

import mlflow
from bentos.cli import main
from bentos.recording.calls import Recorded, recorded
from bentos.recording.reader import newest
from bentos.recording.store import Store
from bentos.settings import settings
from tests.models.conftest import RECORDINGS, Models
from tests.stack import wait_for

NAME = "recorded wine"
DAWN = datetime(2000, 1, 1, tzinfo=UTC)
X, Y = load_wine(return_X_y=True, as_frame=True)
X = X[["alcohol", "color_intensity", "proline"]]
ROWS: list[Any] = X.head(3).to_dict("records")
ANSWERS = [0, 0, 0]
Ascenso = Callable[..., Result]


@pytest.fixture(scope="module")
def environment(models: Models) -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in models.s3.env.items():
            patch.setenv(name, value)
        yield patch


@pytest.fixture
def ascenso(environment: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Ascenso]:
    def run(*arguments: str, **more: str) -> Result:
        env = {"ASCENSO_RECORDING__URI": RECORDINGS, "ASCENSO_HOME": str(tmp_path)} | more
        settings.cache_clear()
        return CliRunner().invoke(main, arguments, env=env)

    yield run
    settings.cache_clear()


@pytest.fixture(scope="module")
def served(models: Models, environment: pytest.MonkeyPatch) -> str:
    """The route of version 1; version 2 calls everything the label after."""
    for shift in (0, 1):
        model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, (Y + shift) % 3)
        models.log(model, NAME, mlflow.sklearn, serialization_format="skops", input_example=X[:2])
    models.promote(NAME)
    assert models.served(NAME, ROWS) == [{"prediction": label} for label in ANSWERS]
    return models.place(NAME, "")


def kept(request: str) -> list[Recorded]:
    tables = newest(Store(RECORDINGS), NAME, DAWN, 10_000)
    return [one for one in map(recorded, tables) if request in one.requests]


def by_rows(models: Models, headers: dict[str, str]) -> Any:
    return httpx.post(models.place(NAME, "predict"), json=ROWS, headers=headers)


def by_mlflow(models: Models, headers: dict[str, str]) -> Any:
    body = {"dataframe_records": ROWS}
    return httpx.post(models.place(NAME, "invocations"), json=body, headers=headers)


def by_v2(models: Models, headers: dict[str, str]) -> Any:
    inputs = [
        {"name": name, "datatype": "FP64", "shape": [3], "data": X[name][:3].tolist()}
        for name in X
    ]
    path = f"{models.url}/v2/models/{NAME}/infer"
    return httpx.post(path, json={"inputs": inputs}, headers=headers)


def by_grpc(models: Models, headers: dict[str, str]) -> Any:
    inputs = []
    for name in X:
        tensor = InferInput(name, [3], "FP64")
        tensor.set_data_from_numpy(X[name][:3].to_numpy(np.float64))
        inputs.append(tensor)
    with InferenceServerClient(models.grpc) as client:
        return client.infer(NAME, inputs, headers=headers)


def by_bentoml(models: Models, headers: dict[str, str]) -> Any:
    with bentoml.SyncHTTPClient(models.url) as client:
        client.client.headers.update(headers)
        return client.predict(name=NAME, rows=ROWS)


@pytest.mark.parametrize("door", [by_rows, by_mlflow, by_v2, by_grpc, by_bentoml])
def test_a_call_by_any_door_is_recorded(
    door: Callable[[Models, dict[str, str]], Any], models: Models, served: str
) -> None:
    name = f"id-{door.__name__}"
    answer = door(models, {"x-request-id": name})
    assert getattr(answer, "status_code", 200) == 200
    wait_for(lambda: kept(name), 60)
    (found,) = kept(name)
    own = [at for at, request in enumerate(found.requests) if request == name]
    assert [found.rows[at] for at in own] == [0, 1, 2]
    assert {found.versions[at] for at in own} == {"1"}
    for column in X:
        assert found.inputs[column][own].tolist() == X[column][:3].tolist()
    assert found.answers["prediction"][own].tolist() == ANSWERS


def test_what_is_recorded_and_what_is_lost_is_counted(models: Models, served: str) -> None:
    def counted() -> float:
        text = httpx.get(f"{models.url}/metrics").text
        lines = [line for line in text.splitlines() if line.startswith("ascenso_recorded_rows_t")]
        assert not any("lost_rows_total{" in line for line in text.splitlines())
        return sum(float(line.rpartition(" ")[2]) for line in lines)

    before = counted()
    by_rows(models, {})
    wait_for(lambda: counted() == before + 3, 60)


def test_a_version_is_replayed_and_its_run_has_the_report(
    models: Models, served: str, ascenso: Ascenso
) -> None:
    by_rows(models, {"x-request-id": "replayed"})
    wait_for(lambda: kept("replayed"), 60)
    same = json.loads(ascenso("replay", NAME, "1", "--json").stdout)
    assert same["differing"] == 0
    assert same["rows"] >= 3
    result = ascenso("replay", NAME, "2", "--against", "1")
    assert result.exit_code == 0, result.output
    rows = same["rows"]
    assert f"{rows} rows, asked from" in result.output
    assert f"0 equal, {rows} differ (100.0%)" in result.output
    run = str(models.client.get_model_version(NAME, "2").run_id)
    files = [file.path for file in models.client.list_artifacts(run, "replay")]
    assert [Path(file).suffix for file in files] == [".json", ".png"]


def test_an_admission_refuses_what_answers_otherwise(
    models: Models, served: str, ascenso: Ascenso
) -> None:
    by_rows(models, {"x-request-id": "admitted"})
    wait_for(lambda: kept("admitted"), 60)
    refused = ascenso("admit", NAME, "2", ASCENSO_ADMISSION__REPLAY="7d")
    assert refused.exit_code == 1
    assert "was refused: replay: " in refused.output
    assert "admission.replay_differing is 20.0%" in refused.output
    assert "#0 (prediction: 0, now 1)" in refused.output
    replayed = ascenso("replay", NAME, "2", ASCENSO_ADMISSION__REPLAY="7d")
    assert "differ (100.0%)" in replayed.output
    assert ascenso("admit", NAME, "1", ASCENSO_ADMISSION__REPLAY="7d").exit_code == 0
    lenient = {"ASCENSO_ADMISSION__REPLAY": "7d", "ASCENSO_ADMISSION__REPLAY_DIFFERING": "1"}
    assert ascenso("admit", NAME, "2", **lenient).exit_code == 0


def test_the_truth_is_joined_later(
    models: Models, served: str, ascenso: Ascenso, tmp_path: Path
) -> None:
    by_rows(models, {"x-request-id": "labelled"})
    wait_for(lambda: kept("labelled"), 60)
    file = tmp_path / "truths.csv"
    pd.DataFrame({"request": "labelled", "row": [0, 1, 2], "truth": [0, 0, 2]}).to_csv(file)
    result = ascenso("label", str(file), "--model", NAME, "--json")
    assert result.exit_code == 0, result.output
    (day,) = json.loads(result.stdout)["days"]
    assert (day["version"], day["rows"]) == ("1", 3)
    assert day["metrics"]["accuracy"] == pytest.approx(2 / 3)
    run = str(models.client.get_model_version(NAME, "1").run_id)
    files = [file.path for file in models.client.list_artifacts(run, "truth")]
    assert files == ["truth/metrics.json", "truth/metrics.png"]
    assert any(name.endswith("metrics.json") for name in Store(RECORDINGS).names("truth"))
    page = f"{models.url}/console/models/{quote(NAME)}"
    wait_for(lambda: "Held against the truth" in httpx.get(page, timeout=60).text, 60)
    assert f"{day['day']}, version 1: 0.667 over 3 rows" in httpx.get(page, timeout=60).text


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("replay", NAME, "1", "--since", "soon"), 2, "write it as 7d, 12h or 30m"),
        (("replay", NAME, "1", "--recordings", "/nowhere"), 1, "no rows of recorded wine"),
        (("replay", NAME, "9"), 1, "9"),
        (("replay", NAME, "1", "--recordings", "s3://no-such-bucket/x"), 2, "cannot list"),
        (("label", __file__, "--model", NAME), 1, "cannot be read"),
    ],
)
def test_commands_that_cannot(
    arguments: tuple[str, ...], code: int, words: str, served: str, ascenso: Ascenso
) -> None:
    result = ascenso(*arguments)
    assert result.exit_code == code, result.output
    assert words in " ".join(result.output.split())


def test_without_a_place_nothing_is_replayed(served: str, ascenso: Ascenso) -> None:
    result = ascenso("replay", NAME, "1", ASCENSO_RECORDING__URI="")
    assert "recording.uri says no place" in result.output
