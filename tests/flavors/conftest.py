"""A model that a version holds."""

from pathlib import Path
from typing import Any

import pytest

from bentos.flavors import opening
from bentos.flavors.opened import Opened
from bentos.flavors.opening import open_model
from tests.flavors.versions import version


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Opens a model as if its file had been read."""

    def held(model: object, *args: Any, **more: Any) -> Opened:
        monkeypatch.setattr(opening, "_sklearn", lambda _, **__: opening.Found(model))
        return open_model(version(tmp_path, *args, **more))

    return held
