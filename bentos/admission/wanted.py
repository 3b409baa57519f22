"""Which releases a version was trained with, as far as its files tell, and what is wanted of them.

Nothing of a version is parsed here, let alone run: releases are looked for in its texts. A name
that was not reviewed, or a version that is none, is not seen.
"""

import re
from collections.abc import Iterator, Mapping
from importlib.metadata import version as installed
from pathlib import Path
from typing import NamedTuple

TRAINED = ("scikit-learn", "xgboost", "lightgbm", "catboost")  # whose releases decide the answers
BESIDE = ("numpy", "scipy", "pandas", "joblib", "threadpoolctl")
OURS = ("cloudpickle", "msgspec", "onnx", "pyyaml")  # with which our own code reads and compiles
# What these bring along, and nothing else may be installed.
BROUGHT = frozenset({
    "ml-dtypes", "narwhals", "packaging", "prettytable", "protobuf",
    "python-dateutil", "pytz", "six", "skops", "typing-extensions", "tzdata", "wcwidth",
    "xgboost-cpu",
})  # fmt: skip
# What they ask for and reading needs not: plots, and graphics processors.
UNWANTED = ("graphviz", "matplotlib", "nvidia-nccl-cu12", "plotly", "huggingface-hub", "tabulate")
XGBOOST_CPU = (2, 1, 1)  # the first of the builds without CUDA
# Where a version does not say, no newer than its scikit-learn was tested with: packages do not
# always say what they will no longer work with.
OF_ITS_TIME: Mapping[str, str] = {
    "1.1": "numpy<1.25 scipy<1.11 pandas<2",
    "1.2": "numpy<1.25 scipy<1.11 pandas<2.1",
    "1.3": "numpy<1.27 scipy<1.12 pandas<2.2",
    "1.4": "numpy<2 scipy<1.14 pandas<2.3",
    "1.5": "numpy<2.2 scipy<1.15 pandas<2.3",
    "1.6": "numpy<2.3 scipy<1.16 pandas<3",
    "1.7": "numpy<2.4 scipy<1.17 pandas<3",
}
RELEASE = r"(\d{1,8}(?:\.\d{1,8}){1,5}(?:(?:a|b|rc|\.post)\d{1,8})?)"
# None goes beyond its line: over many empty ones a search would take hours, and stop all threads.
GAP, END = r"[ \t]*", r"[ \t\r]*$"
PINNED = re.compile(
    rf"^{GAP}(?:-[ \t]+)?([A-Za-z0-9_.-]+)(?:\[[^\]\n]*\])?=={GAP}{RELEASE}{END}", re.M
)
FLAVOR = re.compile(rf"^[ \t]+sklearn_version:{GAP}['\"]?{RELEASE}['\"]?{END}", re.M)
MODEL = re.compile(rf"^[ \t]+pickled_model:{GAP}([\w.-]+){END}", re.M)
SKOPS = re.compile(rf"^[ \t]+serialization_format:{GAP}skops{END}", re.M)
# Of an estimator's state in a pickle: its key and value, each perhaps put into the memo.
STATE = re.compile(
    rb"_sklearn_version(?:\x94|q.|r....|\np\d+\n)?(?:\x8c.|X....|V)(\d+\.\d+(?:\.\d+)?)", re.S
)
MOST_TEXT = PIECE = 1 << 20
OVERLAP = 100  # bytes, more than what is looked for


class Wanted(NamedTuple):
    """The packages of a version with their releases, as it stored them."""

    stored: Mapping[str, str]
    skops: bool

    @property
    def minor(self) -> str:
        """The minor release of scikit-learn."""
        return minor(self.stored["scikit-learn"])

    def lines(self, all_stored: bool = True) -> list[str]:
        """What to install: the stored releases, or only those that decide the answers."""
        names = (*TRAINED, *BESIDE) if all_stored else TRAINED
        made = [_line(name, self.stored[name]) for name in names if name in self.stored]
        held = {re.split("[<=]", line)[0] for line in made}
        bounds = OF_ITS_TIME.get(self.minor, "numpy scipy pandas").split()
        made += [bound for bound in bounds if bound.partition("<")[0] not in held]
        ours = (*OURS, "skops") if self.skops else OURS
        return sorted(made + [f"{name}=={installed(name)}" for name in ours])


def wanted(folder: Path) -> Wanted | None:
    """The releases of a version of scikit-learn's flavor, or None where they are not known."""
    described = _text(folder / "MLmodel")
    if "\n  sklearn:" not in described:
        return None
    stored = dict(_stored(folder))
    if found := FLAVOR.search(described):
        stored["scikit-learn"] = found[1]
    model = MODEL.search(described)
    if "scikit-learn" not in stored and model:
        stored |= _in_pickle(folder / model[1])
    skops = SKOPS.search(described) is not None
    return Wanted(stored, skops) if "scikit-learn" in stored else None


def minor(release: str) -> str:
    """`1.5` of `1.5.2`."""
    return ".".join(release.split(".")[:2])


def normal(name: str) -> str:
    """A package's name as indexes write it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _line(name: str, release: str) -> str:
    numbers = tuple(int(part) for part in re.findall(r"\d+", release))
    if name == "xgboost" and numbers >= XGBOOST_CPU:
        name = "xgboost-cpu"
    return f"{name}=={release}"


def _stored(folder: Path) -> Iterator[tuple[str, str]]:
    """The reviewed packages in what MLflow stored; requirements.txt has the last word."""
    for name in ("conda.yaml", "requirements.txt"):
        for package, release in PINNED.findall(_text(folder / name)):
            known = normal(package).replace("xgboost-cpu", "xgboost")
            if known in (*TRAINED, *BESIDE):
                yield known, release


def _in_pickle(path: Path) -> dict[str, str]:
    """Looked for in pieces: a search over a whole file would stop all threads."""
    seen, found = b"", None
    try:
        with path.open("rb") as file:
            while piece := file.read(PIECE):
                seen = seen[-OVERLAP:] + piece
                if (found := STATE.search(seen)) and found.end() < len(seen):  # not cut off
                    break
    except OSError:
        pass
    return {"scikit-learn": found[1].decode()} if found else {}


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(MOST_TEXT).decode(errors="replace")
    except OSError:
        return ""
