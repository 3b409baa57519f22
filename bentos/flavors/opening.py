"""From a fetched version of any flavor to a model with its schema and its own answers.

A library is imported when its flavor is asked for. Nothing that a version says is executed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bentos.flavors import releases, samples
from bentos.flavors.booster_files import check_skops, open_catboost, open_lightgbm, open_xgboost
from bentos.flavors.columns import carried
from bentos.flavors.keras_file import open_keras
from bentos.flavors.loading import keras_path, load, read_skops
from bentos.flavors.mlmodel import MLmodel
from bentos.flavors.natives import Predict, guarded, native
from bentos.flavors.networks import Network, of_function, of_keras, of_program, of_session
from bentos.flavors.onnx_file import open_onnx
from bentos.flavors.opened import Opened
from bentos.flavors.schemas import schema_of
from bentos.flavors.torch_file import open_program
from bentos.refusal import Refusal
from bentos.tensors import Schema

FROM_PICKLE = "read from a pickle"
PICKLES = frozenset({"pickle", "cloudpickle"})
EXTRAS = frozenset({"xgboost", "lightgbm"})


@dataclass(frozen=True)
class Found:
    """What a flavor's file holds: an estimator, or a network with its own tensors."""

    model: object
    note: str = ""
    network: Network | None = None


def open_model(mlmodel: MLmodel) -> Opened:
    """Open a version. Raises Refusal where it cannot be done safely, or nobody knows its columns.

    A model without columns of its own, as a pickle may hold one, needs a signature.
    """
    openers: Mapping[str, Callable[[MLmodel], Found]] = {
        "sklearn": _sklearn,
        "catboost": _catboost,
        "xgboost": _xgboost,
        "lightgbm": _lightgbm,
        "onnx": _onnx,
        "keras": _keras,
        "pytorch": _pytorch,
        "itransformer": _itransformer,
    }
    flavor = mlmodel.flavor
    try:
        return _opened(mlmodel, openers[flavor](mlmodel))
    except Refusal:
        raise
    except ModuleNotFoundError as error:
        raise _not_installed(flavor, error) from error
    except Exception as error:
        said = f"{type(error).__name__} while loading: {error}"
        raise releases.of_another(mlmodel, error) or Refusal("load", said) from error


def _opened(mlmodel: MLmodel, found: Found) -> Opened:
    method = mlmodel.predict_fn
    known = found.network.carried() if found.network else carried(found.model)
    schema = schema_of(mlmodel, known)

    def predictor(schema: Schema) -> Predict:
        if found.network:
            return guarded(schema, found.network.predict(schema))
        return native(found.model, schema, known, method)

    first = Opened(found.model, method, schema, predictor(schema), found.note, known)
    if found.network is None:
        rows, _ = samples.samples_of(mlmodel, first)
        schema = samples.with_missing(schema, rows, predictor)
    return Opened(found.model, method, schema, predictor(schema), found.note, known)


def _sklearn(mlmodel: MLmodel) -> Found:
    path = mlmodel.file(mlmodel.options.get("pickled_model"))
    return _estimator(mlmodel, path, "pickle")


def _estimator(mlmodel: MLmodel, path: Path, usual: str) -> Found:
    """An estimator of a skops file, or of a pickle that is read as data."""
    written = str(mlmodel.options.get("serialization_format", usual))
    if written not in {"skops", *PICKLES}:
        raise Refusal("pickle", f"{path.name} was written as {written!r}; skops can be served")
    from bentos.flavors import reading

    try:
        if written == "skops":
            return Found(reading.read_skops(path).model)
        release = releases.written_by(mlmodel)
        note = f"{FROM_PICKLE} of scikit-learn {release}" if release else FROM_PICKLE
        return Found(reading.read_pickle(path.read_bytes()).model, note)
    except reading.Unreadable as error:
        name = error.name if isinstance(error, reading.Unreviewed) else ""
        if written != "skops" or not name:
            raise _unreadable(mlmodel, error, name) from error
    check_skops(path)
    return Found(read_skops(path))  # whose list has the boosters' classes and our own


def _unreadable(mlmodel: MLmodel, error: Exception, unreviewed: str) -> Refusal:
    """The release may be at fault, unless a name that was not reviewed is its author's own."""
    own = unreviewed and not unreviewed.startswith("sklearn.")
    other = None if own else releases.of_another(mlmodel, error)
    return other or Refusal("pickle", str(error))


def _catboost(mlmodel: MLmodel) -> Found:
    return Found(open_catboost(mlmodel))


def _xgboost(mlmodel: MLmodel) -> Found:
    return Found(open_xgboost(mlmodel))


def _lightgbm(mlmodel: MLmodel) -> Found:
    kind = str(mlmodel.options.get("model_class", "lightgbm.basic.Booster"))
    if kind == "lightgbm.basic.Booster":
        return Found(open_lightgbm(mlmodel))
    path = mlmodel.file(mlmodel.options.get("data"))
    return _estimator(mlmodel, path, "cloudpickle")


def _onnx(mlmodel: MLmodel) -> Found:
    session = open_onnx(mlmodel.file(mlmodel.options.get("data")))
    return Found(session, network=of_session(session))


def _keras(mlmodel: MLmodel) -> Found:
    model = open_keras(keras_path(mlmodel), str(mlmodel.options.get("keras_backend", "torch")))
    return Found(model, network=of_keras(model))


def _pytorch(mlmodel: MLmodel) -> Found:
    folder = str(mlmodel.options.get("model_data"))
    if (mlmodel.folder / folder / "model.pth").exists():
        raise Refusal(
            "pickle",
            f"{folder}/model.pth is a pickle, and a pickle is never opened: log the model again "
            "with an input_example of two rows or more and serialization_format='pt2'",
        )
    program = open_program(mlmodel.file(f"{folder}/model.pt2"))
    return Found(program, network=of_program(program))


def _itransformer(mlmodel: MLmodel) -> Found:
    loaded = load(mlmodel)
    return Found(loaded.model, network=of_function(loaded.model, loaded.predict))


def _not_installed(flavor: str, error: ModuleNotFoundError) -> Refusal:
    extra = f"ascenso[{flavor}]" if flavor in EXTRAS else str(error.name)
    return Refusal("library", f"{error.name} is not installed here: pip install '{extra}'")
