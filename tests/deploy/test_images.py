"""The images, as far as they can be judged without an engine that builds them."""

import os
import re
import secrets
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local.settings import ROOT
from tests.deploy.judges import SCRIPTS, judge
from tests.e2e.service import status
from tests.stack import free_ports, wait_for

IMAGES = ROOT / "deploy" / "images"
VALUES = "deploy/helm/production.yaml"
DOCKERFILE = (IMAGES / "Dockerfile").read_text()
LOCKED = set(
    re.findall(r"^([a-z0-9.-]+)(?:\[[^]]+\])?==", (ROOT / "requirements.lock").read_text(), re.M)
)


def copied(stage: str) -> list[list[str]]:
    """The words of each COPY from the context, in a stage of the Dockerfile."""
    (text,) = re.findall(rf"^FROM \S+ AS {stage}$(.*?)(?=^FROM|\Z)", DOCKERFILE, re.M | re.S)
    lines = [line.split()[1:] for line in text.splitlines() if line.startswith("COPY ")]
    words = [[w for w in line if not w.startswith("--chmod")] for line in lines]
    return [line for line in words if not line[0].startswith("--from")]


def context(folder: Path) -> None:
    """What .dockerignore lets into a build."""
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if line.startswith("!"):
            source, target = ROOT / line[1:], folder / line[1:]
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, target)


def test_the_dockerfile_has_no_fault() -> None:
    judge("hadolint", IMAGES / "Dockerfile")


def test_the_scripts_have_no_fault() -> None:
    judge("shellcheck", *IMAGES.glob("*.sh"), ROOT / "mlflow" / "start.sh")


def test_every_copied_file_is_in_the_context(tmp_path: Path) -> None:
    context(tmp_path)
    stages = re.findall(r"^FROM \S+ AS (\S+)", DOCKERFILE, re.M)
    sources = [s for stage in stages for line in copied(stage) for s in line[:-1]]
    assert len(sources) > 8
    assert [s for s in sources if not (tmp_path / s).exists()] == []


def test_no_image_runs_as_root_or_floats() -> None:
    for image in re.findall(r"^FROM (\S+:\S+)", DOCKERFILE, re.M):
        assert re.fullmatch(r"\S+:\d+\.\d+\.\d+\S*", image), image
    final = re.split(r"^FROM ", DOCKERFILE, flags=re.M)
    assert sum("USER 10001:10001" in stage for stage in final) == 3  # base, s3 and backup


@pytest.mark.parametrize(
    "what",
    [["pyproject.toml"], ["pyproject.toml", "--extra", "train"], ["deploy/images/mlflow.in"]],
)
def test_an_image_gets_what_the_lock_has_and_no_cuda(what: list[str]) -> None:
    wheels = os.environ.get("PIP_FIND_LINKS", "https://download.pytorch.org/whl/cpu/torch/")
    output = judge(
        "uv", "pip", "compile", *what, "--constraints", "requirements.lock",
        "--python-version", "3.11", "--no-emit-find-links", "--no-header", "--no-annotate",
        "--find-links", wheels, "-q",
    )  # fmt: skip
    names = {re.split(r"[=\[]", line)[0] for line in output.splitlines() if "==" in line}
    assert {"httpx", "msgspec"} < names
    assert ("mlflow" in names) == (what != ["pyproject.toml"])  # services ask it over HTTP
    assert names - LOCKED <= {"torch"}
    assert not [name for name in names if name.startswith("nvidia-cu")]


def test_secrets_become_variables(tmp_path: Path) -> None:
    for name, value in {"PGPASSWORD": "a b$c\n", "lower": "x", "A-B": "y", "EMPTY": ""}.items():
        (tmp_path / name).write_text(value)
    env = {"PATH": os.environ["PATH"], "SECRETS_DIR": str(tmp_path)}
    with_secrets = str(IMAGES / "secrets.sh")
    done = subprocess.run(
        [with_secrets, "env"], env=env, capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    assert "PGPASSWORD=a b$c" in lines
    assert "EMPTY=" in lines
    assert not [line for line in lines if line.startswith(("lower", "A-B"))]
    env["SECRETS_DIR"] = str(tmp_path / "none")
    assert subprocess.run([with_secrets, "true"], env=env, check=False).returncode == 0


# The tests' own Python finds this repository anywhere; an image has only its own folders.
FORGET = """
import sys

sys.path[:] = [path for path in sys.path if path != ROOT]
sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in repr(finder).lower()]
"""
# A module that is None cannot be imported.
WITHOUT_TRAINING = "sys.modules |= dict.fromkeys(['mlflow', 'matplotlib'])\n"


def packages(stage: str) -> str:
    """The stage whose packages a stage of the Dockerfile has."""
    (name,) = re.findall(
        rf"^FROM \S+ AS {stage}\nCOPY --from=build-(\w+) /opt/ascenso /opt/ascenso$",
        DOCKERFILE,
        re.M,
    )
    return str(name)


@pytest.mark.parametrize("stage", ["services", "stack"])
def test_the_folders_of_an_image_are_enough_to_serve(stage: str, tmp_path: Path) -> None:
    """The command and the variables are the Dockerfile's, but for the port."""
    for source, target in copied("code"):
        shutil.copytree(ROOT / source, tmp_path / "app" / target)
    (command,) = re.findall(
        rf'^FROM serving AS {stage}\n.*\nCMD \["bentoml", (.*)\]$', DOCKERFILE, re.M
    )
    without = {"services": WITHOUT_TRAINING, "trainers": ""}[packages(stage)]
    (tmp_path / "sitecustomize.py").write_text(FORGET.replace("ROOT", repr(str(ROOT))) + without)
    (port,) = free_ports(1)
    home = {"ASCENSO_HOME": tmp_path / "state", "BENTOML_HOME": tmp_path / "bentoml"}
    env = {name: str(path) for name, path in home.items()}
    env |= {"PATH": f"{SCRIPTS}:/usr/bin:/bin", "HOME": str(tmp_path), "BENTOML_PORT": str(port)}
    env |= {"BENTOML_DO_NOT_TRACK": "true", "BENTOML_HOST": "127.0.0.1"}
    env |= {"PYTHONPATH": str(tmp_path), "ASCENSO_SECURITY__SECRET": secrets.token_hex(16)}
    serve = [sys.executable, "-P", "-m", "bentoml", *shlex.split(command.replace(",", ""))]
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(
            serve, cwd=tmp_path / "app", env=env, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        livez = f"http://127.0.0.1:{port}/livez"
        wait_for(lambda: server.poll() is not None or status(livez) == 200, 180)
        assert server.poll() is None, (tmp_path / "log").read_text()[-3000:]
    finally:
        server.terminate()
        server.wait(120)


@pytest.fixture
def commits(tmp_path: Path) -> Path:
    """A repository with what push.sh reads, and a docker that writes down what it is asked."""
    names = ("deploy/images/push.sh", "deploy/images/Dockerfile", VALUES)
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    docker = tmp_path / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/calls\n[ "$1" != manifest ]\n')
    docker.chmod(0o755)
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "deploy")
    git(tmp_path, "commit", "-qm", "first")
    return tmp_path


def git(folder: Path, *arguments: str) -> None:
    who = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    subprocess.run(["git", "-C", str(folder), *who, *arguments], check=True)


def push(folder: Path) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"PATH": f"{folder}/bin:{os.environ['PATH']}"}
    command = [str(folder / "deploy/images/push.sh"), "registry.example"]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def test_no_tag_is_pushed_twice(commits: Path) -> None:
    """The repositories take a tag once, and an image of other content needs another."""
    first = push(commits)
    assert first.returncode == 0, first.stderr
    (commits / "deploy/images/Dockerfile").write_text("FROM scratch")
    refused = push(commits)
    assert refused.returncode == 1
    assert "not committed" in refused.stderr
    git(commits, "commit", "-qam", "second")
    second = push(commits)
    calls = (commits / "calls").read_text()
    pushed = re.findall(r"^push (\S+)$", calls, re.M)
    assert len(pushed) == len(set(pushed)) == 10
    tag = second.stdout.split()[-1]
    assert (commits / VALUES).read_text().count(f"\n  tag: {tag}\n") == 1
    assert f"push registry.example/ascenso-mlflow:{tag}\n" in calls


def test_the_script_that_pushes_has_no_fault() -> None:
    judge("shellcheck", ROOT / "deploy/images/push.sh")
