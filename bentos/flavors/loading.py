"""From a fetched version to something that predicts, without unpickling.

What a version says of itself is not trusted: the flavor decides which of our loaders reads it,
and the types that a skops file may hold are listed here, not in the file.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bentos.flavors.fitted import by_name, knowing, with_whole
from bentos.flavors.keras_file import answer, open_keras
from bentos.flavors.mlmodel import MLmodel
from bentos.flavors.trees import check_trees
from bentos.process import freeze, keras_on_torch, one_thread, skops_io
from bentos.refusal import Refusal
from bentos.tensors.signature import read as read_signature

Predictor: TypeAlias = Callable[[NDArray[Any]], NDArray[Any]]

KERAS_FILES = {"model.keras", "keras_module.txt"}
TRUSTED_TYPES = frozenset(
    {
        "collections.OrderedDict",
        "lightgbm.basic.Booster",  # its text is checked before loading
        "lightgbm.sklearn.LGBMClassifier",
        "lightgbm.sklearn.LGBMRegressor",
        "numpy.dtype",  # imputers and encoders note the one that they were fitted with
        "sklearn.cluster._kmeans.KMeans",
        "sklearn.compose._column_transformer.ColumnTransformer",
        "sklearn.compose._target.TransformedTargetRegressor",
        "sklearn.dummy.DummyRegressor",  # what gradient boosting starts from
        "sklearn.ensemble._forest.ExtraTreesClassifier",
        "sklearn.ensemble._forest.ExtraTreesRegressor",
        "sklearn.ensemble._forest.RandomForestClassifier",
        "sklearn.ensemble._forest.RandomForestRegressor",
        "sklearn.ensemble._gb.GradientBoostingClassifier",
        "sklearn.ensemble._gb.GradientBoostingRegressor",
        "sklearn.ensemble._iforest.IsolationForest",
        "sklearn.ensemble._iforest._average_path_length",
        "sklearn.feature_extraction._dict_vectorizer.DictVectorizer",
        "sklearn.feature_extraction.text.CountVectorizer",
        "sklearn.feature_extraction.text.HashingVectorizer",
        "sklearn.feature_extraction.text.TfidfTransformer",
        "sklearn.feature_extraction.text.TfidfVectorizer",
        "sklearn.impute._base.SimpleImputer",
        "sklearn.linear_model._base.LinearRegression",
        "sklearn.linear_model._logistic.LogisticRegression",
        "sklearn.linear_model._ridge.Ridge",
        "sklearn.pipeline.FeatureUnion",
        "sklearn.pipeline.Pipeline",
        "sklearn.preprocessing._data.MinMaxScaler",
        "sklearn.preprocessing._data.RobustScaler",
        "sklearn.preprocessing._data.StandardScaler",
        "sklearn.preprocessing._encoders.OneHotEncoder",
        "sklearn.preprocessing._encoders.OrdinalEncoder",
        "sklearn.preprocessing._label.LabelEncoder",
        "sklearn.tree._classes.DecisionTreeClassifier",
        "sklearn.tree._classes.DecisionTreeRegressor",
        "sklearn.tree._classes.ExtraTreeClassifier",
        "sklearn.tree._classes.ExtraTreeRegressor",
        "sklearn.tree._tree.Tree",  # checked after loading
        "training.contugas.model.AnomalyModel",
        "training.contugas.model.ClusterModel",
    }
)


@dataclass(frozen=True)
class Loaded:
    """A model in memory: `predict` takes [rows, inputs] and gives [rows, ...]."""

    predict: Predictor
    model: object
    predict_fn: str


def load(mlmodel: MLmodel) -> Loaded:
    """Load a version by its flavor. Raises Refusal when it cannot be done safely, or at all."""
    loaders = {
        "sklearn": _sklearn,
        "catboost": _catboost,
        "keras": _keras,
        "itransformer": _itransformer,
    }
    if mlmodel.flavor not in loaders:
        raise Refusal("flavor", f"a service of its own cannot have the flavor {mlmodel.flavor}")
    try:
        preload(mlmodel.flavor)
        return loaders[mlmodel.flavor](mlmodel)
    except Refusal:
        raise
    except Exception as error:
        raise Refusal("load", f"{type(error).__name__} while loading: {error}") from error


@cache
def preload(flavor: str) -> None:
    """Import what loading a version of this flavor needs, before somebody waits for it.

    What it imported stays, so no later collection need walk over it: that would stop the calls
    for a tenth of a second, again and again.
    """
    modules = {
        "sklearn": ["sklearn.ensemble", "sklearn.pipeline"],
        "catboost": ["catboost"],
        "keras": ["h5py"],
        "itransformer": ["training.itransformer.forecaster"],
        "xgboost": ["xgboost"],
        "lightgbm": ["lightgbm"],
        "pytorch": ["torch.export"],
    }
    for module in modules.get(flavor, ()):
        import_module(module)
    if flavor == "sklearn":
        skops_io()
    if flavor == "keras":
        keras_on_torch()
    freeze()


def _sklearn(mlmodel: MLmodel) -> Loaded:
    path = mlmodel.file(mlmodel.options.get("pickled_model"))
    if mlmodel.options.get("serialization_format") != "skops":
        raise Refusal(
            "pickle", "the sklearn flavor was not written with serialization_format='skops'"
        )
    model = read_skops(path)
    call = knowing(getattr(model, mlmodel.predict_fn))
    names = getattr(model, "feature_names_in_", None)
    schema = read_signature(mlmodel.content.get("signature"))
    if names is not None and schema and set(names) <= set(schema.names):
        call = by_name(call, schema, [str(name) for name in names])
    return Loaded(call, model, mlmodel.predict_fn)


def read_skops(path: Path) -> Any:
    """The estimator of a skops file. Raises Refusal for types that are not on our list."""
    skops = skops_io()
    try:
        model = skops.load(path, trusted=sorted(TRUSTED_TYPES))  # which looks before it makes
    except skops.exceptions.UntrustedTypesFoundException as error:
        foreign = sorted(set(skops.get_untrusted_types(file=path)) - TRUSTED_TYPES)
        raise Refusal(
            "pickle",
            f"the skops file names types that are not on our list: {', '.join(foreign[:5])}; what "
            "the file itself lists as trusted does not count",
        ) from error
    check_trees(model)
    return model


def _catboost(mlmodel: MLmodel) -> Loaded:
    import catboost

    kinds = {"CatBoostRegressor", "CatBoostClassifier"}
    kind = str(mlmodel.options.get("model_type"))
    if kind not in kinds or mlmodel.options.get("save_format", "cbm") != "cbm":
        raise Refusal("flavor", f"a catboost {kind} cannot be served; {sorted(kinds)} as cbm can")
    model = getattr(catboost, kind)()
    model.load_model(str(mlmodel.file(mlmodel.options.get("data"))), format="cbm")
    # A batch has its core; more threads would take others' cores.
    call = partial(getattr(model, mlmodel.predict_fn), thread_count=1)
    words = model.get_cat_feature_indices()

    def predict(rows: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(
            call(with_whole(rows, words) if words and rows.dtype.kind == "f" else rows)
        )

    return Loaded(predict, model, mlmodel.predict_fn)


def _keras(mlmodel: MLmodel) -> Loaded:
    model = open_keras(keras_path(mlmodel))
    return Loaded(partial(answer, model), model, "predict")


def keras_path(mlmodel: MLmodel) -> Path:
    """The `.keras` file of a version that holds nothing else of Keras'."""
    folder = str(mlmodel.options.get("data"))
    path = mlmodel.file(f"{folder}/model.keras")
    if odd := sorted({file.name for file in path.parent.iterdir()} - KERAS_FILES):
        raise Refusal("flavor", f"{folder} holds {odd[:5]}; only {sorted(KERAS_FILES)} are served")
    return path


def bands_file(mlmodel: MLmodel) -> Path | None:
    """Where the bands of a version's forecasts are, if it has any."""
    named = mlmodel.options.get("bands")
    return mlmodel.file(named) if named else None


def _itransformer(mlmodel: MLmodel) -> Loaded:
    from training.itransformer.forecaster import load as load_forecaster

    weights, config = (mlmodel.file(mlmodel.options.get(key)) for key in ("weights", "config"))
    forecaster = load_forecaster(weights, config, bands_file(mlmodel))

    def predict(windows: NDArray[Any]) -> NDArray[Any]:
        one_thread()
        return forecaster.predict(windows)

    return Loaded(predict, forecaster, "predict")
