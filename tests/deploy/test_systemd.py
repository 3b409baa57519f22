"""deploy/systemd: judged by systemd-analyze, and by what the units name."""

import re
from pathlib import Path

import pytest

from deploy.local.settings import ROOT
from tests.deploy.environment import ENVIRONMENT
from tests.deploy.judges import judge

FOLDER = ROOT / "deploy" / "systemd"
UNITS = sorted(FOLDER.glob("*.service"))
EACH = pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)


def values(unit: Path, key: str) -> list[str]:
    return re.findall(rf"^{key}=(.*)$", unit.read_text(), re.M)


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    """As installed, but for the folder: so it also looks for what they run."""
    copies = [tmp_path / unit.name for unit in UNITS]
    for unit, copy in zip(UNITS, copies, strict=True):
        copy.write_text(unit.read_text().replace("/opt/ascenso", str(ROOT)))
    complaints = judge("systemd-analyze", "verify", "--man=no", "--recursive-errors=one", *copies)
    assert complaints == ""


def test_a_wrong_unit_is_found(tmp_path: Path) -> None:
    (tmp_path / "wrong.service").write_text("[Service]\nExecStart=/no/such/file\n")
    with pytest.raises(AssertionError, match="/no/such/file"):
        judge("systemd-analyze", "verify", "--man=no", tmp_path / "wrong.service")


@EACH
def test_the_units_are_hardened(unit: Path) -> None:
    """systemd's own exposure, from 0.0 to 10.0; a unit without any of it has 9.6."""
    judge("systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager", unit)


@EACH
def test_a_unit_gets_only_secrets_that_are_made(unit: Path) -> None:
    made = (ROOT / "deploy/compose/keys.sh").read_text()
    for credential in values(unit, "LoadCredential"):
        name, _, path = credential.partition(":")
        assert path.startswith("/etc/ascenso/secrets/")
        assert re.search(rf"\b{Path(path).name}\b", made)
        assert name in ENVIRONMENT
    assert values(unit, "LoadCredential")
    assert values(unit, "ExecStart")[0].startswith("/opt/ascenso/deploy/images/secrets.sh ")
    assert values(unit, "MemoryMax")
    assert values(unit, "Restart")


@pytest.mark.parametrize("name", ["mlflow", "services"])
def test_every_variable_is_read_by_something(name: str) -> None:
    unit = FOLDER / f"ascenso-{name}.service"
    assert values(unit, "EnvironmentFile") == [f"/etc/ascenso/{name}.env"]
    given = set(re.findall(r"^#? ?([A-Z_]+)=", (FOLDER / f"{name}.env").read_text(), re.M))
    assert "AWS_ENDPOINT_URL" in given
    assert given - ENVIRONMENT == set()


def test_the_services_have_the_keys_of_all_of_them() -> None:
    given = dict(
        c.split(":") for c in values(FOLDER / "ascenso-services.service", "LoadCredential")
    )
    assert {"ASCENSO_SECURITY__SECRET", "ASCENSO_ADMIN_KEY"} <= given.keys()
    assert "MLFLOW_TRACKING_USERNAME=forecaster\n" in (FOLDER / "services.env").read_text()
    assert given["MLFLOW_TRACKING_PASSWORD"].endswith("/MLFLOW_PASSWORD_FORECASTER")
