"""What deploy.accounts refuses; what it does is in test_mlflow_company.py."""

from pathlib import Path

import pytest

from deploy.accounts import AccountError, main, password, read
from deploy.local.settings import ROOT

FILE = ROOT / "mlflow" / "accounts.yaml"
ADMIN = ("MLFLOW_TRACKING_URI", "MLFLOW_AUTH_ADMIN_USERNAME", "MLFLOW_AUTH_ADMIN_PASSWORD")


def test_every_role_says_what_it_may_do_with_versions() -> None:
    """Without that, whoever makes a model may promote it."""
    accounts = read(FILE)
    assert all("registered_model_version" in grants for grants in accounts.roles.values())
    assert accounts.roles["trainer"]["registered_model_version"] == "READ"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("roles: {}\nusers: {ana: [boss]}", "ana has the unknown role boss"),
        ("roles: {}\nuser: {}", "user"),
        ("roles: [", "accounts.yaml"),
    ],
)
def test_a_wrong_file_is_named(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "accounts.yaml").write_text(text)
    with pytest.raises(AccountError, match=said):
        read(tmp_path / "accounts.yaml")


def test_the_missing_password_is_named() -> None:
    assert password("a-b", {"MLFLOW_PASSWORD_A_B": "secret"}) == "secret"
    with pytest.raises(AccountError, match="MLFLOW_PASSWORD_A_B is not set"):
        password("a-b", {"MLFLOW_PASSWORD_A_B": ""})


@pytest.mark.parametrize("missing", ADMIN)
def test_a_missing_variable_is_named(
    missing: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ADMIN:
        monkeypatch.setenv(name, "" if name == missing else "http://127.0.0.1:9")
    assert main([str(FILE)]) == 1
    assert capsys.readouterr().err == f"{missing} is not set\n"
