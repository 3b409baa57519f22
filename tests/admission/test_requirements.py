"""What a version with code names is installed, and nothing else is done of it."""

import sys
from importlib.metadata import version as installed
from pathlib import Path

import pytest

from bentos.admission import environments, requirements
from bentos.admission.environments import Environments, used
from tests.admission.test_environments import uv
from tests.serving.refusals import refused


def folder(place: Path, *lines: str, mlflow: str = "3.17.2") -> Path:
    place.mkdir()
    (place / "MLmodel").write_text(f"flavors: {{}}\nmlflow_version: {mlflow}\n")
    (place / "requirements.txt").write_text("\n".join(lines))
    return place


def test_what_a_version_needs(tmp_path: Path) -> None:
    named = "# packages", "statsmodels==0.14.4  # of 2024", "numpy<2; python_version < '4'", ""
    found = requirements.needed(folder(tmp_path / "a", *named))
    assert requirements.lines(found) == [
        "mlflow==3.17.2", "msgspec", "numpy<2; python_version < \"4\"", "pandas",
        "statsmodels==0.14.4",
    ]  # fmt: skip
    assert not requirements.are_here(found)


def test_packages_that_run_here_need_no_environment(tmp_path: Path) -> None:
    here = f"numpy=={installed('numpy')}", "nothing==1.0; python_version < '3'"
    place = folder(tmp_path / "a", *here, mlflow=installed("mlflow"))
    assert Environments(tmp_path / "made").named(place) == Path(sys.executable)


@pytest.mark.parametrize(
    "line",
    [
        "--index-url http://evil",
        "-r other.txt",
        "pandas @ http://evil/pandas.whl",
        "git+https://evil/pandas",
        "./pandas",
        "-e .",
    ],
)
def test_addresses_and_options_are_refused(tmp_path: Path, line: str) -> None:
    place = folder(tmp_path / "a", line)
    refused("library", "no package of an index: name", lambda: requirements.needed(place))


def test_an_environment_in_use_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Environments(tmp_path / "environments")
    uv(monkeypatch, tmp_path, "mkdir -p $place/bin; touch $place/bin/python $place/pyvenv.cfg")
    monkeypatch.setattr(environments, "KEPT", 0)
    held = made.root / "held"
    (held / "bin").mkdir(parents=True)
    (held / "pyvenv.cfg").touch()
    file = used(held / "bin" / "python")
    assert file
    python = made.named(folder(tmp_path / "a", "nothing==1.0"))
    assert (held.exists(), python.exists()) == (True, False)
    file.close()
    made.named(folder(tmp_path / "b", "nothing==2.0"))
    assert not held.exists()
