"""The role and the database of the shared ledger, made by the script that PostgreSQL runs."""

import os
import subprocess
from pathlib import Path

import pytest

from bentos.promotion.postgres import SharedAway
from bentos.promotion.shared import Shared
from deploy.local.settings import ROOT
from tests.postgres import find, postgres

SCRIPT = ROOT / "deploy" / "helm" / "ascenso" / "files" / "ledger.sh"


def test_the_ledgers_role_owns_its_database_alone(tmp_path: Path) -> None:
    secret = tmp_path / "LEDGER_PASSWORD"
    secret.write_text("it's $ecret")
    with postgres() as server:
        given = {
            "POSTGRES_USER": "mlflow",
            "POSTGRES_DB": "mlflow",
            "LEDGER_PASSWORD_FILE": str(secret),
            "PATH": f"{Path(find('psql')).parent}:{os.environ['PATH']}",
        }
        for _ in range(2):  # the second time it finds both
            subprocess.run(["sh", str(SCRIPT)], env=os.environ | server.env() | given, check=True)
        where = f"@127.0.0.1:{server.port}"
        shared = Shared(f"postgresql://ledger:it%27s%20%24ecret{where}/ledger")
        assert shared.wish("here") == shared.wished() == 1
        shared.close()
        with pytest.raises(SharedAway, match="password authentication failed") as refused:
            Shared(f"postgresql://ledger:wrong-secret{where}/ledger").wished()
        assert "wrong-secret" not in str(refused.value)
