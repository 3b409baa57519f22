"""`ascenso import`: contugas' first files, brought all the way to answers."""

import json
import os
from pathlib import Path

import boto3
import httpx
import numpy as np
import pandas as pd
import pytest
from dotenv import dotenv_values

from tests.cli import contugas_files
from tests.cli.conftest import Ascenso
from tests.cli.versions import MODEL, READING, Versions, answering
from tests.stack import Stack

BUCKET = "ascenso"
AT_ONCE = 2_500


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files, and a table beside it."""
    folder = tmp_path_factory.mktemp("contugas") / "models"
    contugas_files.write(folder).to_csv(folder.with_name("readings.csv"), index=False)
    return folder


@pytest.fixture(scope="module")
def uploaded(stack: Stack, layout: Path) -> dict[str, str]:
    """The variables of a shell that sees the files in the stack's bucket."""
    keys = dotenv_values(stack.home / "secrets.env", interpolate=False)
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    variables = {name: str(keys[name]) for name in names}
    variables |= {"AWS_ENDPOINT_URL": stack.settings.s3, "AWS_DEFAULT_REGION": "us-east-1"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        client = boto3.Session().client("s3")
        for file in layout.iterdir():
            client.upload_file(str(file), BUCKET, f"old/{file.name}")
        client.close()
    return variables


def test_the_first_layout_answers_as_it_did(
    stack: Stack, ascenso: Ascenso, versions: Versions, layout: Path, uploaded: dict[str, str]
) -> None:
    table = str(layout.with_name("readings.csv"))
    result = ascenso(
        "import", f"s3://{BUCKET}/old/", "--as", MODEL, "--input", table, "--json", **uploaded
    )
    assert result.exit_code == 0, result.output
    outcome = json.loads(result.stdout)
    assert len(outcome["found"]) == 7
    assert {tuple(one["written_by"]) for one in outcome["found"]} == {("scikit-learn 1.9.1",)}
    assert versions.get(outcome["version"])["current_stage"] == "None"
    promoted = ascenso("promote", MODEL, outcome["version"])
    assert promoted.exit_code == 0, promoted.output
    assert answering(stack) == outcome["version"]
    rows = readings(layout)
    expected = contugas_files.answers(layout, rows)
    assert len(np.unique(expected, axis=0)) == 10
    np.testing.assert_array_equal(asked(stack, rows), expected)


def readings(layout: Path) -> pd.DataFrame:
    """10,000 readings, the README's first: those of the table, and others far from them."""
    table = pd.read_csv(layout.with_name("readings.csv"))[contugas_files.FEATURES]
    table = table.set_axis(contugas_files.ORDER, axis=1)
    rng = np.random.default_rng(7)
    strange = rng.uniform([-5, -20, -50], [30, 60, 500], (4_999, 3))
    first = pd.DataFrame([READING])
    some = table.sample(5_000, random_state=7)
    return pd.concat(
        [first, some, pd.DataFrame(strange, columns=table.columns)], ignore_index=True
    )


def asked(stack: Stack, rows: pd.DataFrame) -> "np.ndarray[tuple[int, ...], np.dtype[np.int64]]":
    """What the service says of them."""
    found: list[list[int]] = []
    for start in range(0, len(rows), AT_ONCE):
        body = rows.iloc[start : start + AT_ONCE].to_dict("records")
        answer = httpx.post(f"{stack.api}/contugas/predict", json=body, timeout=60)
        found += [list(one.values()) for one in answer.raise_for_status().json()]
    return np.array(found)


def test_a_single_file_of_a_bucket(
    ascenso: Ascenso, layout: Path, uploaded: dict[str, str]
) -> None:
    table = ("--input", str(layout.with_name("readings.csv")), "--as", "never", "--dry-run")
    result = ascenso("import", f"s3://{BUCKET}/old/scaler.joblib", *table, **uploaded)
    assert result.exit_code == 1
    assert "scaler.joblib holds a StandardScaler, which predicts nothing" in result.stderr
    lost = ascenso("import", f"s3://{BUCKET}/lost.joblib", *table, **uploaded)
    assert lost.exit_code == 1
    assert "There is no file lost.joblib" in lost.stderr


def test_a_dry_run_registers_nothing(
    stack: Stack, ascenso: Ascenso, layout: Path, tmp_path: Path
) -> None:
    table = str(layout.with_name("readings.csv"))
    result = ascenso("import", str(layout), "--as", "never", "--input", table, "--dry-run")
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[-1] == "never was not registered: --dry-run"
    query = f"{stack.mlflow}/api/2.0/mlflow/registered-models/get?name=never"
    assert httpx.get(query, timeout=60).status_code == 404


@pytest.mark.parametrize(
    ("lacking", "words"),
    [
        ("modelo_cluster_3_prod.joblib", "clusters [0, 1, 2, 3, 4], and there are [0, 1, 2, 4]"),
        ("kmeans_model.joblib", "There must be one model"),
    ],
)  # fmt: skip
def test_a_layout_that_is_not_whole(
    ascenso: Ascenso, layout: Path, tmp_path: Path, lacking: str, words: str
) -> None:
    for file in layout.iterdir():
        if file.name != lacking:
            os.link(file, tmp_path / file.name)
    table = str(layout.with_name("readings.csv"))
    result = ascenso("import", str(tmp_path), "--as", MODEL, "--input", table)
    assert result.exit_code == 1
    assert words in result.stderr


def test_nobody_at_the_registry(ascenso: Ascenso, layout: Path) -> None:
    table = str(layout.with_name("readings.csv"))
    nobody = ("--registry", "http://127.0.0.1:1")
    result = ascenso("import", str(layout), "--as", "never", "--input", table, *nobody)
    assert result.exit_code == 2
    assert "make up" in result.stderr
