"""Table and chart of what replicas cost MLflow, without a relay and with one."""

import argparse
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

NAME = "relay"
MEGA = 1e6


@dataclass(frozen=True)
class Click:
    """Seconds from a promotion to each replica, bytes from the store, requests at MLflow."""

    version: str
    seconds: Sequence[float]
    store_bytes: int
    requests: int


@dataclass(frozen=True)
class Figures:
    """Of one way: the start, a second at rest, and clicks. Processor time in cores."""

    start: float
    start_cpu: float
    requests: float
    cpu: float
    relay_cpu: float
    clicks: Sequence[Click]


@dataclass(frozen=True)
class Away:
    """A click while the relay is killed, its return, and a click after that."""

    meanwhile: Click
    back: float
    after: Click


def write(given: argparse.Namespace, alone: Figures, relayed: Figures, away: Away) -> None:
    """Write both, and print the table."""
    made = _text(given, alone, relayed, away)
    print(made)
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / f"{NAME}.md").write_text(made)
    _chart(alone, relayed, given.out / f"{NAME}.svg")


def _text(given: argparse.Namespace, alone: Figures, relayed: Figures, away: Away) -> str:
    both = (alone, relayed)
    half = given.replicas // 2
    rows = [
        (
            "start: seconds until all replicas know all models",
            [f"{one.start:.1f}" for one in both],
        ),
        ("start: processor time of MLflow, s", [f"{one.start_cpu:.1f}" for one in both]),
        ("at rest: requests at MLflow a second", [f"{one.requests:.1f}" for one in both]),
        ("at rest: MLflow, of one core", [f"{one.cpu:.1%}" for one in both]),
        ("at rest: the relay, of one core", ["", f"{relayed.relay_cpu:.1%}"]),
        ("click: seconds to the first replica", [_each(one, _first) for one in both]),
        ("click: seconds to the last replica", [_each(one, _last) for one in both]),
        ("click: megabytes from S3", [_each(one, _megabytes) for one in both]),
        ("click: requests at MLflow until then", [_each(one, _requests) for one in both]),
    ]
    return "\n".join(
        [
            "# Fifty replicas and a relay" if given.replicas == 50 else "# Replicas and a relay",
            "",
            f"`python -m benchmarks.relay`, {datetime.now(UTC):%Y-%m-%d}: {given.replicas} "
            f"replicas, {given.models} models in Production, {given.megabytes} MiB a version, "
            f"{os.cpu_count()} cores that all share, MLflow {version('mlflow')} on SQLite with "
            f"one worker. {given.rest:g} s at rest; each click is told.",
            "",
            "![MLflow's requests and processor time](relay.svg)",
            "",
            "| | without | with a relay |",
            "|---|--:|--:|",
            *(f"| {name} | {' | '.join(cells)} |" for name, cells in rows),
            "",
            "## The relay is killed",
            "",
            f"Of {given.replicas} replicas {half} have MLflow's own address as `registry.direct`.",
            "",
            "| | |",
            "|---|--:|",
            f"| click meanwhile: seconds to the last of the {half} | {_last(away.meanwhile)} |",
            f"| the others hear of it after the relay's return, s | {away.back:.1f} |",
            f"| the next click: seconds to the last of all | {_last(away.after)} |",
            f"| the next click: megabytes from S3 | {_megabytes(away.after)} |",
            "",
        ]
    )


def _each(one: Figures, told: Callable[[Click], str]) -> str:
    return ", ".join(told(click) for click in one.clicks)


def _first(click: Click) -> str:
    return f"{min(click.seconds):.1f}"


def _last(click: Click) -> str:
    return f"{max(click.seconds):.1f}"


def _megabytes(click: Click) -> str:
    return f"{click.store_bytes / MEGA:.1f}"


def _requests(click: Click) -> str:
    return str(click.requests)


def _chart(alone: Figures, relayed: Figures, path: Path) -> None:
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = NAME  # the same figures make the same file
    from matplotlib import pyplot

    shown = {
        "requests at MLflow a second": (alone.requests, relayed.requests),
        "MLflow at rest, % of a core": (100 * alone.cpu, 100 * relayed.cpu),
        "megabytes from S3, one click": tuple(
            one.clicks[-1].store_bytes / MEGA for one in (alone, relayed)
        ),
        "seconds to the last replica": tuple(
            max(one.clicks[-1].seconds) for one in (alone, relayed)
        ),
    }
    figure, axes = pyplot.subplots(1, len(shown), figsize=(11, 1.8))
    for axis, (title, values) in zip(axes, shown.items(), strict=True):
        bars = axis.barh(["without", "relay"], values, color=["tab:gray", "tab:orange"])
        axis.bar_label(bars, [f"{value:,.1f}" for value in values], padding=3, fontsize=8)
        axis.set_title(title, fontsize=9)
        axis.invert_yaxis()
        axis.margins(x=0.3)
        axis.set_xticks([])
        axis.spines[["top", "right", "bottom"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
