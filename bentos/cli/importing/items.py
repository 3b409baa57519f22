"""The files that were brought, each read as data: nothing of a file runs."""

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from bentos.cli.errors import Failed
from bentos.flavors import reading
from bentos.registry.sources import open_s3

MOST_FILES = 200
SHOWN = 5


@dataclass(frozen=True)
class Item:
    """What was in a file: an object of a library, or the file's path where that is read whole.

    `written` names the releases that say they wrote it.
    """

    file: str
    path: Path
    kind: str
    content: Any
    written: tuple[str, ...] = ()

    @property
    def foreign(self) -> str:
        """A release of scikit-learn that wrote it and whose series is not the installed one."""
        here = installed("scikit-learn").split(".")[:2]
        releases = (one.split()[-1] for one in self.written if one.startswith("scikit-learn "))
        return next((one for one in releases if one.split(".")[:2] != here), "")

    @property
    def what(self) -> str:
        """The class, or the keys of a dict."""
        if isinstance(self.content, dict):
            return f"dict of {', '.join(map(str, self.content))}"
        return self.kind if self.kind == "weights" else type(self.content).__name__


Reader = Callable[[Path], tuple[Any, tuple[str, ...]]]


def _pickled(path: Path) -> tuple[Any, tuple[str, ...]]:
    read = reading.read_joblib(path)
    return read.model, tuple(f"scikit-learn {release}" for release in sorted(read.sklearn))


def _skops(path: Path) -> tuple[Any, tuple[str, ...]]:
    return reading.read_skops(path).model, ()


def _catboost(path: Path) -> tuple[Any, tuple[str, ...]]:
    import catboost

    model = catboost.CatBoost().load_model(str(path), format="cbm")
    kind = catboost.CatBoostClassifier if len(model.classes_) else catboost.CatBoostRegressor
    said = model.get_metadata()
    release = said["catboost_version_info"].split() if "catboost_version_info" in said else []
    return kind().load_model(str(path), format="cbm"), (f"CatBoost {' '.join(release[:2])}",)


def _keras(path: Path) -> tuple[Any, tuple[str, ...]]:
    from bentos.flavors.keras_file import open_keras

    model = open_keras(path, "an unknown backend")  # the file does not say
    with ZipFile(path) as archive:
        release = json.loads(archive.read("metadata.json")).get("keras_version", "")
    return model, (f"Keras {release}",)


def _h5(path: Path) -> tuple[Any, tuple[str, ...]]:
    from bentos.flavors.keras_h5 import open_h5

    model, release = open_h5(path)
    return model, (f"Keras {release}",)


def _onnx(path: Path) -> tuple[Any, tuple[str, ...]]:
    import onnx

    from bentos.flavors.onnx_file import open_onnx

    session = open_onnx(path)
    head = onnx.load(str(path), load_external_data=False)
    return session, (f"{head.producer_name} {head.producer_version}".strip(),)


def _whole(path: Path) -> tuple[Any, tuple[str, ...]]:
    return path, ()


READERS: Mapping[str, tuple[str, Reader]] = {
    **dict.fromkeys((".joblib", ".pkl", ".pickle"), ("pickle", _pickled)),
    ".skops": ("skops", _skops),
    ".cbm": ("catboost", _catboost),
    ".keras": ("keras", _keras),
    **dict.fromkeys((".h5", ".hdf5"), ("keras", _h5)),
    ".onnx": ("onnx", _onnx),
    ".pth": ("weights", _whole),
}


def read(folder: Path, name: str) -> Item | None:
    """A file as an item; None for a file of another kind. Raises Unreadable or Refusal."""
    path = folder / name
    if path.suffix.lower() not in READERS:
        return None
    kind, reader = READERS[path.suffix.lower()]
    content, written = reader(path)
    return Item(name, path, kind, content, tuple(filter(None, written)))


@contextmanager
def gathered(source: str) -> Iterator[tuple[Path, list[str]]]:
    """The files at a path or below s3://bucket/prefix: their folder, and their names in it."""
    if not source.startswith("s3://"):
        yield _local(Path(source))
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder), _fetched(source, Path(folder))


def _local(path: Path) -> tuple[Path, list[str]]:
    if path.is_file():
        return path.parent, [path.name]
    if not path.is_dir():
        raise Failed(f"{path} is neither a file nor a folder, nor s3://bucket/prefix")
    files = [file for file in path.rglob("*") if file.is_file()]
    return path, _few(path, sorted(file.relative_to(path).as_posix() for file in files))


def _fetched(source: str, folder: Path) -> list[str]:
    """Download what lies below a prefix, or a single file. Raises StoreUnavailable."""
    bucket = open_s3(source)
    names = bucket.names()
    if not names:
        parent, _, last = source.rstrip("/").rpartition("/")
        bucket, names = open_s3(parent), [last]
    for name in _few(source, names):
        path = (folder / name).resolve()
        if not path.is_relative_to(folder.resolve()):
            raise Failed(f"{source} lists {name!r}, outside of it")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.writelines(bucket.chunks(name))
    return sorted(names)


def _few(source: object, names: list[str]) -> list[str]:
    if not names:
        raise Failed(f"There are no files at {source}")
    if len(names) > MOST_FILES:
        raise Failed(f"There are {len(names)} files at {source}; {MOST_FILES} are looked at")
    return names
