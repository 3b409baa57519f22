import asyncio
import os
from pathlib import Path

import pytest

from deploy.local.errors import LocalError
from deploy.local.families import FAMILIES, Family, in_production, train
from tests.stack import Stack


def test_the_registry_is_asked(stack: Stack) -> None:
    for family in FAMILIES:
        assert asyncio.run(in_production(stack.mlflow, family.model))
    assert not asyncio.run(in_production(stack.mlflow, "no-such-model"))


def test_a_failed_training_shows_its_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "training.log"
    with pytest.raises(LocalError, match=r"(?s)training of nothing failed.*No module named") as e:
        asyncio.run(train(Family("nothing", "no-model"), os.environ, log))
    assert str(log) in str(e.value)
    assert "No module named" in capsys.readouterr().out
