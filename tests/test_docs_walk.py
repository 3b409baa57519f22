"""The pages of docs/ do what they say."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from deploy.local.settings import ROOT
from tests.stack import Stack, free_ports, wait_for

PAGE = ROOT / "docs" / "add-a-service.md"


def blocks(language: str, page: Path = PAGE) -> list[str]:
    found: list[str] = re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.S)
    return found


@contextmanager
def served(command: list[str], folder: Path, env: dict[str, str]) -> Iterator[None]:
    with (folder / "serve.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        process.wait(120)


def test_a_service_is_added_as_the_page_says(stack: Stack, tmp_path: Path) -> None:
    train, service = blocks("python")
    (tmp_path / "train_iris.py").write_text(train)
    (tmp_path / "iris.py").write_text(service)
    training, serving = (line.removeprefix("$ ") for line in blocks("console"))
    serve, call = serving.splitlines()
    port = free_ports(1)[0]
    env = os.environ | {
        "MLFLOW_TRACKING_URI": stack.mlflow,
        "ASCENSO_HOME": str(tmp_path / "home"),
    }
    scripts = f"{Path(sys.executable).parent}/"

    command = shlex.split(training.replace(".venv/bin/", scripts))
    subprocess.run(command, cwd=tmp_path, env=env, check=True, timeout=240)
    command = shlex.split(serve.replace(".venv/bin/", scripts).replace("3001", str(port)))
    with served(command, tmp_path, env):
        *_, url, _, body = shlex.split(call.removeprefix("$ "))
        url = url.replace("3001", str(port))
        wait_for(lambda: _status(url, body) == 200, 180)
        answer = httpx.post(url, content=body, timeout=60)
        releases = httpx.get(url.replace("predict", "releases"), timeout=60).json()["releases"]

    assert answer.text == '{"especie":0}'
    assert answer.headers["x-model-version"] == "iris-species/1"
    assert releases[0]["live"]["version"] == "1"


def test_a_model_of_ones_own_answers_as_the_first_page_says(stack: Stack, tmp_path: Path) -> None:
    (script,) = blocks("python", ROOT / "README.md")
    (console,) = [block for block in blocks("console", ROOT / "README.md") if "wine" in block]
    promote, call = (line.removeprefix("$ ") for line in console.splitlines())
    env = os.environ | {
        "MLFLOW_TRACKING_URI": stack.mlflow,
        "ASCENSO_PORT": str(stack.settings.port),
    }
    (tmp_path / "wine.py").write_text(script.replace("http://127.0.0.1:5000", stack.mlflow))
    subprocess.run([sys.executable, "wine.py"], cwd=tmp_path, env=env, check=True, timeout=240)
    command = shlex.split(promote.replace(".venv/bin/", f"{Path(sys.executable).parent}/"))
    subprocess.run(command, cwd=ROOT, env=env, check=True, timeout=240)
    _, url, _, body = shlex.split(call)
    answer = httpx.post(url.replace("http://127.0.0.1:3000", stack.api), content=body, timeout=60)
    assert answer.text == '{"prediction":0}'

    python = blocks("python", ROOT / "docs" / "protocols.md")
    triton = "\n".join(block for block in python if "triton." in block)
    said = printed(triton.replace("127.0.0.1:8001", stack.settings.grpc))
    assert said == "[0]\n"
    (table,) = [block for block in python if "pa.Table" in block]
    assert printed(table.replace("http://127.0.0.1:3000", stack.api)).split() == [
        "prediction", "0", "0",
    ]  # fmt: skip


def printed(code: str) -> str:
    """What a program prints."""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, check=True, text=True, timeout=240)
    return done.stdout


def _status(url: str, body: str) -> int:
    try:
        return httpx.post(url, content=body, timeout=10).status_code
    except httpx.TransportError:
        return 0
