"""The command line, against a real MLflow server."""

import logging
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from mlflow import MlflowClient
from tests.training.itransformer.conftest import SMALL
from training.data import Dataset
from training.itransformer.__main__ import main
from training.itransformer.train import fetch, serving


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


@pytest.fixture
def csv(tmp_path: Path, made: Dataset) -> str:
    path = tmp_path / "plant.csv"
    made.table.to_csv(path, index=False)
    return str(path)


def test_without_a_command_it_makes_the_demo(
    registry: MlflowClient, config: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "training")
    result = invoke("--promote", "--config", config)
    assert result.exit_code == 0, result.output
    version = registry.get_model_version("itransformer-demo", "1")
    assert version.current_stage == "Production"
    run = registry.get_run(str(version.run_id))
    assert run.data.tags["ascenso.data"] == "synthetic"
    assert run.data.params["epochs"] == "3"
    for key in ("train_loss", "val_loss"):
        history = registry.get_metric_history(run.info.run_id, key)
        assert [metric.step for metric in history] == [1, 2, 3]
    errors = {f"{part}_{error}" for part in ("val", "test") for error in ("mse", "mae")}
    naive = {f"naive.{name}" for name in errors}
    kept = {f"test_coverage_{percent}" for percent in (50, 80, 90)}  # of 16 windows
    assert run.data.metrics.keys() == errors | naive | kept | {"train_loss", "val_loss"}
    figures = [item.path for item in registry.list_artifacts(run.info.run_id, "figures")]
    assert figures == ["figures/forecasts.png", "figures/losses.png"]
    assert "Epoch 3: train" in caplog.text


def test_fine_tuning_makes_a_new_version_with_the_stored_scaler(
    registry: MlflowClient, config: str, csv: str, made: Dataset, tmp_path: Path
) -> None:
    assert invoke("train", "--name", "plant", "--data", csv, "--config", config).exit_code == 0
    before = fetch(serving("plant"))
    later = made.table.assign(carga=made.table["carga"] * 3)[
        ["date", "humedad", "temperatura", "carga"]
    ]
    other = tmp_path / "later.csv"
    later.to_csv(other, index=False)
    result = invoke("fine-tune", "--name", "plant", "--data", str(other), "--config", config)
    assert result.exit_code == 0, result.output
    first, second = sorted(
        registry.search_model_versions("name='itransformer-plant'"), key=lambda v: int(v.version)
    )
    run = registry.get_run(str(second.run_id))
    assert run.data.tags["ascenso.fine_tuned_from"] == f"itransformer-plant/{first.version}"
    settings = {key: run.data.params[key] for key in ("epochs", "batch_size", "learning_rate")}
    assert settings == {"epochs": "2", "batch_size": "8", "learning_rate": "1e-05"}
    after = fetch(second)
    assert after.config == before.config
    moved = after.network.embed.weight - before.network.embed.weight
    assert 0 < moved.detach().abs().max().item() < 1e-2


def test_fine_tuning_goes_on_from_production(
    registry: MlflowClient, config: str, csv: str
) -> None:
    arguments = ("train", "--name", "served", "--data", csv, "--config", config)
    assert invoke(*arguments, "--promote").exit_code == 0
    assert invoke(*arguments).exit_code == 0
    assert invoke("fine-tune", *arguments[1:]).exit_code == 0
    newest = registry.get_model_version("itransformer-served", "3")
    tags = registry.get_run(str(newest.run_id)).data.tags
    assert tags["ascenso.fine_tuned_from"] == "itransformer-served/1"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--data", "plant.csv"), "Give --name with --data"),
        (("train", "--name", "a b"), "The model name is 'a b'"),
        (("--data", "no.csv", "--name", "x"), "Cannot read no.csv"),
        (("benchmark", "--data", "no.csv"), "Cannot read no.csv"),
        (("benchmark", "--data", "no.csv", "--pred-len", "97"), "'97' is not one of"),
    ],
)
def test_bad_options_end_with_one_line(arguments: tuple[str, ...], message: str) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.output


def test_an_unknown_model_is_not_fine_tuned(registry: MlflowClient, config: str, csv: str) -> None:
    result = invoke("fine-tune", "--name", "nobody", "--data", csv, "--config", config)
    assert result.exit_code == 2
    assert "There is no model 'nobody': train it first" in result.stderr


def test_other_steps_and_columns_are_not_fine_tuned(
    registry: MlflowClient, config: str, csv: str, made: Dataset, tmp_path: Path
) -> None:
    assert invoke("train", "--name", "strict", "--data", csv, "--config", config).exit_code == 0
    other = str(tmp_path / "other.csv")
    made.table.iloc[::2].to_csv(other, index=False)
    result = invoke("fine-tune", "--name", "strict", "--data", other, "--config", config)
    assert "has a row every 2h; the model was trained on one every h" in result.stderr
    made.table.rename(columns={"carga": "load"}).to_csv(other, index=False)
    result = invoke("fine-tune", "--name", "strict", "--data", other, "--config", config)
    assert "has the columns load, temperatura, humedad; the model's are carga" in result.stderr


def test_a_short_benchmark_row(ett: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The paper's split and its errors of the last value; the training itself takes minutes."""
    from training.itransformer import benchmark

    quick = benchmark.paper_recipe(96, 1)
    monkeypatch.setattr(
        benchmark,
        "paper_recipe",
        lambda pred_len, *_: type(quick)(
            pred_len=pred_len, d_model=8, n_heads=2, e_layers=1, d_ff=8, epochs=1, batch_size=512
        ),
    )
    picture = tmp_path / "bands.png"
    result = invoke("benchmark", "--data", ett, "--pred-len", "96", "--picture", str(picture))
    assert result.exit_code == 0, result.output
    assert picture.read_bytes().startswith(b"\x89PNG")
    lines = [line.strip("|") for line in result.stdout.strip().splitlines()]
    cells, _, late = ([cell.strip() for cell in lines[at].split("|")] for at in (2, -2, -1))
    assert late[0] == "earlier rows, too"
    for level, kept in zip((50, 80, 90, 95), late[1::2], strict=True):
        assert float(kept.rstrip("%")) == pytest.approx(level, abs=2)
    assert cells[0] == "96"
    assert np.isfinite(float(cells[2]))
    assert cells[4:8] == ["0.386", "0.405", "1.294", "0.713"]


def test_the_usual_settings_are_the_contracts() -> None:
    from training.itransformer.settings import Settings
    from training.settings import read_settings

    settings = read_settings("itransformer", Settings)
    assert (settings.recipe.seq_len, settings.recipe.pred_len) == (96, 24)
    tuning = settings.fine_tuning
    assert (tuning.epochs, tuning.batch_size, tuning.learning_rate) == (2, 8, 1e-5)
    assert SMALL.patience == settings.recipe.patience == 3
