"""Our own reading of an `MLmodel` file: nothing that it names is imported or trusted.

Format: https://mlflow.org/docs/latest/ml/model/#storage-format
"""

import json
from pathlib import Path
from typing import Any

import yaml

from bentos.refusal import Refusal

FLAVORS = (
    "sklearn", "catboost", "xgboost", "lightgbm", "onnx", "keras", "pytorch", "itransformer",
)  # fmt: skip
# What `log_model(pyfunc_predict_fn=...)` takes, but for `score`, which wants the labels as well.
METHODS = ("predict", "predict_proba", "predict_log_proba", "predict_joint_log_proba")
PICKLE_SUFFIXES = {".pkl", ".pickle", ".joblib", ".cloudpickle", ".dill", ".pth", ".pt", ".bin"}
PICKLE_FORMATS = {"pickle", "cloudpickle", "joblib", "dill"}
WITH_CODE = "any other runs its code by permission: quarantine and models.isolated, docs/models.md"
PICKLE_MAGIC = tuple(bytes([0x80, protocol]) for protocol in range(2, 6))


class MLmodel:
    """What a fetched version says of itself: flavor, signature, files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.content = _read(folder / "MLmodel")
        self.flavors: dict[str, dict[str, Any]] = self.content["flavors"]

    @property
    def flavor(self) -> str:
        """The one known flavor. Raises Refusal when there is none."""
        self.refuse_unknown()
        return next(name for name in FLAVORS if name in self.flavors)

    @property
    def options(self) -> dict[str, Any]:
        """What the flavor wrote for its own loader."""
        return self.flavors[self.flavor]

    @property
    def predict_fn(self) -> str:
        """The method that answers: `predict`, or another one of METHODS that the version names."""
        name = self.flavors.get("python_function", {}).get("predict_fn") or "predict"
        if name not in METHODS:
            known = ", ".join(METHODS)
            raise Refusal("flavor", f"predict_fn is {name!r}; {known} can be served")
        return str(name)

    def columns(self, side: str) -> list[dict[str, Any]] | None:
        """The `inputs` or `outputs` of the signature, or None where it has none."""
        try:
            raw = (self.content.get("signature") or {}).get(side)
            return [dict(column) for column in json.loads(raw)] if raw else None
        except (AttributeError, TypeError, ValueError) as error:
            message = f"the signature's {side} cannot be read: {error}"
            raise Refusal("signature", message) from error

    @property
    def row_shape(self) -> tuple[int, ...]:
        """The shape of one input row: -1 where it may vary, nothing without a signature."""
        columns = self.columns("inputs")
        if not columns:
            return ()
        if columns[0].get("type") != "tensor":
            return (len(columns),)
        try:
            return tuple(int(size) for size in columns[0]["tensor-spec"]["shape"][1:])
        except (KeyError, TypeError, ValueError) as error:
            message = f"the signature's inputs cannot be read: {error!r}"
            raise Refusal("signature", message) from error

    @property
    def metadata(self) -> dict[str, Any]:
        """What training noted beside the flavors."""
        metadata = self.content.get("metadata")
        return dict(metadata) if isinstance(metadata, dict) else {}

    def file(self, name: object) -> Path:
        """A file that a flavor names, which must lie inside the version."""
        path = (self.folder / str(name)).resolve()
        if not path.is_relative_to(self.folder.resolve()) or not path.is_file():
            raise Refusal("flavor", f"the flavor names the file {name!r}, which is not there")
        return path

    def refuse_unknown(self) -> None:
        """Raise Refusal unless the version has one flavor that can be served."""
        if len(self.flavors.keys() & set(FLAVORS)) != 1:
            found, known = sorted(map(str, self.flavors)), list(FLAVORS)
            raise Refusal(
                "flavor",
                f"the version has the flavors {found}; exactly one of {known} can be served: "
                f"log it with that flavor's log_model; {WITH_CODE}",
            )

    def refuse_pickles(self) -> None:
        """Raise Refusal if any part of the version is, or would be read as, a pickle."""
        for name, options in self.flavors.items():
            written = str(options.get("serialization_format", ""))
            if written in PICKLE_FORMATS:
                raise Refusal(
                    "pickle",
                    f"the {name} flavor was written as {written!r}, and a pickle is never opened: "
                    "log it again with serialization_format='skops'",
                )
        for path in sorted(p for p in self.folder.rglob("*") if p.is_file()):
            if path.suffix.lower() in PICKLE_SUFFIXES or _starts_like_pickle(path):
                raise Refusal(
                    "pickle",
                    f"{path.relative_to(self.folder)} is a pickle, and a pickle is never opened: "
                    "log the model in a format without code (skops, cbm, pt2, keras)",
                )

    def refuse_code(self) -> None:
        """Raise Refusal if the version brings Python code along."""
        for name, options in self.flavors.items():
            for key in ("code", "model_code_path"):
                if options.get(key):
                    raise Refusal(
                        "code",
                        f"the {name} flavor brings code along ({key}: {options[key]!r}); if you "
                        "trust whoever can write it, list a service's own model in "
                        f"admission.allow_code; {WITH_CODE}",
                    )
        scripts = sorted(self.folder.rglob("*.py"))
        if scripts:
            raise Refusal(
                "code", f"the version holds the script {scripts[0].relative_to(self.folder)}"
            )


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_bytes())
    except FileNotFoundError:
        raise Refusal(
            "flavor", "the version holds no MLmodel file: it is no MLflow model"
        ) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise Refusal("flavor", f"MLmodel is no YAML: {error}") from error
    flavors = content.get("flavors") if isinstance(content, dict) else None
    if not isinstance(flavors, dict) or not all(isinstance(v, dict) for v in flavors.values()):
        raise Refusal("flavor", "MLmodel names no flavors")
    return dict(content)


def _starts_like_pickle(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) in PICKLE_MAGIC
