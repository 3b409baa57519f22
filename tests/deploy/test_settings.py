from pathlib import Path

import pytest

from deploy.local.errors import LocalError
from deploy.local.settings import ROOT, load


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "PORT", "GRPC_PORT", "MLFLOW_PORT", "S3_PORT"):
        monkeypatch.delenv(f"ASCENSO_{name}", raising=False)


def test_defaults() -> None:
    settings = load()
    assert settings.home == ROOT / ".ascenso"
    assert settings.api == "http://127.0.0.1:3000"
    assert settings.grpc == "127.0.0.1:8001"
    assert settings.mlflow == "http://127.0.0.1:5000"
    assert settings.s3 == "http://127.0.0.1:9000"


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ASCENSO_HOME", "state")
    monkeypatch.setenv("ASCENSO_MLFLOW_PORT", "5001")
    settings = load()
    assert settings.secrets == tmp_path / "state" / "secrets.env"
    assert settings.ports["ASCENSO_MLFLOW_PORT"] == 5001


@pytest.mark.parametrize("name", ["ASCENSO_PORT", "ASCENSO_MLFLOW_PORT", "ASCENSO_S3_PORT"])
@pytest.mark.parametrize("value", ["", "abc", "0", "-1", "65536", "30.5"])
def test_a_wrong_port_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(LocalError, match=rf"^{name} has value '{value}'\. "):
        load()


def test_an_empty_home_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASCENSO_HOME", "")
    with pytest.raises(LocalError, match=r"ASCENSO_HOME has value ''\. Name the folder"):
        load()


def test_all_wrong_values_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASCENSO_PORT", "x")
    monkeypatch.setenv("ASCENSO_S3_PORT", "y")
    with pytest.raises(LocalError, match=r"(?s)ASCENSO_PORT.*ASCENSO_S3_PORT"):
        load()


def test_two_servers_cannot_share_a_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASCENSO_S3_PORT", "3000")
    with pytest.raises(LocalError, match="ASCENSO_PORT and ASCENSO_S3_PORT are both 3000"):
        load()
