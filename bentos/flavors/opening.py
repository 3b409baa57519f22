"""From a fetched version of any flavor to a model with its schema and its own answers.

A library is imported when its flavor is asked for. Nothing that a version says is executed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from bentos.flavors import releases, samples
from bentos.flavors.booster_files import check_skops, open_catboost, open_lightgbm, open_xgboost
from bentos.flavors.carried import Carried
from bentos.flavors.columns import carried
from bentos.flavors.keras_file import open_keras
from bentos.flavors.loading import keras_path, load, read_skops
from bentos.flavors.mlmodel import MLmodel
from bentos.flavors.natives import guarded, native
from bentos.flavors.networks import Network, of_session
from bentos.flavors.onnx_file import open_onnx
from bentos.flavors.opened import Opened
from bentos.flavors.schemas import schema_of
from bentos.flavors.torch_file import open_program
from bentos.flavors.torch_networks import network_of
from bentos.flavors.torch_pickle import open_layers
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

    @cached_property
    def carried(self) -> Carried | None:
        """What the model itself tells of its columns."""
        return self.network.carried() if self.network else carried(self.model)


def open_model(mlmodel: MLmodel) -> Opened:
    """Open a version. Raises Refusal where it cannot be done safely, or nobody knows its columns.

    A model without columns of its own, as a pickle may hold one, needs a signature.
    """
    return _open(mlmodel, lambda found: _opened(mlmodel, found))


def open_found(mlmodel: MLmodel, find: Callable[[], object]) -> Opened:
    """Open a version whose estimator is found otherwise than by reading. Raises Refusal."""
    return _open(mlmodel, lambda found: _opened(mlmodel, found), find=lambda _: Found(find()))


def reopen(mlmodel: MLmodel, schema: Schema) -> Opened:
    """Open what an admission left, of which the schema is known. Raises Refusal.

    A skops file may hold boosters then: the admission wrote it, and had checked them.
    """
    return _open(mlmodel, lambda found: _known(mlmodel, found, schema), written_here=True)


def _open(
    mlmodel: MLmodel,
    finish: Callable[[Found], Opened],
    written_here: bool = False,
    find: Callable[[MLmodel], Found] | None = None,
) -> Opened:
    openers: Mapping[str, Callable[[MLmodel], Found]] = {
        "sklearn": partial(_sklearn, written_here=written_here),
        "catboost": _catboost,
        "xgboost": _xgboost,
        "lightgbm": partial(_lightgbm, written_here=written_here),
        "onnx": _onnx,
        "keras": _keras,
        "pytorch": _pytorch,
        "itransformer": _itransformer,
    }
    flavor = mlmodel.flavor
    try:
        return finish((find or openers[flavor])(mlmodel))
    except Refusal:
        raise
    except ModuleNotFoundError as error:
        raise _not_installed(flavor, error) from error
    except Exception as error:
        said = f"{type(error).__name__} while loading: {error}"
        raise releases.of_another(mlmodel, error) or Refusal("load", said) from error


def _opened(mlmodel: MLmodel, found: Found) -> Opened:
    """What was found, with the schema that is known of it."""
    schema = schema_of(mlmodel, found.carried)
    first = _known(mlmodel, found, schema)
    if found.network:
        return first
    rows, _ = samples.samples_of(mlmodel, first)
    lacking = samples.with_missing(
        schema, rows, lambda tried: _known(mlmodel, found, tried).predict
    )
    return _known(mlmodel, found, lacking)


def _known(mlmodel: MLmodel, found: Found, schema: Schema) -> Opened:
    """What was found, asked with batches of this schema."""
    method = mlmodel.predict_fn
    if found.network:
        predict = guarded(schema, found.network.predict(schema))
    else:
        predict = native(found.model, schema, found.carried, method)
    return Opened(found.model, method, schema, predict, found.note, found.carried)


def _sklearn(mlmodel: MLmodel, written_here: bool) -> Found:
    path = mlmodel.file(mlmodel.options.get("pickled_model"))
    return _estimator(mlmodel, path, "pickle", written_here)


def _estimator(mlmodel: MLmodel, path: Path, usual: str, written_here: bool) -> Found:
    """An estimator of a skops file, or of a pickle that is read as data."""
    written = str(mlmodel.options.get("serialization_format", usual))
    if written not in {"skops", *PICKLES}:
        raise Refusal("pickle", f"{path.name} was written as {written!r}; skops can be served")
    from bentos.flavors import reading

    try:
        if written == "skops":
            return Found(reading.read_skops(path, boosters=written_here).model)
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


def _lightgbm(mlmodel: MLmodel, written_here: bool) -> Found:
    kind = str(mlmodel.options.get("model_class", "lightgbm.basic.Booster"))
    if kind == "lightgbm.basic.Booster":
        return Found(open_lightgbm(mlmodel))
    path = mlmodel.file(mlmodel.options.get("data"))
    return _estimator(mlmodel, path, "cloudpickle", written_here)


def _onnx(mlmodel: MLmodel) -> Found:
    session = open_onnx(mlmodel.file(mlmodel.options.get("data")))
    return Found(session, network=of_session(session))


def _keras(mlmodel: MLmodel) -> Found:
    model = open_keras(keras_path(mlmodel), str(mlmodel.options.get("keras_backend", "torch")))
    return Found(model, network=network_of(model))


def _pytorch(mlmodel: MLmodel) -> Found:
    folder = str(mlmodel.options.get("model_data"))
    if (mlmodel.folder / folder / "model.pth").exists():
        program = open_layers(mlmodel.file(f"{folder}/model.pth"), mlmodel)
        return Found(program, FROM_PICKLE, network_of(program))
    program = open_program(mlmodel.file(f"{folder}/model.pt2"))
    return Found(program, network=network_of(program))


def _itransformer(mlmodel: MLmodel) -> Found:
    loaded = load(mlmodel)
    return Found(loaded.model, network=network_of(loaded.model))


def _not_installed(flavor: str, error: ModuleNotFoundError) -> Refusal:
    extra = f"ascenso[{flavor}]" if flavor in EXTRAS else str(error.name)
    return Refusal("library", f"{error.name} is not installed here: pip install '{extra}'")
