"""Bentos: what is inside, that it is enough to serve, and the Dockerfile made of it."""

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import httpx
import pytest

from deploy.local.settings import ROOT
from tests.cli.versions import READING
from tests.deploy.judges import SCRIPTS, judge
from tests.services import ready
from tests.serving.servers import Server
from tests.stack import Stack, free_ports, wait_for

READINGS = {"stack": "/contugas/predict", "contugas": "/predict"}
LOCKS = {"stack": "requirements.stack.lock", "contugas": "requirements.serving.lock"}


def locked(name: str) -> set[str]:
    return set(re.findall(r"^([a-z0-9.-]+)==", (ROOT / name).read_text(), re.M))


# A bento has its own folders and its own packages, while the tests' Python has all of them.
FORGET = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"No module named {name!r} in a bento", name=name)

sys.path[:] = [path for path in sys.path if path != ROOT]
sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in repr(finder).lower()]
sys.meta_path.insert(0, Absent())
"""


def absent(lock: str) -> set[str]:
    """The modules of packages that are installed here, but not in a bento."""
    inside = locked(lock)
    foreign = locked("requirements.lock") - inside - {"coverage"}  # which measures the tests
    return {
        module
        for module, packages in packages_distributions().items()
        if {re.sub(r"[-_.]+", "-", package).lower() for package in packages} <= foreign
    }


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where bentos are built."""
    return tmp_path_factory.mktemp("bentos")


@pytest.fixture(scope="module", params=["stack", "contugas"])
def bento(home: Path, request: pytest.FixtureRequest) -> tuple[str, Path]:
    """What it serves, and its folder, as `bentoml build` or `make bento` builds it."""
    env = os.environ | {"BENTOML_HOME": str(home), "BENTOML_DO_NOT_TRACK": "true"}
    env["ASCENSO_SECURITY__SECRET"] = ""  # none is needed to build
    command = [f"{SCRIPTS}/bentoml", "build"]
    if request.param == "contugas":
        make = ["make", "-o", ".venv/.installed", f"BIN={SCRIPTS}"]
        command = [*make, "bento", "SERVICE=contugas:Contugas"]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    name = "ascenso" if request.param == "stack" else "contugas"
    latest = (home / "bentos" / name / "latest").read_text().strip()
    return request.param, home / "bentos" / name / latest


def test_a_bento_holds_what_its_code_names_and_nothing_else(bento: tuple[str, Path]) -> None:
    src = bento[1] / "src"
    named = set[str]()
    for file in src.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            named |= set(modules(node))
    brought = {path.relative_to(src).as_posix() for path in src.rglob("*.py")}
    files = {f"{name.replace('.', '/')}.py" for name in named if name.startswith("training.")}
    code = {name for name in brought if name.startswith("training/")}
    assert {name for name in files if (ROOT / name).is_file()} == {
        name for name in code if not name.endswith(("__init__.py", "__main__.py"))
    }
    assert {Path(name).parts[0] for name in brought} == {"bentos", "training"}
    assert not [n for n in brought if n.startswith(("bentos/cli", "bentos/scoring"))]
    assert not list(src.rglob("__pycache__"))


def modules(node: ast.AST) -> Iterator[str]:
    """What a piece of code names as a module, or within one."""
    match node:
        case ast.ImportFrom(module=str(module)):
            yield module
            yield from (f"{module}.{one.name}" for one in node.names)
        case ast.Constant(value=str(text)) if re.fullmatch(r"training(\.\w+)+", text):
            yield text
            yield text.rpartition(".")[0]


def test_a_built_bento_serves_from_an_empty_folder(
    bento: tuple[str, Path], home: Path, stack: Stack, tmp_path: Path
) -> None:
    what, folder = bento
    forget = FORGET.replace("ROOT", repr(str(ROOT))).replace("ABSENT", repr(absent(LOCKS[what])))
    (tmp_path / "sitecustomize.py").write_text(forget)
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    tag = f"{folder.parent.name}:{folder.name}"
    serve = [sys.executable, "-P", "-m", "bentoml", "serve", tag, "--host", "127.0.0.1"]
    env = {
        "ASCENSO_HOME": str(tmp_path / "home"),  # BentoML serves from within the bento
        "ASCENSO_SECURITY__SECRET": "a" * 32,
        "BENTOML_DO_NOT_TRACK": "true",
        "BENTOML_HOME": str(home),
        "MLFLOW_TRACKING_URI": stack.mlflow,
        "PYTHONPATH": str(tmp_path),
    }
    server = Server([*serve, "--port", str(port)], f"{url}/readyz", tmp_path / "log", env)
    try:
        server.start()
        wait_for(lambda: ready(url), 240)
        answer = httpx.post(f"{url}{READINGS[what]}", json=READING, timeout=60)
        known = httpx.post(f"{stack.api}/contugas/predict", json=READING, timeout=60)
        assert answer.json() == known.json()
        assert answer.headers["x-model-version"].startswith("contugas-anomaly/")
        assert not list(folder.rglob(".ascenso"))
    except (AssertionError, TimeoutError):
        print(server.log.read_text()[-4000:])
        raise
    finally:
        server.process.terminate()
        server.process.wait(120)
        server.kill()


def test_its_packages_are_locked_and_hashed(bento: tuple[str, Path]) -> None:
    what, folder = bento
    packages = (folder / "env" / "python" / "requirements.txt").read_text()
    pins = re.findall(r"^([a-z0-9.-]+)==\S+( \\\n +--hash=sha256:)?", packages, re.M)
    assert {name for name, hashed in pins if not hashed} == {"torch", "bentoml"}
    assert {name for name, hashed in pins if hashed} == locked(LOCKS[what]) - {"torch"}
    assert "--find-links https://download.pytorch.org/whl/cpu/torch/" in packages
    assert not [name for name, _ in pins if name.startswith(("nvidia-cu", "ray"))]
    assert ("mlflow" in dict(pins)) == (what == "stack")  # which trains


@pytest.mark.parametrize("lock", LOCKS.values())
def test_the_locks_agree(lock: str) -> None:
    everything = (ROOT / "requirements.lock").read_text()
    some = (ROOT / lock).read_text()
    pins = set(re.findall(r"^[a-z0-9.-]+==[^ \n]+", some, re.M))
    odd = {pin for pin in pins if not re.search(rf"^{re.escape(pin)} ", everything, re.M)}
    assert odd == {pin for pin in pins if pin.startswith("torch==")}


def test_its_dockerfile_has_no_error_and_finds_its_files(
    bento: tuple[str, Path], tmp_path: Path
) -> None:
    """What BentoML writes draws warnings; only errors count."""
    dockerfile = bento[1] / "env" / "docker" / "Dockerfile"
    judge("hadolint", "--failure-threshold", "error", dockerfile)
    text = dockerfile.read_text()
    assert "FROM python:3.11.13-slim-bookworm" in text
    assert re.search(r"^USER bentoml$", text, re.M)
    copied = re.findall(r"^COPY \S+ (\S+) \S+$", text, re.M)
    assert copied
    assert [source for source in copied if not (bento[1] / source).exists()] == []
    context = tmp_path / "context"
    shutil.copytree(bento[1], context)
    entrypoint = context / "env" / "docker" / "entrypoint.sh"
    subprocess.run(["bash", "-n", str(entrypoint)], check=True)
