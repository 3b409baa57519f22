"""Table and chart of the comparison, with the machine and the releases of the libraries."""

import argparse
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.compare import Figures

PACKAGES = (
    "bentoml", "fastapi", "mlflow", "uvicorn", "onnxruntime", "scikit-learn", "catboost", "keras",
    "torch",
)  # fmt: skip
NAME = "compare"


def write(
    found: "Mapping[str, Mapping[str, Figures]]",
    connections: Sequence[int],
    args: argparse.Namespace,
) -> None:
    """Write both, and print the table."""
    made = _text(found, connections, args)
    print(made)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / f"{NAME}.md").write_text(made)
    _chart(found, connections[-1], args.out / f"{NAME}.svg")


def _text(
    found: "Mapping[str, Mapping[str, Figures]]",
    connections: Sequence[int],
    args: argparse.Namespace,
) -> str:
    releases = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    lines = [
        "# Ascenso beside others",
        "",
        f"One-row calls, {datetime.now(UTC):%Y-%m-%d}: {_processor()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}, {releases}. Every server but the first has two "
        f"workers; wrk shares the machine. Medians of {args.rounds} interleaved rounds of "
        f"{args.seconds:g} s; every answer was the model's own. To make it again: `make bench`.",
        "",
        "![Requests a second at 64 connections](compare.svg)",
    ]
    for kind, figures in found.items():
        lines += ["", f"## {kind}", "", *_table(figures, connections, args.rate)]
    return "\n".join([*lines, ""])


def _table(figures: "Mapping[str, Figures]", connections: Sequence[int], rate: float) -> list[str]:
    heads = [f"{n} connection{'s' * (n > 1)}: calls/s" for n in connections]
    heads += [f"{n}: p50, p99 ms" for n in connections]
    heads += [
        f"{rate:g} calls/s: p50, p99 ms from the due time",
        "of the bare server at 64",
        "ours to it",
    ]
    lines = [f"| | {' | '.join(heads)} |", "|---|" + "--:|" * len(heads)]
    most = connections[-1]
    rates = {name: one.median(most).rate for name, one in figures.items()}
    floor, ours = next(iter(rates.values())), rates.get("Ascenso", float("nan"))
    for name, one in figures.items():
        medians = [one.median(n) for n in connections]
        cells = [f"{each.rate:,.0f}" for each in medians]
        cells += [f"{each.p50:.2f}, {each.p99:.2f}" for each in medians]
        lost = f" ({one.paced.lost} lost)" if one.paced.lost else ""
        cells += [f"{one.paced.p50:.2f}, {one.paced.p99:.2f}{lost}"]
        cells += [f"{rates[name] / floor:.3f}", f"{ours / rates[name]:.1f}"]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def _chart(found: "Mapping[str, Mapping[str, Figures]]", connections: int, path: Path) -> None:
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = NAME  # the same figures make the same file
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(found), figsize=(4 * len(found), 3.2), sharey=True)
    for axis, (kind, figures) in zip(
        [axes] if len(found) == 1 else axes, found.items(), strict=True
    ):
        names = list(figures)[::-1]
        rates = [figures[name].median(connections).rate for name in names]
        colors = ["tab:orange" if name == "Ascenso" else "tab:gray" for name in names]
        bars = axis.barh(names, rates, color=colors)
        axis.bar_label(bars, [f"{rate:,.0f}" for rate in rates], padding=3, fontsize=8)
        axis.set(title=kind, xscale="log", xlabel=f"calls a second, {connections} connections")
        axis.margins(x=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def _processor() -> str:
    lines = (
        Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    )
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
