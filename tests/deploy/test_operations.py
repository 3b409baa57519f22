"""docs/operations.md and docs/kubernetes.md name what exists."""

import re

import pytest

from bentos.cli import main
from deploy.local.settings import ROOT
from tests.deploy.environment import ENVIRONMENT

PAGE = "".join((ROOT / "docs" / f"{n}.md").read_text() for n in ("operations", "kubernetes"))
PATHS = set(re.findall(r"(?<!/)\b(?:deploy|mlflow|configs|tests)/[\w./-]*\w", PAGE))


@pytest.mark.parametrize("path", sorted(PATHS))
def test_every_path_exists(path: str) -> None:
    assert (ROOT / path).exists()


def test_every_command_exists() -> None:
    named = set(re.findall(r"`ascenso ([a-z]+)", PAGE))
    commands: set[str] = set(main.commands)
    assert {"rollback", "promote", "status"} <= named & commands
    assert named <= commands


def test_every_variable_is_read_by_something() -> None:
    named = set(re.findall(r"\b(?:MLFLOW|ASCENSO|AWS|PG)_?[A-Z_]{2,}[A-Z]\b(?![*_])", PAGE))
    assert "PGPASSWORD" in named
    assert named - ENVIRONMENT - {"ASCENSO_HOME"} == set()
