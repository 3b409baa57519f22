"""Versions of five releases of scikit-learn by ten kinds: opened where, served how, equal or not.

    python -m benchmarks.releases

Environments of the releases are built with uv. The models are trained and asked in them by
scikit-learn itself, and judged as promoted ones are. The table goes to `benchmarks/results`.
"""

import argparse
import json
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from msgspec import structs

from benchmarks import old_models
from bentos.admission.environments import Environments
from bentos.admission.office import Office
from bentos.admission.releases import open_release
from bentos.admission.verdict import Admitted, Refused
from bentos.admission.wanted import Wanted
from bentos.protocols.rows import Rows
from bentos.serving.release import Release
from tests.admission.judged import BY_SCHEMA, case

RESULT = Path(__file__).parent / "results" / "releases.md"
RELEASES = ("1.2.2", "1.4.2", "1.5.2", "1.6.1", "1.7.2")
RELATIVE = 1e-9


class Cell(NamedTuple):
    """What became of a kind in a release."""

    served: str
    note: str
    seconds: float


def main() -> None:
    """Run it, print the table, and keep it."""
    parser = argparse.ArgumentParser(description=__doc__)
    builds = Path(tempfile.gettempdir(), "ascenso-environments")
    parser.add_argument("--builds", type=Path, default=builds)
    parser.add_argument("releases", nargs="*", help="only these, and no table is kept")
    args = parser.parse_args()
    found: dict[tuple[str, str], Cell] = {}
    built: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder, closing(Office()) as office:
        for release in args.releases or RELEASES:
            started = time.monotonic()
            environments = Environments(args.builds)
            python = environments.python(Wanted({"scikit-learn": release}, skops=False))
            built[release] = time.monotonic() - started
            place = Path(folder, release)
            subprocess.run([python, old_models.__file__, place], check=True)
            for kind in sorted(place.iterdir()):
                found[kind.name, release] = cell = judged(kind, environments, office)
                print(kind.name, release, *cell, flush=True)
    made = table(found, built)
    print(made)
    if not args.releases:
        RESULT.write_text(made)


def judged(kind: Path, environments: Environments, office: Office) -> Cell:
    """Judge a version as a promoted one is, and ask it for all rows."""
    started = time.monotonic()
    asked = case(kind / "version", BY_SCHEMA, deadline_seconds=240)
    asked = structs.replace(asked, environment=environments.of(asked.folder))
    verdict = office.judge(asked)
    seconds = time.monotonic() - started
    if isinstance(verdict, Refused):
        return Cell("refused", f"{verdict.reason}: {verdict.message}", seconds)
    content = json.loads((kind / "asked.json").read_text())
    return Cell(served(asked.place, verdict, content), verdict.note, seconds)


def served(place: Path, verdict: Admitted, content: Any) -> str:
    """How it serves, and how many rows it answers as its own release did."""
    release = open_release(case(place).version, verdict, place)
    answers = answered(release, content["rows"])
    wanted = {name: np.asarray(values) for name, values in content["answers"].items()}
    same = np.ones(len(content["rows"]), bool)
    for name, values in wanted.items():
        if name == "probabilities" and release.probabilities.predict is None:
            return f"{release.runs}, without probabilities"
        same &= equal(answers[name], values)
    count = int(same.sum())
    return f"{release.runs}, {'equal' if same.all() else f'{count:,} of {len(same):,} equal'}"


def answered(release: Release, rows: Sequence[Any]) -> Any:
    """As a call with these rows is answered."""
    if release.schema is None:
        raise ValueError("a version without a schema was not judged here")
    batch = Rows(release.schema, len(rows)).decode(msgspec.json.encode(rows)).batch
    return (release.probabilities.predict or release.predict)(batch)


def equal(found: Any, wanted: Any) -> Any:
    """Row by row."""
    if wanted.dtype.kind != "f":
        return np.asarray(found == wanted)
    near = np.isclose(found, wanted, rtol=RELATIVE, atol=1e-12)
    return near.reshape(len(near), -1).all(axis=1)


def table(found: dict[tuple[str, str], Cell], built: dict[str, float]) -> str:
    """In Markdown, with what was said below it."""
    releases = list(built)
    lines = [
        "| " + " | ".join(["", *(f"scikit-learn {release}" for release in releases)]) + " |",
        "|---" * (len(releases) + 1) + "|",
    ]
    for kind in old_models.kinds():
        cells = [found[kind, release] for release in releases]
        said = [f"{cell.served}, {cell.seconds:.1f} s" for cell in cells]
        lines.append("| " + " | ".join([kind, *said]) + " |")
    times = ", ".join(f"{release} {seconds:.1f} s" for release, seconds in built.items())
    head = [
        "# Versions of other releases of scikit-learn",
        "",
        f"`python -m benchmarks.releases`: each was trained, pickled and asked for "
        f"{old_models.ROWS:,} rows by the release in its column, then judged as a promoted "
        "version is, and asked for the same rows. Seconds are those of the judging, with the "
        f"environment there already. To build these took {times} (more where uv has not yet the "
        "packages in its cache).",
        "",
    ]
    notes = [f"- {kind}, {release}: {cell.note}" for (kind, release), cell in found.items()]
    return "\n".join(
        [*head, *lines, "", "What `note` in `/releases` says of each:", "", *notes, ""]
    )


if __name__ == "__main__":
    main()
