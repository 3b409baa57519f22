import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from bentos.settings import (
    CONFIGS,
    AdminSettings,
    CacheSettings,
    Channel,
    LimitSettings,
    RegistrySettings,
    ServiceSettings,
    Settings,
)
from bentos.settings.section import Section
from deploy.local import keys
from deploy.local.settings import ROOT


@pytest.fixture(autouse=True)
def _no_settings_around(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(("ASCENSO_", "MLFLOW_")):
            monkeypatch.delenv(name)


def test_the_files_say_what_holds_without_them() -> None:
    settings = Settings()
    assert settings.limits == LimitSettings()
    assert settings.registry == RegistrySettings()
    assert settings.services == ServiceSettings()
    assert settings.cache == CacheSettings()
    assert settings.admin == AdminSettings()
    assert settings.channels == {
        "default": Channel(stage="Production", aliases=["production", "champion"]),
        "prod.*": Channel(newest=True, aliases=["production", "champion"]),
    }


def test_every_setting_is_in_a_file() -> None:
    files = [path for path in CONFIGS.glob("*.yaml") if path.name != "training.yaml"]
    written = {
        name: keys for file in files for name, keys in yaml.safe_load(file.read_text()).items()
    }
    for name, field in Settings.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            assert written[name].keys() == field.annotation.model_fields.keys()


def test_secrets_are_those_that_the_local_stack_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = keys.ensure(tmp_path / "secrets.env")
    monkeypatch.setenv("ASCENSO_HOME", str(tmp_path))
    monkeypatch.setenv("ASCENSO_ADMIN_KEY", "another")
    settings = Settings()
    assert settings.security.secret.get_secret_value() == made["ASCENSO_SECURITY__SECRET"]
    assert settings.security.guarded == ["keras_api"]
    assert settings.webhook_secret.get_secret_value() == made["ASCENSO_WEBHOOK_SECRET"]
    assert settings.admin_key.get_secret_value() == "another"


def test_the_environment_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASCENSO_HOME", "elsewhere")
    monkeypatch.setenv("ASCENSO_LIMITS__BATCH_ROWS", "64")
    monkeypatch.setenv("ASCENSO_REGISTRY__POLL_SECONDS", "0.2")
    monkeypatch.setenv("ASCENSO_SERVICES__CORS_ORIGINS", '["https://app.example.com"]')
    settings = Settings()
    assert settings.home == Path("elsewhere")
    assert settings.limits.batch_rows == 64
    assert settings.limits.queue_rows == LimitSettings().queue_rows
    assert settings.registry.poll_seconds == 0.2
    assert settings.services.cors_origins == ["https://app.example.com"]


def test_the_address_of_mlflow_is_known_by_its_own_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert Settings().tracking_uri == "http://127.0.0.1:5000"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow:5000/")
    assert Settings().tracking_uri == "http://mlflow:5000"


@pytest.mark.parametrize(
    ("variable", "text", "place"),
    [
        ("ASCENSO_LIMITS__BATCHROWS", "64", "limits.batchrows"),
        ("ASCENSO_LIMITS__BATCH_ROWS", "many", "limits.batch_rows"),
        ("ASCENSO_LIMITS__BATCH_ROWS", "0", "limits.batch_rows"),
        ("ASCENSO_REGISTRY__ARTIFACTS", "ftp", "registry.artifacts"),
        ("ASCENSO_ADMISSION__UNSIGNED", "maybe", "admission.unsigned"),
        ("ASCENSO_REGISTRY__ARTIFACTS", "s3", "registry.s3_root"),
        ("ASCENSO_REGISTRY__FILE", ".", "registry.file"),
    ],
)
def test_a_wrong_variable_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str, place: str
) -> None:
    monkeypatch.setenv("ASCENSO_REGISTRY__URI", "http://a:hunter2@mlflow")
    monkeypatch.setenv(variable, text)
    with pytest.raises(ValidationError) as refused:
        Settings()
    (error,) = refused.value.errors()
    assert "hunter2" not in str(refused.value)
    assert place in (".".join(map(str, error["loc"])), *error["msg"].split())


def test_an_empty_file_of_the_registry_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty path would be this folder, which nobody writes to: promotions came 30 s late."""
    monkeypatch.setenv("ASCENSO_REGISTRY__FILE", "")
    assert Settings().registry.file is None


@pytest.mark.parametrize(
    ("workers", "given", "megabytes"), [(1, "", 819), (2, "", 512), (2, "99", 99)]
)
def test_a_version_has_its_share_of_the_memory(
    monkeypatch: pytest.MonkeyPatch, workers: int, given: str, megabytes: int
) -> None:
    """Live, before and candidate of each worker, and the judging, fit in 4 GiB together."""
    monkeypatch.setattr("bentos.settings.allowed", lambda: 4 * 2**30)
    monkeypatch.setenv("ASCENSO_SERVICES__WORKERS", str(workers))
    if given:
        monkeypatch.setenv("ASCENSO_ADMISSION__MEMORY_MB", given)
    assert Settings().version_mb == megabytes


def test_a_model_follows_its_own_channel_or_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    channels = '{"default": {"stage": "Staging"}, "one": {"alias": "champion"}}'
    monkeypatch.setenv("ASCENSO_CHANNELS", channels)
    settings = Settings()
    assert settings.channel("one") == Channel(alias="champion")
    assert str(settings.channel("one")) == "alias champion"
    assert str(settings.channel("other")) == "stage Staging"


@pytest.mark.parametrize(
    "channel", ["{}", '{"stage": "Production", "alias": "champion"}', '{"stage": "production"}']
)
def test_a_channel_is_one_stage_or_one_alias(
    monkeypatch: pytest.MonkeyPatch, channel: str
) -> None:
    monkeypatch.setenv("ASCENSO_CHANNELS", f'{{"one": {channel}}}')
    with pytest.raises(ValidationError, match=r"channels\.one"):
        Settings()


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("limits: {batchrows: 64}", "limits.batchrows"),
        ("limitations: {batch_rows: 64}", "limitations"),
        ("channels: {default: {stage: Production, alias: champion}}", "channels.default"),
    ],
)
def test_a_wrong_file_stops_the_start(tmp_path: Path, text: str, place: str) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    start = subprocess.run(
        [sys.executable, "-c", "from bentos.settings import settings; settings()"],
        env=os.environ | {"ASCENSO_CONFIGS": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert start.returncode != 0
    assert f"\n{place}\n" in start.stderr


@pytest.mark.parametrize(
    "file",
    ["docker-compose.yml", "deploy/systemd/services.env"],
)
def test_who_may_only_register_moves_nothing_in_a_company(
    monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    found = re.findall(r"ASCENSO_CHANNELS[:=] ?'?(\{.*\})", (ROOT / file).read_text())
    (channels,) = set(found)
    monkeypatch.setenv("ASCENSO_CHANNELS", channels)
    for model in ("wine", "prod.wine"):
        assert Settings().channel(model) == Channel(stage="Production")


@pytest.mark.parametrize(
    ("model", "channel"),
    [
        ("prod.wine", "newest version"),
        ("prod.team.wine", "newest version"),
        ("prod.one", "alias live-one"),
        ("production", "stage Production"),
    ],
)
def test_a_name_wins_over_a_pattern(
    monkeypatch: pytest.MonkeyPatch, model: str, channel: str
) -> None:
    monkeypatch.setenv("ASCENSO_CHANNELS", '{"prod.one": {"alias": "live-one"}}')
    found = Settings().channel(model)
    assert str(found) == channel
    assert str(Channel.parse(channel)) == channel
