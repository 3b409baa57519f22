"""Models as people log them, each asked for rows that nobody chose, beside their own answers.

    python -m benchmarks.manners
    python -m benchmarks.manners --environment mlflow-2.14

It starts an S3 server, MLflow and the service of all models, and runs the notebook of
`benchmarks/notebook` in this environment, or in one of older releases that it builds with uv. The
table goes to `benchmarks/results`.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import quote

import httpx
import numpy as np

from deploy.local.settings import ROOT
from tests.services import served
from tests.serving.servers import storing, tracking

RESULTS = ROOT / "benchmarks" / "results"
HERE = "mlflow-3.17"
ENVIRONMENTS = {
    "mlflow-2.14": [
        "mlflow==2.14.*", "numpy<2", "scikit-learn==1.5.*", "xgboost-cpu==2.1.*",
        "lightgbm==4.4.*", "catboost==1.2.5", "keras==3.4.*", "torch==2.13.0", "onnx==1.16.*",
        "onnxruntime==1.18.*", "setuptools<81",
    ],
}  # fmt: skip
MANNERS = ("both", "example", "signature", "neither", "autolog")
HEADS = ("signature and example", "example", "signature", "neither", "autolog")
SECONDS = 300.0  # from a promotion to an answer or a refusal
# The notebook trains beside the service: a busy machine is no reason to refuse a version.
PATIENT = {
    "ASCENSO_REGISTRY__POLL_SECONDS": "0.5",
    "ASCENSO_ADMISSION__DEADLINE_SECONDS": "240",
    "ASCENSO_ADMISSION__NICENESS": "0",  # else nothing is judged while others want the cores
}
PASSING = re.compile(rf"{re.escape(tempfile.gettempdir())}/tmp\w+/")  # a folder of each run
RELATIVE = 1e-6  # of float32; other numbers are nearer
Cell: TypeAlias = dict[str, Any]


class Outcome(NamedTuple):
    """What became of a cell; `said` stands in the table, `reason` below it."""

    said: str
    reason: str = ""


def main() -> None:
    """Run it, print the table, and keep it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--environment", choices=[HERE, *ENVIRONMENTS], default=HERE)
    parser.add_argument("--builds", type=Path, default=Path(tempfile.gettempdir(), "ascenso-envs"))
    parser.add_argument("kinds", nargs="*", help="only these, and no table is kept")
    args = parser.parse_args()
    python = sys.executable
    if args.environment != HERE:
        python = built(args.environment, args.builds)
    folder = Path(tempfile.mkdtemp(prefix="ascenso-manners-"))
    found = outcomes(python, folder, args.kinds)
    made = table(found, releases(python))
    print(made)
    if not args.kinds:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"manners-{args.environment}.md").write_text(made)


def built(name: str, builds: Path) -> str:
    """The Python of an environment, which is made unless it is there."""
    folder = builds / name
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        uv = str(Path(sys.executable).with_name("uv"))
        subprocess.run([uv, "venv", "--clear", "--python", sys.executable, folder], check=True)
        install = [uv, "pip", "install", "--python", str(python), *ENVIRONMENTS[name]]
        links = os.environ.get("PIP_FIND_LINKS", "https://download.pytorch.org/whl/cpu/torch/")
        subprocess.run(install, env={"UV_FIND_LINKS": links, **os.environ}, check=True)
        (folder / "ready").touch()
    return str(python)


def releases(python: str) -> str:
    """Of which releases a Python is, for the table's head."""
    names = ["mlflow", "scikit-learn", "xgboost-cpu", "lightgbm", "catboost", "keras", "torch"]
    code = f"from importlib.metadata import version as v\nfor n in {names}: print(n, v(n))"
    said = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    return ", ".join(said.stdout.splitlines())


def outcomes(python: str, folder: Path, kinds: Sequence[str]) -> dict[tuple[str, str], Outcome]:
    """What became of each cell, by kind and manner."""
    with (
        storing(folder / "s3") as (store, _),
        tracking(folder, store) as server,
        served("bentos.models:Models", server.url, folder, **PATIENT) as url,
        ThreadPoolExecutor(1) as pool,
    ):
        env = os.environ | {
            "MLFLOW_TRACKING_URI": server.url,
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "KERAS_BACKEND": "torch",
            "SETUPTOOLS_USE_DISTUTILS": "stdlib",  # else MLflow 2's autolog stumbles over it
        }
        cells = folder / "cells.jsonl"
        command = [python, "-m", "benchmarks.notebook", str(cells), *kinds]
        running = pool.submit(subprocess.run, command, cwd=ROOT, env=env, check=True)
        found = {}
        for cell in following(cells, running.done):
            found[cell["kind"], cell["manner"]] = made = outcome(url, cell)
            print("   ", cell["model"], "->", *made, flush=True)
        running.result()
        return found


def following(path: Path, ended: Any) -> Iterator[Cell]:
    """The cells that a notebook writes, as they come."""
    while not path.exists() and not ended():
        time.sleep(0.5)
    with path.open() as lines:
        while True:
            last = ended()
            line = lines.readline()
            if line.endswith("\n"):
                yield json.loads(line)
            elif last:
                return
            else:
                lines.seek(lines.tell() - len(line))
                time.sleep(0.5)


def outcome(url: str, cell: Cell) -> Outcome:
    """Ask for all rows, as soon as the version serves, and compare."""
    if "error" in cell:
        return Outcome("cannot be logged", PASSING.sub("", cell["error"]))
    place = f"{url}/{quote(cell['model'], safe='')}/predict"
    until = time.monotonic() + SECONDS
    while True:
        said = httpx.post(place, json=cell["rows"], timeout=60)
        if said.status_code == 200:
            return compared(cell, said.json(), runs(url, cell["model"]))
        if "was refused" in said.text:
            return Outcome("refused", said.json()["detail"].partition("was refused: ")[2])
        if said.status_code not in (404, 503) or time.monotonic() > until:
            return Outcome("**fails**", f"{said.status_code}: {said.text[:300]}")
        time.sleep(0.2)


def runs(url: str, name: str) -> str:
    """Whether a model runs as a graph, and whether it was a pickle."""
    for each in httpx.get(f"{url}/releases", timeout=60).json()["releases"]:
        if each["model"] == name and each["live"]:
            pickled = "read from a pickle" in each["live"]["note"]
            return f"{each['live']['runs']}{', from a pickle' if pickled else ''}"
    return ""


def compared(cell: Cell, found: list[dict[str, Any]], how: str) -> Outcome:
    """Whether all answers are the model's own."""
    answers = [alone(next(iter(row.values()))) for row in found]
    wanted = cell["answers"]
    if isinstance(np.ravel(wanted)[0], str):
        same = np.array([a == b for a, b in zip(answers, wanted, strict=True)])
        return judged(same, 0.0, how)
    given, own = np.array(answers, np.float64), np.array(wanted, np.float64)
    if given.shape != own.shape:
        return Outcome("**differs**", f"answers have the shape {given.shape}, not {own.shape}")
    apart = np.abs(given - own) / np.maximum(np.abs(own), np.median(np.abs(own)) + 1e-300)
    return judged(apart <= RELATIVE, float(apart.max()), how)


def alone(answer: Any) -> Any:
    """The one value of a list: what the library gives as (rows, 1), which signatures then say."""
    return answer[0] if isinstance(answer, list) and len(answer) == 1 else answer


def judged(same: Any, worst: float, how: str) -> Outcome:
    """The outcome of a comparison, row by row."""
    if same.all():
        return Outcome(f"equal ({how})", f"{worst:.1e}")
    return Outcome("**differs**", f"{int((~same).sum())} of {same.size} answers, by {worst:.1e}")


def table(found: dict[tuple[str, str], Outcome], said: str) -> str:
    """All cells in Markdown, with the reasons below."""
    kinds = list(dict.fromkeys(kind for kind, _ in found))
    equal = sum(outcome.said.startswith("equal") for outcome in found.values())
    lines = [f"# Logged with {said}", "", f"{equal} of {len(found)} cells are equal.", ""]
    lines += [f"| {' | '.join(['', *HEADS])} |", "|---|---|---|---|---|---|"]
    notes: dict[str, int] = {}
    for kind in kinds:
        row = [marked(found.get((kind, manner)), notes) for manner in MANNERS]
        lines.append(f"| {' | '.join([kind, *row])} |")
    lines += ["", *(f"{at}. {note}" for note, at in notes.items()), ""]
    return "\n".join(lines)


def marked(outcome: Outcome | None, notes: dict[str, int]) -> str:
    """A cell of the table, with the number of its reason."""
    if outcome is None:
        return "-"
    if outcome.said.startswith("equal"):
        return outcome.said
    return f"{outcome.said} [{notes.setdefault(outcome.reason, len(notes) + 1)}]"


if __name__ == "__main__":
    main()
