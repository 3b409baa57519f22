from pathlib import Path
from types import SimpleNamespace

import pytest

from bentos.memory import allowed
from deploy.local import memory
from deploy.local.keys import MAKERS
from deploy.local.servers import services
from deploy.local.settings import Settings

GB = 1024**3


@pytest.mark.parametrize(
    ("machine", "container", "workers"),
    [(16, "max", 2), (3, "max", 1), (16, str(3 * GB), 1), (16, str(8 * GB), 2), (16, "", 2)],
)
def test_two_workers_where_memory_allows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, machine: int, container: str, workers: int
) -> None:
    free = SimpleNamespace(available=machine * GB, total=machine * GB)
    monkeypatch.setattr("psutil.virtual_memory", lambda: free)
    monkeypatch.setattr("bentos.memory.CGROUPS", tmp_path)
    monkeypatch.setattr("bentos.memory.OWN", tmp_path / "none")
    if container:
        (tmp_path / "memory.max").write_text(f"{container}\n")
    assert memory.workers() == workers


def test_the_smallest_group_around_a_process_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bentos.memory.CGROUPS", tmp_path)
    monkeypatch.setattr("bentos.memory.OWN", tmp_path / "own")
    (tmp_path / "own").write_text("4:memory:/old\n0::/ascenso.slice/serve.service\n")
    unit = tmp_path / "ascenso.slice" / "serve.service"
    unit.mkdir(parents=True)
    (unit / "memory.max").write_text("max\n")
    (unit.parent / "memory.max").write_text("1000\n")
    assert allowed() == 1000
    (unit / "memory.max").write_text("999\n")
    assert allowed() == 999


def test_the_users_own_number_wins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    keys = {name: make() for name, make in MAKERS.items()}
    monkeypatch.setattr(memory, "workers", lambda: 2)
    monkeypatch.delenv("ASCENSO_SERVICES__WORKERS", raising=False)
    assert services(Settings(home=tmp_path), keys).env["ASCENSO_SERVICES__WORKERS"] == "2"
    monkeypatch.setenv("ASCENSO_SERVICES__WORKERS", "3")
    assert services(Settings(home=tmp_path), keys).env["ASCENSO_SERVICES__WORKERS"] == "3"
