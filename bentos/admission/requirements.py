"""The packages that a version with code names: in its `requirements.txt`, as MLflow stores it.

Wheels of an index, and nothing else: neither options nor addresses are taken from a version.
"""

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from bentos.admission.wanted import normal
from bentos.flavors.mlmodel import MLmodel
from bentos.refusal import Refusal

REQUIREMENTS = "requirements.txt"
LONGEST = 1 << 16  # bytes
MLFLOW = frozenset({"mlflow", "mlflow-skinny"})
OURS = ("msgspec", "numpy", "pandas")  # with which rows come in and answers go out


def needed(folder: Path) -> list[Requirement]:
    """What a version names, and MLflow of the release that wrote it. Raises Refusal."""
    found = list(_named(folder))
    names = {normal(one.name) for one in found}
    if not names & MLFLOW:
        release = str(MLmodel(folder).content.get("mlflow_version") or "")
        found.append(_requirement(f"mlflow=={release}" if release else "mlflow"))
    found += [_requirement(name) for name in OURS if name not in names]
    return found


def lines(found: list[Requirement]) -> list[str]:
    """What to install, always in the same order."""
    return sorted(map(str, found))


def are_here(found: list[Requirement]) -> bool:
    """Whether the packages that run here are such."""
    return all(map(_is_here, found))


def _is_here(one: Requirement) -> bool:
    if one.marker and not one.marker.evaluate():
        return True
    try:
        return one.specifier.contains(installed(one.name), prereleases=True)
    except PackageNotFoundError:
        return False


def _named(folder: Path) -> Iterator[Requirement]:
    path = folder / REQUIREMENTS
    if not path.is_file():
        return
    with path.open("rb") as file:
        text = file.read(LONGEST + 1)
    if len(text) > LONGEST:
        raise Refusal("library", f"{REQUIREMENTS} has more than {LONGEST:,} bytes")
    for line in text.decode(errors="replace").splitlines():
        if said := line.partition("#")[0].strip():
            yield _requirement(said)


def _requirement(line: str) -> Requirement:
    """One line. Raises Refusal for what is no package of an index."""
    try:
        found = Requirement(line)
    except InvalidRequirement:
        found = None
    if found is None or found.url:
        raise Refusal(
            "library",
            f"{REQUIREMENTS} has {line[:200]!r}, which is no package of an index: name its "
            "packages as name==release, and give an index of your own by UV_INDEX_URL",
        )
    return found
