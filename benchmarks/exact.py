"""Whether what serves answers as its model: `python -m benchmarks.exact`.

Each kind is logged, judged and opened as a service does it, and asked for 200,000 rows that nobody
chose, in the form that a caller sends; its own library answers the same rows. The kinds are those
of the notebook, and pipelines over prices of two decimals, epoch seconds and ids above 2**24.
"""

import argparse
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import mlflow.sklearn
import msgspec
import numpy as np
from mlflow.exceptions import MlflowException
from sklearn.ensemble import (
    ExtraTreesRegressor,
    GradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler

from benchmarks.manners import alone
from benchmarks.notebook import boosters, networks, scikit
from benchmarks.notebook.__main__ import INSTEAD, described
from benchmarks.notebook.kind import Kind, Rows
from benchmarks.notebook.rows import as_json
from bentos.admission.columns import admit_by_schema
from bentos.admission.releases import open_release
from bentos.admission.verdict import Case
from bentos.protocols.rows import Rows as Protocol
from bentos.refusal import Refusal
from bentos.registry.client import Version
from bentos.serving.release import Contract, Release
from bentos.settings import Rules
from deploy.local.settings import ROOT
from tests.flavors.graphs.tables import NUMBERS, levels, purchases, target

COUNT = 200_000
TRAINED = 2000
NETWORK = 1e-5  # relative, of float32
USUAL = 1e-9
HARD: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "RobustScaler, GradientBoosting": (RobustScaler, GradientBoostingRegressor, {}),
    "StandardScaler, forest": (StandardScaler, RandomForestRegressor, {}),
    "MinMaxScaler, ExtraTrees": (MinMaxScaler, ExtraTreesRegressor, {}),
    "StandardScaler, forest, predict_proba": (
        StandardScaler, RandomForestClassifier,
        {"ask": lambda model, rows: model.predict_proba(rows),
         "options": {"pyfunc_predict_fn": "predict_proba"}},
    ),
}  # fmt: skip


class Found(NamedTuple):
    """What became of a kind."""

    runs: str
    differing: int = 0
    worst: float = 0.0
    note: str = ""


def main() -> None:
    """Run it, print the table, and keep it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=COUNT)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    parser.add_argument("names", nargs="*", help="only kinds whose names hold one of these")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    found = {}
    for kind in [*hard(), *scikit.kinds(), *boosters.kinds(), *networks.kinds()]:
        if not args.names or any(name in kind.name for name in args.names):
            found[kind.name] = judged(kind, args.rows)
            print(kind.name, *found[kind.name], flush=True)
    made = table(found, args.rows)
    print(made)
    if not args.names:
        (args.out / "exact.md").write_text(made)


def hard() -> Iterator[Kind]:
    """Pipelines over numbers that float32 cannot hold."""
    prices = purchases(TRAINED)
    values = target(prices)
    for name, (scaler, model, more) in HARD.items():
        seen = levels(values) if model is RandomForestClassifier else values
        yield Kind(
            f"{name} of prices and ids", mlflow.sklearn, partial(_fitted, scaler, model, seen),
            prices[list(NUMBERS)], _prices, **more,
        )  # fmt: skip


def _fitted(scaler: Any, model: Any, seen: Any, given: Rows) -> Any:
    return make_pipeline(scaler(), model(n_estimators=50, random_state=0)).fit(given, seen)


def _prices(count: int) -> Rows:
    return purchases(count)[list(NUMBERS)]


def judged(kind: Kind, count: int) -> Found:
    """Serve a kind, and hold its answers against its library's."""
    model, folder = kind.fit(kind.train), Path(tempfile.mkdtemp(prefix="ascenso-exact-"))
    try:
        return _compared(kind, model, _served(kind, model, folder), count)
    except Refusal as refusal:
        return Found("refused", note=str(refusal))
    finally:
        shutil.rmtree(folder)


def _served(kind: Kind, model: Any, folder: Path) -> Release:
    manner = "both" if kind.flavor.__name__ == "mlflow.pytorch" else "signature"
    options = described(kind, model, manner) | {"pip_requirements": [], **kind.options}
    files, place, version = folder / "files", folder / "place", Version(kind.name, "1")
    try:
        kind.flavor.save_model(model, str(files), **options)
    except MlflowException:
        shutil.rmtree(files, ignore_errors=True)
        instead = INSTEAD.get(kind.flavor.__name__, {})
        kind.flavor.save_model(model, str(files), **options, **instead)
    place.mkdir()
    case = Case(version, files, place, Contract(None, None, by_schema=True), "{}")
    return open_release(version, admit_by_schema(case, Rules(deadline_seconds=600), place), place)


def _compared(kind: Kind, model: Any, release: Release, count: int) -> Found:
    if release.schema is None:
        raise TypeError(f"{release} has no schema")
    rows = kind.draw(count)
    batch = Protocol(release.schema, count).decode(msgspec.json.encode(as_json(rows))).batch
    answers = list(map(alone, next(iter(release.predict(batch).values())).tolist()))
    own = kind.answers(model, rows).tolist()
    if isinstance(np.ravel(own)[0], str):
        same = np.array([one == other for one, other in zip(answers, own, strict=True)])
        return Found(release.runs, int((~same).sum()), note=release.note)
    given, wanted = np.array(answers, np.float64), np.array(own, np.float64)
    scale = np.maximum(np.abs(wanted), np.median(np.abs(wanted)) + 1e-300)
    apart = (np.abs(given - wanted) / scale).reshape(count, -1).max(axis=1)
    allowed = NETWORK if _narrow(kind) else USUAL
    return Found(release.runs, int((apart > allowed).sum()), float(apart.max()), release.note)


def _narrow(kind: Kind) -> bool:
    """Whether a kind computes in float32."""
    return kind.flavor.__name__.rpartition(".")[2] in ("keras", "pytorch", "onnx", "xgboost")


def table(found: dict[str, Found], count: int) -> str:
    """All kinds in Markdown."""
    wrong = sum(one.differing for one in found.values())
    lines = [
        "# What serves, beside the model itself",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, {count:,} rows each: {wrong} answers differ in all, by "
        f"more than {USUAL:g} relative, or {NETWORK:g} where a library computes in float32.",
        "",
        "| | runs as | differ | largest relative difference |",
        "|---|---|--:|--:|",
    ]
    for name, one in found.items():
        lines.append(f"| {name} | {one.runs} | {one.differing} | {one.worst:.1e} |")
    refused = [f"- {name}: {one.note}" for name, one in found.items() if one.runs == "refused"]
    return "\n".join([*lines, "", *refused, *[""] * bool(refused)])


if __name__ == "__main__":
    main()
